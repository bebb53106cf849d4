//! Tests of the crate as a user sees it, against results made with other software.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod chat;
mod contract;
mod cpu;
mod embedded;
mod generation;
mod golden;
mod gpu;
mod hostile;
mod logits;
mod quantize;
mod quantize_at_load;
mod quantize_refusals;
mod random_model;
mod sampling;
mod second_opinion;
mod tokenizer;
