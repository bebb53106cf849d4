//! `chat-server doctor`: everything that a start needs, looked at one by one, with what to do.

mod cache;
mod configuration;
mod finding;
mod services;

use std::io::Write;

use anyhow::bail;
use clap::ArgMatches;

use crate::cli::{Cli, DoctorArgs};
use crate::models;
use crate::settings::Settings;
use finding::{Finding, Verdict};

/// Prints what is found.
///
/// # Errors
/// When something does not work as it is configured.
pub fn run(arguments: &DoctorArgs, cli: Cli, matches: &ArgMatches) -> anyhow::Result<()> {
    let findings = findings(cli, matches)?;
    let mut out = std::io::stdout();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&findings)?)?;
    } else {
        findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))?;
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Problem).count() {
        0 => Ok(()),
        1 => bail!("there is a problem"),
        problems => bail!("there are {problems} problems"),
    }
}

fn findings(cli: Cli, matches: &ArgMatches) -> anyhow::Result<Vec<Finding>> {
    let mut findings = configuration::findings(matches);
    let settings = match Settings::try_from(cli) {
        Ok(settings) => settings,
        Err(error) => {
            findings.push(Finding::problem("settings", format!("{error:#}"), "correct the setting"));
            return Ok(findings);
        }
    };
    findings.push(match models::client(&settings) {
        Ok(llm) => {
            let entry = llm.default_entry();
            Finding::ok("mode", format!("{} answers, with {}", entry.name(), entry.model()))
        }
        Err(error) => Finding::problem("mode", format!("{error:#}"), "see LLM_MODE and the settings of that mode"),
    });
    findings.extend(cache::findings(&settings));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    findings.extend(runtime.block_on(services::findings(&settings)));
    Ok(findings)
}
