//! How the service is reached and how much one request may cost.

use std::net::IpAddr;

use clap::Args;

/// How the service is reached and how much one request may cost.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// Address to listen on
    #[arg(long, visible_alias = "host", env = "CHAT_API_HOST", default_value = "0.0.0.0", value_name = "IP")]
    pub chat_api_host: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, visible_alias = "port", env = "CHAT_API_PORT", default_value_t = 8002)]
    pub chat_api_port: u16,
    /// Web origins that may read answers, separated by commas; * is any
    #[arg(long, env = "CORS_ALLOW_ORIGINS", default_value = "*", value_name = "ORIGINS")]
    pub cors_allow_origins: String,
    /// Threads that serve connections; inference has its own
    #[arg(long, env = "WORKERS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: u16,
    /// Longest question in characters
    #[arg(long, env = "MAX_QUERY_CHARS", default_value_t = 8000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_query_chars: u32,
    /// Requests that may wait for the model; more are answered 429
    #[arg(long, env = "MAX_WAITING", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_waiting: u32,
    /// Seconds for the inference of an answer, waiting for the model included; then 504
    #[arg(long, env = "REQUEST_TIMEOUT_SECS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub request_timeout_secs: u64,
    /// Seconds that running requests may go on after SIGTERM
    #[arg(long, env = "SHUTDOWN_TIMEOUT", default_value_t = 600)]
    pub shutdown_timeout: u64,
    /// Longest silence of a streamed answer in milliseconds; then a comment line is sent
    #[arg(long, env = "KEEP_ALIVE_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub keep_alive_ms: u64,
}
