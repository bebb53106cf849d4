//! The HTTP interface on real sockets, over stores in memory and the mock model.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod app;
mod chat_logs;
mod disconnect;
mod health;
mod memory;
mod patients;
mod refusals;
mod stream;
mod trace;
mod triage;
