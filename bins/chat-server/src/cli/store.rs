//! Where records and conversations are, and how they become a prompt.

use std::path::PathBuf;

use clap::Args;

/// Where records and conversations are, and how they become a prompt.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Records and conversations")]
pub struct StoreArgs {
    /// Folder of the SQLite file, which is made and filled with synthetic patients when absent
    #[arg(long, env = "DATA_DIR", default_value = "./data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// CarePath's own DB API to use instead of SQLite, for example http://db-api:8001
    #[arg(long, env = "DB_API_BASE_URL", value_name = "URL")]
    pub db_api_base_url: Option<String>,
    /// File with a prompt template to use instead of the built-in one
    #[arg(long, env = "PROMPT_TEMPLATE", value_name = "FILE")]
    pub prompt_template: Option<PathBuf>,
}
