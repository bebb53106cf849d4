//! Whether a backend can answer, for probes and for people who wait.

use std::time::Duration;

/// What a backend is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum BackendStatus {
    /// It can answer.
    Ready,
    /// It will load on the first request.
    Idle,
    /// It is loaded when an operator says so.
    Unloaded,
    /// It is fetching or loading its model.
    Loading {
        /// What it is doing, for example `fetching model.safetensors`.
        stage: String,
        /// How much of the stage is done, 0 to 100, where that is known.
        percent: Option<u8>,
    },
    /// The last try to load failed; it will be tried again.
    Failed {
        /// What went wrong, for a person.
        error: String,
        /// When the next try starts.
        retry_in: Duration,
    },
}

impl BackendStatus {
    /// Its name, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Idle => "idle",
            Self::Unloaded => "unloaded",
            Self::Loading { .. } => "loading",
            Self::Failed { .. } => "failed",
        }
    }

    /// One line for a person.
    pub fn stage(&self) -> String {
        match self {
            Self::Ready => "ready".to_owned(),
            Self::Unloaded => "not loaded".to_owned(),
            Self::Idle => "waiting for the first request".to_owned(),
            Self::Loading { stage, percent: Some(percent) } => format!("{stage} ({percent} %)"),
            Self::Loading { stage, percent: None } => stage.clone(),
            Self::Failed { error, .. } => format!("failed: {error}"),
        }
    }

    /// Whether a request can be answered, at the latest after a lazy load.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready | Self::Idle)
    }
}
