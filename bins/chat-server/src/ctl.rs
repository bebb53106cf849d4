//! `chat-server ctl`: changes a running server through its operators' interface, and shows what came of it.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Method};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::cli::{AdminArgs, CtlArgs, CtlCommand};
use crate::health::reachable;

/// How often a loading model is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Does what was asked, and prints the server's state. Without `--url` it asks the server that these settings make.
///
/// # Errors
/// When the server cannot be reached, or refuses; its reason is told.
pub fn run(arguments: CtlArgs, admin: AdminArgs) -> anyhow::Result<()> {
    let CtlArgs { url, token, json, command } = arguments;
    let url = url.unwrap_or_else(|| own_url(&admin));
    // A token goes to the server alone, never to a proxy of the environment.
    let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let token = token.or(admin.chat_admin_token);
    let server = Server { url: url.trim_end_matches('/').to_owned(), token, client };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let state = runtime.block_on(server.obey(&command))?;
    let shown = match command {
        _ if json => format!("{state:#}\n"),
        CtlCommand::List | CtlCommand::Load { .. } | CtlCommand::Unload { .. } => table(&state),
        _ => summary(&state),
    };
    Ok(std::io::stdout().write_all(shown.as_bytes())?)
}

/// Where a server with these settings listens.
fn own_url(admin: &AdminArgs) -> String {
    format!("http://{}", SocketAddr::new(reachable(admin.chat_admin_host), admin.chat_admin_port))
}

struct Server {
    url: String,
    token: Option<SecretString>,
    client: Client,
}

impl Server {
    async fn obey(&self, command: &CtlCommand) -> anyhow::Result<Value> {
        match command {
            CtlCommand::List | CtlCommand::Status => self.ask(Method::GET, &["models"], None).await,
            CtlCommand::Load { name } => {
                self.ask(Method::POST, &["models", name, "load"], None).await?;
                self.loaded(name).await
            }
            CtlCommand::Unload { name } => self.ask(Method::POST, &["models", name, "unload"], None).await,
            CtlCommand::Default { name } => self.ask(Method::PUT, &["default"], Some(json!({ "mode": name }))).await,
            CtlCommand::Route { shares } => {
                let weights: Map<String, Value> =
                    shares.iter().map(|share| (share.mode.clone(), json!(share.weight))).collect();
                self.ask(Method::PUT, &["weights"], Some(json!({ "weights": weights }))).await
            }
            CtlCommand::Shadow { name } => {
                let mode = Some(name).filter(|name| *name != "off");
                self.ask(Method::PUT, &["shadow"], Some(json!({ "mode": mode }))).await
            }
            CtlCommand::Rollback => self.ask(Method::POST, &["rollback"], None).await,
        }
    }

    async fn ask(&self, method: Method, path: &[&str], body: Option<Value>) -> anyhow::Result<Value> {
        let mut url =
            reqwest::Url::parse(&format!("{}/admin", self.url)).with_context(|| format!("--url {}", self.url))?;
        url.path_segments_mut().map_err(|()| anyhow::anyhow!("--url {} has no path", self.url))?.extend(path);
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.with_context(|| format!("asking {}", self.url))?;
        let status = answer.status();
        let body: Value = answer.json().await.with_context(|| format!("{} answered {status}", self.url))?;
        if !status.is_success() {
            let reason = body["detail"]["error"].as_str().unwrap_or_default();
            bail!("the server refused ({status}): {reason}{}", faults(&body));
        }
        Ok(body)
    }

