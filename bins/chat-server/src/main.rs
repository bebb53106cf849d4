//! chat-server: CarePath's chat service.
//!
//! Owns the exit code and nothing else.

use std::process::ExitCode;
use std::sync::Arc;

use chat_server::application::Application;
use chat_server::cli::{Cli, Command};
use chat_server::doctor::Doctor;
use chat_server::settings::Settings;
use chat_server::{ctl, dotenv, health, setting_list, telemetry};

/// Gives a model's memory back to the system when it is unloaded, where the system's own allocator kept a tenth of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before any thread starts: it changes the process's environment.
    if let Err(error) = dotenv::load() {
        return failed(&error);
    }
    let (mut cli, matches) = Cli::read();
    let done = match cli.command.take() {
        Some(Command::Settings) => return setting_list::print(),
        Some(Command::Doctor(arguments)) => Doctor::new(matches).run(&arguments),
        Some(Command::Health) => health::run(&cli.server),
        Some(Command::Ctl(arguments)) => ctl::run(arguments, cli.admin),
        None => Settings::try_from(cli).and_then(|settings| serve(settings, Doctor::new(matches))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn serve(settings: Settings, doctor: Doctor) -> anyhow::Result<()> {
    telemetry::start(settings.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        Application::build(settings, Arc::new(move || doctor.report())).await?.run_until_stopped().await
    });
    // Work that cannot be interrupted, like loading a model, must not hold the process back.
    runtime.shutdown_background();
    ended
}

#[expect(clippy::print_stderr, reason = "there may be no log yet")]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("chat-server: {error:#}");
    ExitCode::FAILURE
}
