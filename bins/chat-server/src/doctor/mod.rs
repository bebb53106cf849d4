//! [`Doctor`]: everything that a start needs, looked at one by one, with what to do.

mod cache;
mod configuration;
mod finding;
mod services;

use std::io::Write;

use anyhow::bail;
use clap::{ArgMatches, FromArgMatches};
use serde_json::{Value, json};

use crate::cli::{Cli, DoctorArgs};
use crate::models;
use crate::settings::Settings;
use finding::{Finding, Verdict};

/// Knows what was configured, and where.
#[derive(Debug)]
pub struct Doctor(ArgMatches);

impl Doctor {
    /// For what was typed or set, and where.
    pub fn new(matches: ArgMatches) -> Self {
        Self(matches)
    }

    /// Prints what is found.
    ///
    /// # Errors
    /// When something does not work as it is configured.
    pub fn run(&self, arguments: &DoctorArgs) -> anyhow::Result<()> {
        let findings = self.findings();
        let mut out = std::io::stdout();
        if arguments.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&findings)?)?;
        } else {
            findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))?;
        }
        match problems(&findings) {
            0 => Ok(()),
            1 => bail!("there is a problem"),
            problems => bail!("there are {problems} problems"),
        }
    }

    /// What is found, for programs. It must not be called where a task runs.
    pub fn report(&self) -> Value {
        let findings = self.findings();
        json!({ "problems": problems(&findings), "findings": findings })
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = configuration::findings(&self.0);
        match Cli::from_arg_matches(&self.0).map_err(anyhow::Error::from).and_then(Settings::try_from) {
            Ok(settings) => findings.extend(of_settings(&settings)),
            Err(error) => findings.push(Finding::problem("settings", format!("{error:#}"), "correct the setting")),
        }
        findings
    }
}

fn problems(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.verdict == Verdict::Problem).count()
}

fn of_settings(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![match models::client(settings) {
        Ok(llm) => {
            let entry = llm.default_entry();
            Finding::ok("mode", format!("{} answers, with {}", entry.name(), entry.model()))
        }
        Err(error) => Finding::problem("mode", format!("{error:#}"), "see LLM_MODE and the settings of that mode"),
    }];
    findings.extend(cache::findings(settings));
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => findings.extend(runtime.block_on(services::findings(settings))),
        Err(error) => findings.push(Finding::problem("network", error.to_string(), "see the limits of this process")),
    }
    findings
}
