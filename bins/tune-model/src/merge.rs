//! Owns `tune-model merge`.

use std::io::Write;

use anyhow::{Result, bail};
use qwen_runtime::{Adapter, Checkpoint, StoredType, TensorName};
use qwen_tune::{DType, Device, ExportType, Parameters, export};

use crate::cli::MergeArguments;
use crate::side_files;

pub(crate) fn run(arguments: &MergeArguments) -> Result<()> {
    let MergeArguments { base: folder, adapter, out } = arguments;
    let base = Checkpoint::open(folder)?;
    // The numbers stay of the kind that they are.
    let export_type = match base.tensor_type(TensorName::Embedding)? {
        StoredType::F32 => ExportType::F32,
        StoredType::F16 => ExportType::F16,
        StoredType::BF16 => ExportType::BF16,
        quantized => bail!("{} is {quantized:?}: merge into the model that it was made of", folder.display()),
    };
    let merged = base.with_adapter(Adapter::open(adapter)?)?;
    export(&Parameters::of_checkpoint(&merged, DType::F32, &Device::Cpu)?, export_type, out)?;
    side_files::copy(folder, out)?;
    Ok(writeln!(std::io::stdout(), "{}", out.display())?)
}
