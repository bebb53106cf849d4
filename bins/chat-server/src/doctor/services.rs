//! What is elsewhere: the Hub, the stores, and a model's server.

use std::time::Duration;

use anyhow::Context;
use model_cache::ModelSpec;
use reqwest::{Client, StatusCode};
use secrecy::ExposeSecret;
use triage_api::postgres::PostgresStores;
use triage_api::remote::{DbApi, DbApiConfig};
use triage_api::sqlite::SqliteStores;
use triage_api::{StoreError, records::PatientRecords};

use super::finding::{Finding, Needed};
use crate::models::{OPENAI, local_models};
use crate::open_database::DATABASE_FILE;
use crate::settings::{Settings, StoreSettings};

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where models come from unless a mirror is set.
const HUGGING_FACE: &str = "https://huggingface.co";

/// Each service that the settings name.
pub(super) async fn findings(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![store(&settings.store).await];
    let client = match Client::builder().timeout(PATIENCE).build().context("no HTTP client") {
        Ok(client) => client,
        Err(error) => return vec![Finding::problem("network", format!("{error:#}"), "see the system's certificates")],
    };
    findings.extend(hub(settings, &client).await);
    findings.extend(model_server(settings, &client).await);
    findings
}

async fn store(settings: &StoreSettings) -> Finding {
    match settings {
        StoreSettings::Sqlite(folder) => {
            let path = folder.join(DATABASE_FILE);
            if !path.exists() {
                return Finding::note("database", format!("{} is not there yet; the start makes it", path.display()));
            }
            let answer = SqliteStores::probe(&path).await;
            judged(format!("{} can be read", path.display()), answer, "see DATA_DIR: its disk, and who may write there")
        }
        StoreSettings::Postgres(url) => {
            let answer = PostgresStores::probe(url).await;
            judged("DATABASE_URL lets this user in".to_owned(), answer, "see DATABASE_URL and the server behind it")
        }
        StoreSettings::DbApi(url) => {
            let answer = match DbApi::new(DbApiConfig { timeout: PATIENCE, ..DbApiConfig::new(url) }) {
                Ok(api) => PatientRecords::ping(&api).await,
                Err(error) => Err(error),
            };
            judged("DB_API_BASE_URL answers".to_owned(), answer, "see DB_API_BASE_URL and the service behind it")
        }
    }
}

fn judged(found: String, answer: Result<(), StoreError>, remedy: &str) -> Finding {
    match answer {
        Ok(()) => Finding::ok("database", found),
        Err(error) => Finding::problem("database", error.to_string(), remedy),
    }
}

/// Whether the Hub has the models, and lets this service at them.
async fn hub(settings: &Settings, client: &Client) -> Vec<Finding> {
    let cache = &settings.cache;
    let token = cache.token();
    let mut findings = vec![match token {
        Some(_) => Finding::ok("token", "HUGGINGFACE_TOKEN or HF_TOKEN is set"),
        None => Finding::note("token", "none is set; public models need none"),
    }];
    if cache.hf_hub_offline {
        findings.push(Finding::note("hub", "HF_HUB_OFFLINE is set: it is not asked"));
        return findings;
    }
    let endpoint = cache.hf_endpoint.as_deref().unwrap_or(HUGGING_FACE).trim_end_matches('/');
    for (mode, source) in local_models(settings).unwrap_or_default() {
        let ModelSpec::Hub { repo, .. } = source.spec() else { continue };
        let mut request = client.get(format!("{endpoint}/api/models/{repo}"));
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        let finding = match request.send().await.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => Finding::ok("hub", format!("it has {repo}")),
            Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => Finding::problem(
                "hub",
                format!("it has no {repo}, or does not show it"),
                "see MODEL, and HUGGINGFACE_TOKEN where the model is private or gated",
            ),
            Ok(status) => Finding::problem(
                "hub",
                format!("it answers {}", status.as_u16()),
                "try again later, or set HF_ENDPOINT",
            ),
            Err(error) => Finding::problem(
                "hub",
                format!("it does not answer ({})", kind(&error)),
                "see HF_ENDPOINT and the network; a model that is whole in the cache needs no hub",
            ),
        };
        findings.push(finding.unless_needed(Needed::by(settings, &mode)));
    }
    findings
}

/// Whether the server of the mode `openai` answers.
async fn model_server(settings: &Settings, client: &Client) -> Option<Finding> {
    let base_url = settings.remote.openai_base_url.as_deref()?.trim_end_matches('/');
    let mut request = client.get(format!("{base_url}/models"));
    if let Some(key) = &settings.remote.openai_api_key {
        request = request.bearer_auth(key.expose_secret());
    }
    let finding = match request.send().await.map(|answer| answer.status()) {
        Ok(status) if status.is_success() => Finding::ok("model server", "OPENAI_BASE_URL answers"),
        Ok(status) => Finding::problem(
            "model server",
            format!("it answers {}", status.as_u16()),
            "see OPENAI_BASE_URL (with its /v1) and OPENAI_API_KEY",
        ),
        Err(error) => {
            Finding::problem("model server", format!("it does not answer ({})", kind(&error)), "see OPENAI_BASE_URL")
        }
    };
    Some(finding.unless_needed(Needed::by(settings, OPENAI)))
}

/// What went wrong, without the address.
fn kind(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "no connection"
    } else {
        "a broken answer"
    }
}
