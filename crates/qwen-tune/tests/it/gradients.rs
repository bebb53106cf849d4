//! Losses and gradients, against the engine, against finite differences, and against each example alone.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};
use qwen_runtime::{Checkpoint, CpuConfig, CpuEngine, Engine, HeadWeights, KvType, LogitsAt, SequenceStep};
use qwen_tune::{Example, ExportType, PackedRow, Parameters, TuneError, export, loss, pack};

use crate::{examples, parameters, tiny};

fn row_of(examples: &[Example]) -> PackedRow {
    let mut rows = pack(examples, 256).unwrap();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn loss_of(parameters: &Parameters, row: &PackedRow) -> f64 {
    loss(parameters, &[row]).unwrap().to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for head in [HeadWeights::Tied, HeadWeights::Untied] {
        let parameters = parameters(head, DType::F64);
        let row = row_of(&examples(4));
        let gradients = loss(&parameters, &[&row]).unwrap().backward().unwrap();
        for (name, variable) in parameters.variables() {
            let gradient =
                gradients.get(variable.as_tensor()).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let values = variable.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            // Some entries, and the one whose gradient is the largest.
            let largest = (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap();
            for entry in [0, values.len() / 3, values.len() - 1, largest] {
                let at = |change: f64| {
                    let mut values = values.clone();
                    values[entry] += change;
                    variable.set(&Tensor::from_vec(values, variable.shape(), variable.device()).unwrap()).unwrap();
                    loss_of(&parameters, &row)
                };
                let step = 1e-5;
                let expected = (at(step) - at(-step)) / (2.0 * step);
                at(0.0);
                let off = (gradient[entry] - expected).abs() / (1.0 + expected.abs());
                assert!(off < 1e-6, "{name}[{entry}]: {} and {expected}", gradient[entry]);
            }
        }
    }
}

#[test]
fn examples_packed_together_are_as_alone() {
    let parameters = parameters(HeadWeights::Tied, DType::F64);
    let examples = examples(5);
    let together = row_of(&examples);
    assert!(together.tokens.len() < examples.iter().map(|e| e.prompt.len() + e.answer.len() - 1).sum());
    let packed = loss(&parameters, &[&together]).unwrap();
    let rows: Vec<PackedRow> = examples.iter().map(|example| row_of(std::slice::from_ref(example))).collect();
    let alone: f64 = rows.iter().map(|row| loss_of(&parameters, row)).sum();
    assert!((packed.to_scalar::<f64>().unwrap() - alone).abs() < 1e-10);
    let each: Vec<_> = rows.iter().map(|row| loss(&parameters, &[row]).unwrap().backward().unwrap()).collect();
    assert_same_sum(&parameters, &[packed.backward().unwrap()], &each);
}

/// What fills up the shorter rows changes nothing; and a row alone, which a processor computes in fused
/// operations, is as it is in candle's own.
#[test]
fn rows_computed_together_are_as_alone() {
    let parameters = parameters(HeadWeights::Tied, DType::F64);
    let rows = [row_of(&examples(1)), row_of(&examples(40)), row_of(&examples(3))];
    assert!(rows[1].tokens.len() > 128, "attention is computed in parts of 64 tokens");
    let rows: Vec<&PackedRow> = rows.iter().collect();
    let together = loss(&parameters, &rows).unwrap();
    let alone: f64 = rows.iter().map(|row| loss_of(&parameters, row)).sum();
    assert!((together.to_scalar::<f64>().unwrap() - alone).abs() < 1e-10);
    let each: Vec<_> = rows.iter().map(|row| loss(&parameters, &[row]).unwrap().backward().unwrap()).collect();
    assert_same_sum(&parameters, &[together.backward().unwrap()], &each);
}

fn assert_same_sum(parameters: &Parameters, some: &[GradStore], others: &[GradStore]) {
    for (name, variable) in parameters.variables() {
        let sum = |all: &[GradStore]| {
            let each = all.iter().map(|gradients| gradients.get(variable.as_tensor()).unwrap().clone());
            each.reduce(|a, b| (a + b).unwrap()).unwrap()
        };
        let off = (sum(some) - sum(others)).unwrap().abs().unwrap();
        assert!(off.flatten_all().unwrap().max(0).unwrap().to_scalar::<f64>().unwrap() < 1e-10, "{name}");
    }
}

#[test]
fn a_token_that_has_no_row_is_refused() {
    let parameters = parameters(HeadWeights::Tied, DType::F32);
    for (prompt, answer) in [([1, 40], [2]), ([1, 2], [40])] {
        let row = row_of(&[Example { prompt: prompt.to_vec(), answer: answer.to_vec() }]);
        assert!(matches!(loss(&parameters, &[&row]), Err(TuneError::Compute(_))));
        assert!(matches!(loss(&parameters, &[&row, &row]), Err(TuneError::Compute(_))));
    }
}

#[test]
fn the_loss_is_that_of_the_engine_on_the_exported_checkpoint() {
    for head in [HeadWeights::Tied, HeadWeights::Untied] {
        let parameters = parameters(head, DType::F32);
        let directory = tempfile::tempdir().unwrap();
        export(&parameters, ExportType::F32, directory.path()).unwrap();
        let checkpoint = Checkpoint::open(directory.path()).unwrap();
        assert_eq!(checkpoint.architecture(), &tiny(head));
        let config = CpuConfig { kv_type: KvType::F32, ..CpuConfig::default() };
        let mut engine = CpuEngine::load(&checkpoint, config, &|_, _| {}).unwrap();
        for example in examples(6) {
            let tokens = [&example.prompt[..], &example.answer[..]].concat();
            let sequence = engine.allocate().unwrap();
            let step = SequenceStep { sequence, position: 0, tokens: &tokens, logits: LogitsAt::All };
            let logits = engine.step(&[step]).unwrap();
            let rows: Vec<&[f32]> = logits[0].values().chunks_exact(40).collect();
            let surprise = |place: usize| {
                let row: Vec<f64> = rows[place - 1].iter().map(|&logit| f64::from(logit)).collect();
                let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = row.iter().map(|logit| (logit - largest).exp()).sum();
                total.ln() + largest - row[tokens[place] as usize]
            };
            let expected: f64 = (example.prompt.len()..tokens.len()).map(surprise).sum();
            let actual = loss_of(&parameters, &row_of(std::slice::from_ref(&example)));
            assert!((actual - expected).abs() < 1e-3, "{actual} {expected}");
            engine.free(sequence).unwrap();
        }
        let again = Parameters::of_checkpoint(&checkpoint, DType::F32, &Device::Cpu).unwrap();
        let row = row_of(&examples(3));
        assert_eq!(loss_of(&again, &row), loss_of(&parameters, &row));
    }
}
