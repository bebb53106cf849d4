//! Adapters: what is learnt beside a frozen model is what the runtime merges into it, and belongs to that model alone.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use qwen_runtime::{Adapter, Checkpoint, HeadWeights, RuntimeError};
use qwen_tune::{
    AdamWOptions, ExportType, Initialization, LowRankOptions, Parameters, Schedule, Trainer, TrainerOptions, export,
    export_adapter, loss, pack,
};

use crate::{examples, parameters, tiny};

const OPTIONS: LowRankOptions = LowRankOptions { rank: 3, alpha: 6.0, seed: 2 };

/// A model in `directory`.
fn base(directory: &Path, export_type: ExportType) -> Checkpoint {
    export(&parameters(HeadWeights::Tied, DType::F32), export_type, directory).unwrap();
    Checkpoint::open(directory).unwrap()
}

/// An adapter for it, after some steps.
fn learnt(base: &Checkpoint, steps: usize) -> Parameters {
    let parameters = Parameters::low_rank(base, OPTIONS, DType::F32, &Device::Cpu).unwrap();
    let rows = pack(&examples(20), 64).unwrap();
    let adamw = AdamWOptions { weight_decay: 0.0, ..AdamWOptions::default() };
    let schedule = Schedule::new(1e-2, 0, steps, 1.0).unwrap();
    let options = TrainerOptions { rows_per_step: 3, threads: 1, seed: 1, schedule, adamw, muon: None };
    let mut trainer = Trainer::new(&parameters, &rows, options).unwrap();
    let mut losses = Vec::new();
    while let Some(report) = trainer.step().unwrap() {
        losses.push(report.loss);
    }
    assert!(losses[steps - 1] < 0.9 * losses[0], "{losses:?}");
    parameters
}

