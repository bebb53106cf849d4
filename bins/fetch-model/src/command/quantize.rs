//! Owns `fetch-model quantize`: a model of the cache or of a directory becomes a GGUF file, whose path is printed.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::HumanBytes;
use model_cache::{ModelCache, ModelSpec};
use qwen_runtime::{ExistingFile, FileType, QuantizeOptions, QuantizeProgress, QuantizeReport};

use super::{Ended, Failure, print};
use crate::cli::{QuantizeArguments, TypeName};
use crate::progress::{Display, Step};

impl From<TypeName> for FileType {
    fn from(name: TypeName) -> Self {
        match name {
            TypeName::Q4KM => Self::Q4KM,
            TypeName::Q5KM => Self::Q5KM,
            TypeName::Q6K => Self::Q6K,
            TypeName::Q8_0 => Self::Q8_0,
            TypeName::F16 => Self::F16,
        }
    }
}

pub(super) fn run(
    cache: &ModelCache,
    model: &ModelSpec,
    arguments: QuantizeArguments,
    display: &Display,
) -> Result<Ended, Failure> {
    // Only what is there already: downloading is another command's business.
    let model = cache.resolve(model)?;
    let _in_use = model.hold()?;
    let name = model.name.rsplit('/').next().unwrap_or(&model.name).to_owned();
    let options = QuantizeOptions {
        importance: arguments.imatrix,
        existing: if arguments.overwrite { ExistingFile::Replace } else { ExistingFile::Keep },
        name: Some(name),
        threads: arguments.threads,
        ..QuantizeOptions::new(arguments.file_type.into())
    };
    let start = Instant::now();
    let begun = Cell::new(false);
    let show = |progress: QuantizeProgress<'_>| {
        if !begun.replace(true) {
            display.show(Step::Started { files: 1, total_bytes: progress.total, resumed_bytes: None });
        }
        display.show(progress);
        if progress.tensor_done == progress.tensor_total {
            display.show(Step::Done { file: progress.tensor.to_owned() });
        }
    };
    let done = qwen_runtime::quantize(&model.path, &arguments.out, &options, &show);
    display.close();
    let report = done.with_context(|| format!("cannot quantize {}", model.path.display()))?;
    display.note(&summary(&report, start.elapsed()));
    print(&arguments.out.display().to_string())?;
    Ok(Ended::Well)
}

fn summary(report: &QuantizeReport, time: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let bits = report.bytes as f64 * 8.0 / report.weights.max(1) as f64;
    let types: Vec<_> = report.types.iter().map(|count| format!("{} {:?}", count.tensors, count.dtype)).collect();
    let weighted = match report.weighted_tensors {
        0 => String::new(),
        count => format!("; {count} weighted by importance"),
    };
    let (size, types) = (HumanBytes(report.bytes), types.join(", "));
    format!("{size}, {bits:.2} bits for each weight, {time:.0?}; tensors: {types}{weighted}")
}
