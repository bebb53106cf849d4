//! The parts of the chat-server binary, from what was typed to a running application; a library so
//! that tests start the same application.
//!
//! The only code that reads the environment. It must not hold what another service could use.

pub mod application;
pub mod cli;
pub mod ctl;
pub mod doctor;
pub mod dotenv;
#[cfg(feature = "triage-mini")]
mod embedded_model;
pub mod health;
pub mod model_file;
pub mod model_loader;
pub mod models;
mod open_database;
mod runtime_settings;
pub mod setting_list;
pub mod settings;
mod system_memory;
pub mod telemetry;
