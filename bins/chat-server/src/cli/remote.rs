//! Who answers elsewhere: an OpenAI-compatible server.

use clap::Args;
use secrecy::SecretString;

use super::secret;

/// Who answers elsewhere: an OpenAI-compatible server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Remote model")]
pub struct RemoteArgs {
    /// Server of the mode `openai`, for example http://vllm:8000/v1
    #[arg(long, env = "OPENAI_BASE_URL", value_name = "URL")]
    pub openai_base_url: Option<String>,
    /// Key for that server
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_parser = secret, value_name = "KEY")]
    pub openai_api_key: Option<SecretString>,
    /// Model to ask that server for
    #[arg(long, env = "OPENAI_MODEL", value_name = "NAME")]
    pub openai_model: Option<String>,
    /// Hugging Face token of CarePath's mode `hf-qwen2.5`
    #[arg(long, env = "HF_API_TOKEN", hide_env_values = true, value_parser = secret, value_name = "TOKEN")]
    pub hf_api_token: Option<SecretString>,
    /// Model of CarePath's mode `hf-qwen2.5`
    #[arg(
        long = "hf-qwen-model-id",
        env = "HF_QWEN_MODEL_ID",
        default_value = "Qwen/Qwen2.5-7B-Instruct:together",
        value_name = "NAME"
    )]
    pub hf_qwen_model_id: String,
}
