//! The whole service: built in this process, and as the program that people run.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod application;
mod doctor;
#[path = "../../../../crates/triage-api/tests/stores/fake_db_api.rs"]
mod fake_db_api;
mod fallback;
mod faults;
mod logs;
mod observability;
mod operation;
mod postgres;
#[path = "../../../../crates/triage-api/tests/stores/postgres_server.rs"]
mod postgres_server;
mod process;
mod settings;
mod signals;
mod triage_mini;
