//! [`RunDirectory`]: the files of a training run, from which it goes on after any interruption.
//!
//! `checkpoint-N` has all that step N needs; it appears under its name when it is whole, and the one
//! before stays until then. `loss.jsonl` has a line for each step.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::TuneError;
use crate::parameters::Parameters;
use crate::trainer::StepReport;

/// Whole checkpoints that are kept: the last one, and the one before in case a disk lies.
const KEPT: usize = 2;
const PREFIX: &str = "checkpoint-";
const TENSORS: &str = "tensors.safetensors";
const FACTS: &str = "run.json";
const OPTIMIZER: &str = "optimizer.";

/// The files of one run.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    /// What the run is of: checkpoints of another one are refused.
    identity: String,
}

#[derive(Serialize, Deserialize)]
struct Facts {
    identity: String,
    steps: usize,
}

/// Where a run goes on.
#[derive(Debug)]
pub struct SavedState {
    /// Steps that are done.
    pub steps: usize,
    /// The optimizer's tensors.
    pub optimizer: BTreeMap<String, Tensor>,
}

impl RunDirectory {
    /// The directory `path`, which is made where it is not; `identity` says everything that decides
    /// the run's course: configuration, data, base model.
    ///
    /// # Errors
    /// [`TuneError::Io`].
    pub fn open(path: &Path, identity: impl Into<String>) -> Result<Self, TuneError> {
        fs::create_dir_all(path).map_err(TuneError::io(path))?;
        let directory = Self { path: path.to_owned(), identity: identity.into() };
        for left_over in directory.checkpoints()?.into_iter().filter(|(_, path)| is_unfinished(path)) {
            fs::remove_dir_all(&left_over.1).map_err(TuneError::io(&left_over.1))?;
        }
        Ok(directory)
    }

    /// Saves a checkpoint; what an error leaves behind is removed, and the last one stays.
    ///
    /// # Errors
    /// [`TuneError::Io`], [`TuneError::State`].
    pub fn save(
        &self,
        parameters: &Parameters,
        (steps, optimizer): (usize, BTreeMap<String, Tensor>),
    ) -> Result<(), TuneError> {
        let unfinished = self.path.join(format!("{PREFIX}{steps}.part"));
        let path = self.path.join(format!("{PREFIX}{steps}"));
        let written = self.write(&unfinished, parameters, (steps, optimizer));
        if let Err(error) = written {
            // The error that is told is the first one.
            drop(fs::remove_dir_all(&unfinished));
            return Err(error);
        }
        if path.exists() {
            fs::remove_dir_all(&path).map_err(TuneError::io(&path))?;
        }
        fs::rename(&unfinished, &path).map_err(TuneError::io(&path))?;
        sync(&self.path)?;
        let mut checkpoints = self.checkpoints()?;
        checkpoints.truncate(checkpoints.len().saturating_sub(KEPT));
        for (_, old) in checkpoints {
            fs::remove_dir_all(&old).map_err(TuneError::io(&old))?;
        }
        Ok(())
    }

    fn write(
        &self,
        to: &Path,
        parameters: &Parameters,
        (steps, optimizer): (usize, BTreeMap<String, Tensor>),
    ) -> Result<(), TuneError> {
        fs::create_dir_all(to).map_err(TuneError::io(to))?;
        let own = parameters.variables().map(|(name, variable)| (name.to_owned(), variable.as_tensor().clone()));
        let others = optimizer.into_iter().map(|(name, tensor)| (format!("{OPTIMIZER}{name}"), tensor));
        let tensors: HashMap<String, Tensor> = own.chain(others).collect();
        let path = to.join(TENSORS);
        candle_core::safetensors::save(&tensors, &path).map_err(|error| TuneError::state(&path, error.to_string()))?;
        sync(&path)?;
        let facts = serde_json::to_vec(&Facts { identity: self.identity.clone(), steps });
        let path = to.join(FACTS);
        let facts = facts.map_err(|error| TuneError::state(&path, error.to_string()))?;
        let mut file = File::create(&path).map_err(TuneError::io(&path))?;
        file.write_all(&facts).and_then(|()| file.sync_all()).map_err(TuneError::io(&path))?;
        sync(to)
    }

