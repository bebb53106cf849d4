//! The closed set of backends behind an entry.

mod fixed;
mod mock;
mod openai;
#[cfg(feature = "qwen")]
pub(crate) mod qwen;
mod sse;
mod think_tags;

use std::time::Duration;

pub use fixed::FixedBackend;
pub use mock::MockBackend;
pub use openai::{OpenAiBackend, OpenAiConfig};

use crate::chat::{ChatRequest, ModelIdentity};
use crate::client::EventStream;
use crate::error::LlmError;
use crate::status::BackendStatus;

/// Whoever answers.
#[derive(Debug)]
#[non_exhaustive]
pub enum Backend {
    /// A fixed text, for tests and for running without a model.
    Mock(MockBackend),
    /// One answer for everything, where nobody else can answer.
    Fixed(FixedBackend),
    /// A Qwen3 model in this process.
    #[cfg(feature = "qwen")]
    Qwen(qwen::QwenBackend),
    /// An OpenAI-compatible server.
    OpenAi(OpenAiBackend),
}

impl Backend {
    pub(crate) fn model(&self) -> ModelIdentity {
        match self {
            Self::Mock(backend) => backend.model(),
            Self::Fixed(backend) => backend.model(),
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.model(),
            Self::OpenAi(backend) => backend.model(),
        }
    }

    /// What computes in this process, once it is loaded.
    pub(crate) fn engine(&self) -> Option<String> {
        match self {
            Self::Mock(_) | Self::Fixed(_) | Self::OpenAi(_) => None,
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.engine(),
        }
    }

    pub(crate) fn status(&self) -> BackendStatus {
        match self {
            Self::Mock(_) | Self::Fixed(_) => BackendStatus::Ready,
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.status(),
            // A remote server's state is learned by asking it; one that is down is a 502 for that
            // request, and no reason to take this service out of rotation.
            Self::OpenAi(_) => BackendStatus::Ready,
        }
    }

    /// What a request is admitted to.
    #[cfg_attr(not(feature = "qwen"), expect(unused_variables, reason = "only the qwen backend names its mode"))]
    pub(crate) fn admit(&self, mode: &str) -> Result<Held, LlmError> {
        match self {
            Self::Mock(_) | Self::Fixed(_) | Self::OpenAi(_) => Ok(Held::Nothing),
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => Ok(backend.admit(mode)?.map_or(Held::Nothing, Held::Model)),
        }
    }

    /// Starts to load what is to be loaded at start; an error says what is missing.
    pub(crate) fn preload(&self) -> Result<(), String> {
        match self {
            Self::Mock(_) | Self::Fixed(_) | Self::OpenAi(_) => Ok(()),
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.preload(),
        }
    }

    /// Starts to load; an error says what is missing.
    pub(crate) fn load(&self) -> Result<(), String> {
        match self {
            Self::Mock(_) | Self::Fixed(_) | Self::OpenAi(_) => Ok(()),
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.load(),
        }
    }

    /// Forgets what was loaded; answers that are being made are finished.
    pub(crate) fn unload(&self) {
        match self {
            Self::Mock(_) | Self::Fixed(_) | Self::OpenAi(_) => {}
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.unload(),
        }
    }

    /// Memory that a model is expected to take in this process, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        match self {
            Self::Mock(_) | Self::Fixed(_) | Self::OpenAi(_) => 0,
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.memory(),
        }
    }

    pub(crate) fn load_time(&self) -> Option<Duration> {
        match self {
            Self::Mock(_) | Self::Fixed(_) | Self::OpenAi(_) => None,
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.load_time(),
        }
    }

    /// The model that answers, and its events.
    #[cfg_attr(not(feature = "qwen"), expect(unused_variables, reason = "only the qwen backend holds a model"))]
    pub(crate) async fn stream(
        &self,
        mode: &str,
        held: Held,
        request: ChatRequest,
    ) -> Result<(ModelIdentity, EventStream), LlmError> {
        match self {
            Self::Mock(backend) => Ok((backend.model(), backend.stream(request)?)),
            Self::Fixed(backend) => Ok((backend.model(), backend.stream())),
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => {
                let model = match held {
                    Held::Nothing => None,
                    Held::Model(model) => Some(model),
                };
                backend.stream(mode, model, request).await
            }
            Self::OpenAi(backend) => Ok((backend.model(), backend.stream(request).await?)),
        }
    }
}

/// What a request holds until it is answered.
pub(crate) enum Held {
    Nothing,
    /// A model of this process, which stays in memory as long.
    #[cfg(feature = "qwen")]
    Model(std::sync::Arc<qwen::Resident>),
}
