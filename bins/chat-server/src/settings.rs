//! [`Settings`]: what was typed, judged as a whole.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use qwen_runtime::RuntimeConfig;
use secrecy::SecretString;
use triage_api::Limits;
use triage_api::http::{HttpOptions, Origins, ServerOptions};

use crate::cli::{AdminArgs, CacheArgs, Cli, LogArgs, ModelArgs, RemoteArgs, StoreArgs};
use crate::model_file::ModelFile;
use crate::runtime_settings;

/// The mode that answers when nobody chose one: the model that is part of the program.
#[cfg(feature = "triage-mini")]
const DEFAULT_MODE: &str = triage_mini::NAME;
#[cfg(not(feature = "triage-mini"))]
const DEFAULT_MODE: &str = "mock";

/// A configuration that makes sense.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen.
    pub address: SocketAddr,
    /// Where operators change who answers.
    pub admin: AdminSettings,
    /// How the machine is used.
    pub server: ServerOptions,
    /// How the interface behaves.
    pub http: HttpOptions,
    /// What one question may cost.
    pub limits: Limits,
    /// Where records and conversations are.
    pub store: StoreSettings,
    /// A template to use instead of the built-in one.
    pub prompt_template: Option<PathBuf>,
    /// What is logged.
    pub log: LogArgs,
    /// The mode that answers when a request names none.
    pub mode: String,
    /// The model of this process.
    pub model: ModelArgs,
    /// What it runs on, and its defaults.
    pub runtime: RuntimeConfig,
    /// Several models of this process, instead of the one.
    pub models: Option<ModelFile>,
    /// Where models are kept.
    pub cache: CacheArgs,
    /// The model elsewhere.
    pub remote: RemoteArgs,
}

/// Where operators change who answers.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    /// Where to listen for them.
    pub address: SocketAddr,
    /// What they must show.
    pub token: Option<SecretString>,
}

/// Where records and conversations are.
#[derive(Debug, Clone)]
pub enum StoreSettings {
    /// A SQLite file in this folder.
    Sqlite(PathBuf),
    /// The PostgreSQL database at this address.
    Postgres(SecretString),
    /// CarePath's DB API at this address.
    DbApi(String),
}

impl TryFrom<Cli> for Settings {
    type Error = anyhow::Error;

    fn try_from(cli: Cli) -> anyhow::Result<Self> {
        let seconds = Duration::from_secs;
        let Cli { server, admin, store, log, model, engine, cache, remote, .. } = cli;
        let runtime = runtime_settings::runtime_config(&model, &engine)?;
        let models = model.models_file.as_deref().map(ModelFile::read).transpose().context("MODELS_FILE")?;
        Ok(Self {
            address: SocketAddr::new(server.chat_api_host, server.chat_api_port),
            admin: admin_settings(admin)?,
            server: ServerOptions {
                workers: server.workers.into(),
                shutdown_timeout: seconds(server.shutdown_timeout),
            },
            http: HttpOptions {
                origins: origins(&server.cors_allow_origins).context("CORS_ALLOW_ORIGINS")?,
                keep_alive: Duration::from_millis(server.keep_alive_ms),
            },
            limits: Limits {
                max_query_chars: usize::try_from(server.max_query_chars)?,
                answer_timeout: seconds(server.request_timeout_secs),
            },
            prompt_template: store.prompt_template.clone(),
            store: store_settings(store)?,
            log,
            mode: model
                .llm_mode
                .clone()
                .or_else(|| model.default_llm_mode.clone())
                .unwrap_or_else(|| DEFAULT_MODE.to_owned()),
            model,
            runtime: RuntimeConfig { max_waiting: usize::try_from(server.max_waiting)?, ..runtime },
            models,
            cache,
            remote,
        })
    }
}

fn store_settings(store: StoreArgs) -> anyhow::Result<StoreSettings> {
    match (store.database_url, store.db_api_base_url) {
        (Some(_), Some(_)) => bail!("records are in one place: set DATABASE_URL or DB_API_BASE_URL"),
        (Some(url), None) => Ok(StoreSettings::Postgres(url)),
        (None, Some(url)) => Ok(StoreSettings::DbApi(url)),
        (None, None) => Ok(StoreSettings::Sqlite(store.data_dir)),
    }
}

fn admin_settings(admin: AdminArgs) -> anyhow::Result<AdminSettings> {
    let AdminArgs { chat_admin_host, chat_admin_port, chat_admin_token } = admin;
    if !chat_admin_host.is_loopback() && chat_admin_token.is_none() {
        bail!("CHAT_ADMIN_HOST={chat_admin_host} can be reached from elsewhere: set CHAT_ADMIN_TOKEN");
    }
    Ok(AdminSettings { address: SocketAddr::new(chat_admin_host, chat_admin_port), token: chat_admin_token })
}

/// `*`, or a list like `https://a.example, http://localhost:3000`.
fn origins(text: &str) -> anyhow::Result<Origins> {
    let list: Vec<String> = text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect();
    if list.iter().any(|one| one == "*") {
        return Ok(Origins::Any);
    }
    for origin in &list {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.contains('/')) {
            bail!("{origin:?} is not an origin like https://carepath.example");
        }
    }
    Ok(Origins::List(list))
}