fn loss_of(parameters: &Parameters) -> f64 {
    let rows = pack(&examples(6), 256).unwrap();
    let rows: Vec<_> = rows.iter().collect();
    loss(parameters, &rows).unwrap().to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

#[test]
fn what_was_learnt_beside_a_model_is_what_is_merged_into_it() {
    let folder = tempfile::tempdir().unwrap();
    for export_type in [ExportType::F32, ExportType::F16, ExportType::BF16] {
        let base = base(&folder.path().join("base"), export_type);
        let before = loss_of(&Parameters::of_checkpoint(&base, DType::F32, &Device::Cpu).unwrap());
        let beside = learnt(&base, 8);
        let adapter = folder.path().join("adapter");
        export_adapter(&beside, &base, &adapter).unwrap();
        let merged = base.with_adapter(Adapter::open(&adapter).unwrap()).unwrap();
        let merged = Parameters::of_checkpoint(&merged, DType::F32, &Device::Cpu).unwrap();
        assert!((loss_of(&merged) - loss_of(&beside)).abs() < 1e-3, "{} {}", loss_of(&merged), loss_of(&beside));
        assert!((loss_of(&merged) - before).abs() > 1.0);
    }
}

/// A new adapter changes nothing, and learning leaves the model itself as it is.
#[test]
fn the_model_stays_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let base = base(folder.path(), ExportType::F32);
    let plain = Parameters::of_checkpoint(&base, DType::F32, &Device::Cpu).unwrap();
    let new = Parameters::low_rank(&base, OPTIONS, DType::F32, &Device::Cpu).unwrap();
    assert_eq!(loss_of(&new), loss_of(&plain));
    let beside = learnt(&base, 8);
    for (_, variable) in beside.variables() {
        let largest = variable.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(largest > 0.0);
        variable.set(&Tensor::zeros(variable.shape(), DType::F32, &Device::Cpu).unwrap()).unwrap();
    }
    assert_eq!(loss_of(&beside), loss_of(&plain));
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let own = base(&folder.path().join("base"), ExportType::F16);
    let adapter = folder.path().join("adapter");
    export_adapter(&learnt(&own, 8), &own, &adapter).unwrap();
    let open = || Adapter::open(&adapter).unwrap();
    let refused = |checkpoint: Checkpoint, complaint: &str| {
        let error = checkpoint.with_adapter(open()).unwrap_err();
        assert!(
            matches!(error, RuntimeError::InvalidAdapter { .. }) && error.to_string().contains(complaint),
            "{error}"
        );
    };
    // Of the same shape, with norms of its own.
    let other = parameters(HeadWeights::Tied, DType::F32);
    for (_, variable) in other.variables().filter(|(_, variable)| variable.rank() == 1) {
        variable.set(&(variable.as_tensor() * 1.5).unwrap()).unwrap();
    }
    let path = folder.path().join("other");
    export(&other, ExportType::F16, &path).unwrap();
    refused(Checkpoint::open(&path).unwrap(), "another model");
    // Of another shape, for which PEFT's own files, which name no base, are refused too.
    let unnamed = std::fs::read(adapter.join("adapter_model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&unnamed).unwrap();
    safetensors::serialize_to_file(tensors.tensors(), None, &adapter.join("adapter_model.safetensors")).unwrap();
    assert!(Checkpoint::open(&folder.path().join("base")).unwrap().with_adapter(open()).is_ok());
    let mut wider = tiny(HeadWeights::Tied);
    wider.intermediate_size = 64;
    let path = folder.path().join("wider");
    export(
        &Parameters::random(&wider, Initialization::Normal, 1, DType::F32, &Device::Cpu).unwrap(),
        ExportType::F16,
        &path,
    )
    .unwrap();
    refused(Checkpoint::open(&path).unwrap(), "shape");
    let mut flatter = tiny(HeadWeights::Tied);
    flatter.layers = 1;
    let path = folder.path().join("flatter");
    export(
        &Parameters::random(&flatter, Initialization::Normal, 1, DType::F32, &Device::Cpu).unwrap(),
        ExportType::F16,
        &path,
    )
    .unwrap();
    refused(Checkpoint::open(&path).unwrap(), "no matrix");
}

/// Whatever the files hold, there is an error that names one of them, and no panic.
#[test]
fn what_is_no_adapter_is_refused_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let base = base(&folder.path().join("base"), ExportType::F32);
    let adapter = folder.path().join("adapter");
    export_adapter(&learnt(&base, 8), &base, &adapter).unwrap();
    let (config, tensors) = (adapter.join("adapter_config.json"), adapter.join("adapter_model.safetensors"));
    let (good_config, good_tensors) = (std::fs::read_to_string(&config).unwrap(), std::fs::read(&tensors).unwrap());
    for (from, to) in [
        ("\"LORA\"", "\"IA3\""),
        ("\"r\": 3", "\"r\": 4"),
        ("\"r\": 3", "\"r\": 0"),
        ("\"bias\": \"none\"", "\"bias\": \"all\""),
        ("\"fan_in_fan_out\": false", "\"fan_in_fan_out\": true"),
        ("\"task_type\"", "\"use_dora\": true, \"task_type\""),
        ("\"task_type\"", "\"rank_pattern\": {\"q_proj\": 2}, \"task_type\""),
        ("{", "["),
    ] {
        assert!(good_config.contains(from));
        std::fs::write(&config, good_config.replacen(from, to, 1)).unwrap();
        let error = Adapter::open(&adapter).unwrap_err();
        assert!(error.to_string().contains("adapter_"), "{error}");
    }
    std::fs::write(&config, &good_config).unwrap();
    for cut in [0, 7, 100, good_tensors.len() / 2, good_tensors.len() - 1] {
        std::fs::write(&tensors, &good_tensors[..cut]).unwrap();
        let error = Adapter::open(&adapter).unwrap_err();
        assert!(error.to_string().contains("adapter_model.safetensors"), "{error}");
    }
    std::fs::remove_file(&tensors).unwrap();
    assert!(matches!(Adapter::open(&adapter).unwrap_err(), RuntimeError::Io { .. }));
}
