//! Whether a loss goes down, and goes down as it did.

use candle_core::{DType, Device};
use qwen_runtime::HeadWeights;
use qwen_tune::{Parameters, Trainer, TrainerOptions, pack};

use crate::{examples, options, tiny};

fn curve(options: TrainerOptions) -> Vec<f64> {
    let parameters = Parameters::random(&tiny(HeadWeights::Tied), 5, DType::F32, &Device::Cpu).unwrap();
    let rows = pack(&examples(60), 40).unwrap();
    let mut trainer = Trainer::new(&parameters, &rows, options).unwrap();
    std::iter::from_fn(|| trainer.step().unwrap()).map(|report| report.loss).collect()
}

#[test]
fn the_first_steps_are_as_they_were() {
    let text = include_str!("curve.txt");
    let expected: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let actual = curve(options(20));
    let off = expected.iter().zip(&actual).map(|(expected, actual)| (expected - actual).abs()).fold(0.0, f64::max);
    assert!((expected.len(), actual.len()) == (20, 20) && off < 1e-3, "off by {off}: {actual:?}");
}

#[test]
fn copying_is_learnt() {
    let losses = curve(options(400));
    assert!(losses[0] > 3.5 && losses[399] < 0.2, "{} to {}", losses[0], losses[399]);
}

#[test]
fn results_do_not_depend_on_chance() {
    assert_eq!(curve(options(6)), curve(options(6)));
    let other = curve(TrainerOptions { seed: 2, ..options(6) });
    assert_ne!(curve(options(6))[1..], other[1..]);
}
