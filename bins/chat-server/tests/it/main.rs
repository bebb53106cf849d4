//! The whole service: built in this process, and as the program that people run.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod application;
mod doctor;
mod logs;
mod observability;
mod operation;
mod process;
mod settings;
mod signals;
