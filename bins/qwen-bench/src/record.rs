//! Owns a result: llama-bench's fields under its names, and ours. The names are documented, and stay.

use std::time::Duration;

use serde::Serialize;

use crate::engine::EngineFacts;
use crate::machine;
use crate::model::ModelFacts;
use crate::plan::Test;
use crate::statistics::{deviation, mean, median};

/// What built this: the commit where the build was told it (`GIT_COMMIT`), else the version.
pub(crate) const BUILD: &str = match option_env!("GIT_COMMIT") {
    Some(commit) => commit,
    None => env!("CARGO_PKG_VERSION"),
};

/// One test's result.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Record {
    pub(crate) build_commit: &'static str,
    pub(crate) cpu_info: String,
    pub(crate) engine: &'static str,
    /// Where it computes, as `--device` says it.
    pub(crate) device: String,
    pub(crate) kernels: Option<String>,
    pub(crate) model_filename: String,
    pub(crate) model_type: String,
    /// Bytes of the tensors.
    pub(crate) model_size: u64,
    pub(crate) model_n_params: u64,
    /// There is no batch beside the ubatch here.
    pub(crate) n_batch: usize,
    pub(crate) n_ubatch: usize,
    pub(crate) n_threads: usize,
    pub(crate) type_k: String,
    pub(crate) type_v: String,
    pub(crate) n_prompt: usize,
    pub(crate) n_gen: usize,
    pub(crate) n_depth: usize,
    pub(crate) n_seqs: usize,
    pub(crate) test_time: String,
    pub(crate) avg_ns: u64,
    pub(crate) stddev_ns: u64,
    /// Tokens a second, summed over the sequences.
    pub(crate) avg_ts: f64,
    pub(crate) stddev_ts: f64,
    pub(crate) samples_ns: Vec<u64>,
    pub(crate) samples_ts: Vec<f64>,
    /// The most memory that the process has had so far, in bytes.
    pub(crate) peak_rss: Option<u64>,
    /// Bytes a second that the memory delivers to as many threads: the median around the repetitions.
    pub(crate) read_bandwidth: Option<f64>,
    /// Bytes that a generated token makes the engine read, on average.
    pub(crate) bytes_per_token: Option<f64>,
    /// The tokens a second, as a share of those that the bandwidth allows.
    pub(crate) roofline_share: Option<f64>,
    #[serde(skip)]
    pub(crate) test: Test,
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    /// When it began.
    pub(crate) test_time: String,
    /// The time of each repetition.
    pub(crate) times: Vec<Duration>,
    /// Bytes a second, around them.
    pub(crate) bandwidths: Vec<f64>,
}

impl Record {
    pub(crate) fn new(model: &ModelFacts, engine: &EngineFacts, test: Test, samples: Samples) -> Self {
        let nanoseconds = |time: &Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let samples_ns: Vec<u64> = samples.times.iter().map(nanoseconds).collect();
        let as_floats: Vec<f64> = samples_ns.iter().map(|&time| time as f64).collect();
        let samples_ts: Vec<f64> = as_floats.iter().map(|time| 1e9 * test.tokens() as f64 / time).collect();
        let avg_ts = mean(&samples_ts);
        let bytes_per_token = test.is_generation().then(|| model.bytes_per_token(test, engine.kv_type));
        let read_bandwidth = median(&samples.bandwidths);
        let roofline_share = bytes_per_token.zip(read_bandwidth).map(|(bytes, bandwidth)| avg_ts * bytes / bandwidth);
        Self {
            build_commit: BUILD,
            cpu_info: machine::cpu_name(),
            engine: engine.name,
            device: engine.devices.to_string(),
            kernels: engine.kernels.clone(),
            model_filename: model.filename.clone(),
            model_type: model.kind.clone(),
            model_size: model.bytes,
            model_n_params: model.weights,
            n_batch: test.ubatch,
            n_ubatch: test.ubatch,
            n_threads: test.threads,
            type_k: engine.kv_name.clone(),
            type_v: engine.kv_name.clone(),
            n_prompt: test.prompt,
            n_gen: test.generated,
            n_depth: test.depth,
            n_seqs: test.sequences,
            test_time: samples.test_time,
            // The casts saturate; no test takes centuries.
            avg_ns: mean(&as_floats) as u64,
            stddev_ns: deviation(&as_floats) as u64,
            avg_ts,
            stddev_ts: deviation(&samples_ts),
            samples_ns,
            samples_ts,
            peak_rss: machine::peak_rss(),
            read_bandwidth,
            bytes_per_token,
            roofline_share,
            test,
        }
    }
}
