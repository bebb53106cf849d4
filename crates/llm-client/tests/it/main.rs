//! Tests of the client as a user sees it: a registry, a remote server that behaves and misbehaves,
//! a model in this process.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod openai;
mod qwen;
mod registry;
