//! Where records and conversations are, and how they become a prompt.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

use super::secret;

/// Where records and conversations are, and how they become a prompt.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Records and conversations")]
pub struct StoreArgs {
    /// Folder of the SQLite file, which is made and filled with synthetic patients when absent
    #[arg(long, env = "DATA_DIR", default_value = "./data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// PostgreSQL database to use instead of SQLite, which several servers share, for example
    /// postgres://user:password@db:5432/carepath?sslmode=verify-full
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = secret, value_name = "URL")]
    pub database_url: Option<SecretString>,
    /// CarePath's own DB API to use instead of SQLite, for example http://db-api:8001
    #[arg(long, env = "DB_API_BASE_URL", value_name = "URL")]
    pub db_api_base_url: Option<String>,
    /// File with a prompt template to use instead of the built-in one
    #[arg(long, env = "PROMPT_TEMPLATE", value_name = "FILE")]
    pub prompt_template: Option<PathBuf>,
}
