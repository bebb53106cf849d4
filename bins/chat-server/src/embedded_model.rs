//! [`EmbeddedModelLoader`]: brings the model that is part of the program into memory.

use llm_client::{LoadStage, LoadedModel, ModelIdentity, ModelLoader};
use qwen_runtime::{Checkpoint, Runtime, RuntimeConfig};

use crate::model_loader::{in_one_line, stage_of};

/// Loads triage-mini: nothing is fetched, and nothing lies on the disk.
#[derive(Debug)]
pub(crate) struct EmbeddedModelLoader {
    runtime: RuntimeConfig,
}

impl EmbeddedModelLoader {
    pub(crate) fn new(runtime: RuntimeConfig) -> Self {
        Self { runtime }
    }
}

impl ModelLoader for EmbeddedModelLoader {
    fn identity(&self) -> ModelIdentity {
        ModelIdentity { name: triage_mini::NAME.to_owned(), revision: None }
    }

    fn load(&self, report: &dyn Fn(LoadStage)) -> Result<LoadedModel, String> {
        let checkpoint = Checkpoint::embedded(triage_mini::NAME, triage_mini::FILES).map_err(in_one_line)?;
        let progress = |progress| report(stage_of(progress));
        let runtime = Runtime::of_checkpoint(&checkpoint, self.runtime.clone(), &progress).map_err(in_one_line)?;
        Ok(LoadedModel { runtime, identity: self.identity() })
    }
}