    /// Loads the last whole checkpoint into the parameters; `None` when there is none.
    ///
    /// # Errors
    /// [`TuneError::State`] for one of another run, or that lacks a tensor; [`TuneError::Io`],
    /// [`TuneError::Compute`].
    pub fn load(&self, parameters: &Parameters) -> Result<Option<SavedState>, TuneError> {
        let Some((_, path)) = self.checkpoints()?.pop() else { return Ok(None) };
        let facts_path = path.join(FACTS);
        let facts = fs::read(&facts_path).map_err(TuneError::io(&facts_path))?;
        let facts: Facts =
            serde_json::from_slice(&facts).map_err(|error| TuneError::state(&facts_path, error.to_string()))?;
        if facts.identity != self.identity {
            let reason = "it belongs to a run with another configuration, other data or another model; \
                          choose another directory, or remove this one";
            return Err(TuneError::state(&path, reason));
        }
        let tensors_path = path.join(TENSORS);
        let loaded = candle_core::safetensors::load(&tensors_path, parameters.device());
        let mut tensors = loaded.map_err(|error| TuneError::state(&tensors_path, error.to_string()))?;
        for (name, variable) in parameters.variables() {
            let missing = || TuneError::state(&tensors_path, format!("{name} is missing"));
            variable.set(&tensors.remove(name).ok_or_else(missing)?)?;
        }
        let optimizer =
            tensors.into_iter().filter_map(|(name, tensor)| Some((name.strip_prefix(OPTIMIZER)?.to_owned(), tensor)));
        Ok(Some(SavedState { steps: facts.steps, optimizer: optimizer.collect() }))
    }

    /// Adds a step to the loss curve.
    ///
    /// # Errors
    /// [`TuneError::Io`].
    pub fn note(&self, report: &StepReport) -> Result<(), TuneError> {
        let path = self.curve_path();
        let line = serde_json::to_string(report).map_err(|error| TuneError::state(&path, error.to_string()))?;
        let file = fs::OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).map_err(TuneError::io(&path))
    }

    /// Forgets the steps of the curve from `steps` on, and a line that was not written to its end:
    /// they are done again.
    ///
    /// # Errors
    /// [`TuneError::Io`].
    pub fn rewind(&self, steps: usize) -> Result<(), TuneError> {
        let path = self.curve_path();
        let kept: String = self
            .curve()?
            .iter()
            .take_while(|report| report.step < steps)
            .map(|report| {
                // A report that was read can be written.
                format!("{}\n", serde_json::to_string(report).unwrap_or_default())
            })
            .collect();
        let new = path.with_extension("part");
        fs::write(&new, kept).and_then(|()| fs::rename(&new, &path)).map_err(TuneError::io(&path))
    }

    /// The steps so far.
    ///
    /// # Errors
    /// [`TuneError::Io`].
    pub fn curve(&self) -> Result<Vec<StepReport>, TuneError> {
        let path = self.curve_path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(TuneError::io(&path)(error)),
        };
        Ok(text.lines().map_while(|line| serde_json::from_str(line).ok()).collect())
    }

    fn curve_path(&self) -> PathBuf {
        self.path.join("loss.jsonl")
    }

    /// Checkpoints with their steps, the oldest first; unfinished ones before whole ones.
    fn checkpoints(&self) -> Result<Vec<(Option<usize>, PathBuf)>, TuneError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(TuneError::io(&self.path))? {
            let path = entry.map_err(TuneError::io(&self.path))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(rest) = name.and_then(|name| name.strip_prefix(PREFIX)) {
                found.push((rest.parse().ok(), path));
            }
        }
        found.sort();
        Ok(found)
    }
}

fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "part")
}

fn sync(path: &Path) -> Result<(), TuneError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(TuneError::io(path))
}
