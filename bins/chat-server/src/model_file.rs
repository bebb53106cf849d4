//! [`ModelFile`]: several models of this process, as a file names them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};
use model_cache::ByteSize;
use qwen_runtime::{EngineConfig, RuntimeConfig, WeightForm};
use serde::{Deserialize, Deserializer};

/// The file's content.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Memory that the models may take together; every model then states its own.
    #[serde(default, deserialize_with = "text")]
    pub memory: Option<ByteSize>,
    /// The models by their modes.
    pub models: BTreeMap<String, ModelEntry>,
}

/// One model. What is not set is as the flags have it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// As `MODEL`.
    pub model: String,
    /// As `ADAPTER`.
    pub adapter: Option<PathBuf>,
    /// Memory that it takes, KV cache included.
    #[serde(default, deserialize_with = "text")]
    pub memory: Option<ByteSize>,
    /// When it is loaded.
    #[serde(default)]
    pub load: Load,
    #[serde(default, deserialize_with = "text")]
    quantize: Option<WeightForm>,
    #[serde(default, deserialize_with = "text")]
    kv_memory: Option<ByteSize>,
    max_context: Option<usize>,
    max_sequences: Option<usize>,
    max_new_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<u32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    seed: Option<u64>,
}

/// When a model is loaded. The default mode is loaded at the start in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// At the start.
    Eager,
    /// On the first request.
    Lazy,
    /// When an operator says so.
    #[default]
    Manual,
}

impl ModelFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, has something unknown in it, or does not say what it must.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let content = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&content).with_context(|| path.display().to_string())
    }

    fn parse(content: &str) -> anyhow::Result<Self> {
        let file: Self = toml::from_str(content)?;
        if file.models.is_empty() {
            bail!("it names no model");
        }
        if file.memory.is_some()
            && let Some((mode, _)) = file.models.iter().find(|(_, entry)| entry.memory.is_none())
        {
            bail!("models.{mode} must state its memory, since the file limits that of all");
        }
        Ok(file)
    }
}

impl ModelEntry {
    /// `runtime` with what is set here.
    ///
    /// # Errors
    /// When a value is out of its range, or does not suit the engine.
    pub(crate) fn runtime(&self, runtime: &RuntimeConfig) -> anyhow::Result<RuntimeConfig> {
        let mut runtime = runtime.clone();
        if let Some(form) = self.quantize {
            let EngineConfig::Cpu(cpu) = &mut runtime.engine else { bail!("quantize is for the engine cpu") };
            cpu.weights = form;
        }
        runtime.kv_memory = self.kv_memory.map(|size| size.0).or(runtime.kv_memory);
        runtime.max_context = self.max_context.unwrap_or(runtime.max_context);
        runtime.max_sequences = self.max_sequences.unwrap_or(runtime.max_sequences);
        runtime.defaults.max_new_tokens = self.max_new_tokens.or(runtime.defaults.max_new_tokens);
        let sampling = &mut runtime.defaults.sampling;
        sampling.temperature = self.temperature.or(sampling.temperature);
        sampling.top_p = self.top_p.or(sampling.top_p);
        sampling.top_k = self.top_k.or(sampling.top_k);
        sampling.min_p = self.min_p.or(sampling.min_p);
        sampling.repetition_penalty = self.repetition_penalty.or(sampling.repetition_penalty);
        sampling.seed = self.seed.or(sampling.seed);
        sampling.clone().validate()?;
        Ok(runtime)
    }
}

/// A value that is written as text.
fn text<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(from: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        memory = "6GiB"
        [models.qwen]
        model = "Qwen/Qwen3-4B-Thinking-2507"
        memory = "4GiB"
        load = "eager"
        [models.small]
        model = "Qwen/Qwen3-0.6B"
        quantize = "q8_0"
        memory = "900MiB"
        temperature = 0.6
        max_new_tokens = 300
    "#;

    #[test]
    fn models_have_what_is_set_for_them_and_else_what_the_flags_say() {
        let file = ModelFile::parse(FILE).unwrap();
        assert_eq!((file.memory, file.models["qwen"].load), (Some(ByteSize(6 << 30)), Load::Eager));
        let small = &file.models["small"];
        assert_eq!((small.memory, small.load), (Some(ByteSize(900 << 20)), Load::Manual));
        let mut flags = RuntimeConfig::on_cpu();
        flags.defaults.sampling.top_p = Some(0.5);
        let runtime = small.runtime(&flags).unwrap();
        let sampling = &runtime.defaults.sampling;
        assert_eq!(
            (sampling.temperature, sampling.top_p, runtime.defaults.max_new_tokens),
            (Some(0.6), Some(0.5), Some(300))
        );
        let EngineConfig::Cpu(cpu) = &runtime.engine else { panic!("{:?}", runtime.engine) };
        assert_eq!(cpu.weights, "q8_0".parse().unwrap());
        assert_eq!(file.models["qwen"].runtime(&flags).unwrap(), flags);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (content, complaint) in [
            ("models = {}", "it names no model"),
            ("memory = \"1G\"\n[models.a]\nmodel = \"x/y\"", "models.a must state its memory"),
            ("memory = \"much\"\n[models.a]\nmodel = \"x/y\"", "is not a number of bytes"),
            ("[models.a]\nmodel = \"x/y\"\ntemprature = 1.0", "unknown field `temprature`"),
            ("[models.a]\nload = \"eager\"", "missing field `model`"),
            ("[models.a]\nmodel = \"x/y\"\nload = \"soon\"", "unknown variant `soon`"),
        ] {
            let error = format!("{:#}", ModelFile::parse(content).unwrap_err());
            assert!(error.contains(complaint), "{error}");
        }
        let entry = ModelEntry { top_p: Some(7.0), ..ModelEntry::default() };
        assert!(entry.runtime(&RuntimeConfig::on_cpu()).is_err());
    }
}