    /// Waits until a model can answer; what it is doing goes to standard error.
    async fn loaded(&self, name: &str) -> anyhow::Result<Value> {
        let mut shown = String::new();
        loop {
            let state = self.ask(Method::GET, &["models"], None).await?;
            let is_named = |model: &&Value| {
                let mut aliases = model["aliases"].as_array().into_iter().flatten();
                model["mode"] == name || aliases.any(|alias| alias == name)
            };
            let Some(model) = models(&state).find(is_named) else { bail!("the server lists no {name}") };
            match model["status"].as_str().unwrap_or_default() {
                "ready" => return Ok(state),
                "loading" => {}
                _ => bail!("{name} is not loaded: {}", model["stage"].as_str().unwrap_or_default()),
            }
            let stage = model["stage"].as_str().unwrap_or_default();
            if stage != shown {
                writeln!(std::io::stderr(), "{name}: {stage}")?;
                stage.clone_into(&mut shown);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn models(state: &Value) -> impl Iterator<Item = &Value> {
    state["models"].as_array().into_iter().flatten()
}

/// What is wrong with the fields of a request, behind a colon.
fn faults(body: &Value) -> String {
    let faults = body["detail"]["errors"].as_array().into_iter().flatten();
    let faults: Vec<&str> = faults.filter_map(|fault| fault["msg"].as_str()).collect();
    if faults.is_empty() { String::new() } else { format!(": {}", faults.join("; ")) }
}

/// One line for each model.
fn table(state: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |model: &Value| {
        let memory = model["memory_bytes"].as_u64().filter(|bytes| *bytes > 0);
        [
            format!("{}{}", if model["answers"] == true { "* " } else { "  " }, text(&model["mode"])),
            text(&model["stage"]),
            memory.map_or_else(|| "-".to_owned(), |bytes| format!("{} MiB", bytes >> 20)),
            text(&model["model"]),
        ]
    };
    let head = ["  MODE", "STATE", "MEMORY", "MODEL"].map(str::to_owned);
    let lines: Vec<[String; 4]> = std::iter::once(head).chain(models(state).map(line)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let shown = lines.iter().map(|[mode, stage, memory, model]| {
        format!("{mode:0$}  {stage:1$}  {memory:2$}  {model}\n", widths[0], widths[1], widths[2])
    });
    shown.collect()
}

/// Who answers.
fn summary(state: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("default   {}", text(&state["default"]))];
    let weights = state["weights"].as_object().into_iter().flatten();
    let shares: Vec<String> = weights.map(|(mode, weight)| format!("{mode}={weight}")).collect();
    if !shares.is_empty() {
        lines.push(format!("shared    {}", shares.join(" ")));
    }
    if let Some(shadow) = state["shadow"].as_str() {
        lines.push(format!("shadow    {shadow}"));
    }
    let fallback: Vec<String> = state["fallback"].as_array().into_iter().flatten().map(text).collect();
    if !fallback.is_empty() {
        lines.push(format!("fallback  {}", fallback.join(", ")));
    }
    let previous: Vec<String> = state["previous"].as_array().into_iter().flatten().map(text).collect();
    if !previous.is_empty() {
        lines.push(format!("before    {}", previous.join(", ")));
    }
    if let Some(limit) = state["memory_bytes"]["limit"].as_u64() {
        let taken = state["memory_bytes"]["taken"].as_u64().unwrap_or_default();
        lines.push(format!("memory    {} of {} MiB", taken >> 20, limit >> 20));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> Value {
        json!({
            "default": "a", "weights": {"a": 90, "b": 10}, "previous": ["mock"], "shadow": "c", "fallback": ["degraded"],
            "memory_bytes": {"limit": 6_u64 << 30, "taken": 1_u64 << 30},
            "models": [
                {"mode": "mock", "model": "mock", "status": "ready", "stage": "ready", "memory_bytes": 0, "answers": false},
                {"mode": "a", "model": "Qwen/Qwen3-4B", "status": "loading", "stage": "loading the model (40 %)",
                 "memory_bytes": 1_u64 << 30, "answers": true},
            ],
        })
    }

    #[test]
    fn a_line_for_each_model() {
        let expected = "  MODE  STATE                     MEMORY    MODEL\n\
                        \u{20} mock  ready                     -         mock\n\
                        * a     loading the model (40 %)  1024 MiB  Qwen/Qwen3-4B\n";
        assert_eq!(table(&state()), expected);
    }

    #[test]
    fn who_answers() {
        let expected = "default   a\nshared    a=90 b=10\nshadow    c\nfallback  degraded\nbefore    mock\nmemory    1024 of 6144 MiB\n";
        assert_eq!(summary(&state()), expected);
    }
}