#[cfg(test)]
mod tests {
    use qwen_runtime::{ComputeDevice, CpuSettings, EngineConfig, FileType, KvType, WeightForm};

    use super::*;

    fn settings(arguments: &[&str]) -> anyhow::Result<Settings> {
        Settings::try_from(Cli::read_from(["chat-server"].into_iter().chain(arguments.iter().copied()))?)
    }

    #[test]
    fn llm_mode_wins_over_default_llm_mode() {
        let mode = |arguments: &[&str]| settings(arguments).unwrap().mode;
        assert_eq!(mode(&[]), DEFAULT_MODE);
        assert_eq!(mode(&["--default-llm-mode", "gguf"]), "gguf");
        assert_eq!(mode(&["--default-llm-mode", "gguf", "--llm-mode", "qwen"]), "qwen");
    }

    #[test]
    fn origins_are_any_or_a_list() {
        let parsed = |text| settings(&["--cors-allow-origins", text]).map(|settings| settings.http.origins);
        assert_eq!(parsed("*").unwrap(), Origins::Any);
        let list = vec!["http://a:3000".to_owned(), "https://b".to_owned()];
        assert_eq!(parsed("http://a:3000, https://b").unwrap(), Origins::List(list));
        for wrong in ["a.example", "https://a/", "ftp://a"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for wrong in [
            ["--top-p", "0"],
            ["--top-p", "1.5"],
            ["--temperature", "-1"],
            ["--temperature", "101"],
            ["--presence-penalty", "nan"],
            ["--max-waiting", "0"],
            ["--max-new-tokens", "0"],
            ["--thinking-budget", "much"],
            ["--log-level", "loud"],
            ["--workers", "0"],
            ["--threads", "0"],
            ["--kv-type", "f8"],
            ["--kv-memory", "much"],
            ["--quantize", "q3_k_m"],
            ["--engine", "gpu"],
        ] {
            assert!(settings(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_engine_follows_the_device() {
        let engine = |arguments: &[&str]| settings(arguments).unwrap().runtime.engine;
        let cpu = CpuSettings {
            threads: Some(3),
            kv_type: KvType::F32,
            weights: WeightForm::Quantized(FileType::Q4KM),
            ..CpuSettings::default()
        };
        assert_eq!(engine(&[]), EngineConfig::Cpu(CpuSettings::default()));
        assert_eq!(engine(&["--threads", "3", "--kv-type", "f32", "--quantize", "q4_k_m"]), EngineConfig::Cpu(cpu));
        assert_eq!(engine(&["--engine", "candle"]), EngineConfig::Candle(ComputeDevice::Cpu.into()));
        assert_eq!(engine(&["--quantize", "none"]), EngineConfig::Cpu(CpuSettings::default()));
        assert_eq!(engine(&["--device", "cuda:1"]), EngineConfig::Candle(ComputeDevice::Cuda(1).into()));
        for (arguments, complaint) in [
            (&["--engine", "cpu", "--device", "cuda"], "DEVICE=cpu only"),
            (&["--engine", "candle", "--threads", "2"], "THREADS is for the engine cpu"),
            (&["--device", "metal", "--kv-type", "f16"], "KV_TYPE is for the engine cpu"),
            (&["--device", "cuda", "--quantize", "q6_k"], "QUANTIZE is for the engine cpu"),
        ] {
            let error = settings(arguments).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
        assert_eq!(settings(&["--kv-memory", "2GiB"]).unwrap().runtime.kv_memory, Some(2 << 30));
    }

    #[test]
    fn records_are_in_one_place() {
        let store = |arguments: &[&str]| settings(arguments).map(|settings| settings.store);
        let (database, api) = (["--database-url", "postgres://me:secret@db/x"], ["--db-api-base-url", "http://db"]);
        let postgres = store(&database).unwrap();
        assert!(matches!(postgres, StoreSettings::Postgres(_)) && !format!("{postgres:?}").contains("secret"));
        assert!(matches!(store(&api).unwrap(), StoreSettings::DbApi(_)));
        assert!(matches!(store(&[]).unwrap(), StoreSettings::Sqlite(_)));
        assert!(store(&[database, api].concat()).unwrap_err().to_string().contains("one place"));
    }

    #[test]
    fn operators_elsewhere_need_a_token() {
        assert_eq!(settings(&[]).unwrap().admin.address.to_string(), "127.0.0.1:8003");
        let open = ["--chat-admin-host", "0.0.0.0"];
        assert!(settings(&open).unwrap_err().to_string().contains("set CHAT_ADMIN_TOKEN"));
        assert!(settings(&[&open[..], &["--chat-admin-token", "t"]].concat()).unwrap().admin.token.is_some());
    }

    #[test]
    fn the_offline_switch_reads_like_that_of_huggingface_hub() {
        let offline = |text| settings(&["--hf-hub-offline", text]).unwrap().cache.hf_hub_offline;
        assert!(!offline("0") && !offline("false") && offline("1") && offline("true"));
    }
}
