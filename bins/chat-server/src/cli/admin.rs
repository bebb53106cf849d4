//! Where operators change who answers.

use std::net::IpAddr;

use clap::Args;
use secrecy::SecretString;

use super::secret;

/// Where operators change who answers, while it serves.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Operation")]
pub struct AdminArgs {
    /// Address of the operators' interface; any but loopback needs --chat-admin-token
    #[arg(long, env = "CHAT_ADMIN_HOST", default_value = "127.0.0.1", value_name = "IP")]
    pub chat_admin_host: IpAddr,
    /// Port of the operators' interface; 0 takes a free one
    #[arg(long, env = "CHAT_ADMIN_PORT", default_value_t = 8003)]
    pub chat_admin_port: u16,
    /// Token that operators must show
    #[arg(long, env = "CHAT_ADMIN_TOKEN", hide_env_values = true, value_parser = secret, value_name = "TOKEN")]
    pub chat_admin_token: Option<SecretString>,
}
