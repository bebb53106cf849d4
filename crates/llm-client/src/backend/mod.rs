//! The closed set of backends behind an entry.

mod mock;
mod openai;
#[cfg(feature = "qwen")]
pub(crate) mod qwen;
mod sse;
mod think_tags;

use std::time::Duration;

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
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.model(),
            Self::OpenAi(backend) => backend.model(),
        }
    }

    /// What computes in this process, once it is loaded.
    pub(crate) fn engine(&self) -> Option<String> {
        match self {
            Self::Mock(_) | Self::OpenAi(_) => None,
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.engine(),
        }
    }

    pub(crate) fn status(&self) -> BackendStatus {
        match self {
            Self::Mock(_) => BackendStatus::Ready,
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.status(),
            // A remote server's state is learned by asking it; one that is down is a 502 for that
            // request, and no reason to take this service out of rotation.
            Self::OpenAi(_) => BackendStatus::Ready,
        }
    }

    #[cfg_attr(not(feature = "qwen"), expect(unused_variables, reason = "only the qwen backend names its mode"))]
    pub(crate) fn admits(&self, mode: &str) -> Result<(), LlmError> {
        match self {
            Self::Mock(_) | Self::OpenAi(_) => Ok(()),
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.admits(mode),
        }
    }

    pub(crate) fn preload(&self) {
        match self {
            Self::Mock(_) | Self::OpenAi(_) => {}
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.preload(),
        }
    }

    pub(crate) fn load(&self) {
        match self {
            Self::Mock(_) | Self::OpenAi(_) => {}
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.load(),
        }
    }

    /// Forgets what was loaded; answers that are being made are finished.
    pub(crate) fn unload(&self) {
        match self {
            Self::Mock(_) | Self::OpenAi(_) => {}
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.unload(),
        }
    }

    /// Memory that a model is expected to take in this process, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        match self {
            Self::Mock(_) | Self::OpenAi(_) => 0,
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.memory(),
        }
    }

    pub(crate) fn load_time(&self) -> Option<Duration> {
        match self {
            Self::Mock(_) | Self::OpenAi(_) => None,
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.load_time(),
        }
    }

    /// Whether there is room to load it, else what is missing.
    pub(crate) fn check_room(&self) -> Result<(), String> {
        match self {
            Self::Mock(_) | Self::OpenAi(_) => Ok(()),
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.check_room(),
        }
    }

    #[cfg_attr(not(feature = "qwen"), expect(unused_variables, reason = "only the qwen backend names its mode"))]
    pub(crate) async fn stream(&self, mode: &str, request: ChatRequest) -> Result<EventStream, LlmError> {
        match self {
            Self::Mock(backend) => backend.stream(request),
            #[cfg(feature = "qwen")]
            Self::Qwen(backend) => backend.stream(mode, request).await,
            Self::OpenAi(backend) => backend.stream(request).await,
        }
    }
}
