//! Whether a loss goes down, and goes down as it did.

use candle_core::{DType, Device};
use qwen_runtime::{Architecture, HeadWeights, Rope, RopeScaling};
use qwen_tune::{Example, Initialization, MuonOptions, Parameters, Schedule, Trainer, TrainerOptions, loss, pack};

use crate::{examples, options, tiny};

fn curve(options: TrainerOptions) -> Vec<f64> {
    let parameters =
        Parameters::random(&tiny(HeadWeights::Tied), Initialization::Normal, 5, DType::F32, &Device::Cpu).unwrap();
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

/// In fewer steps than AdamW needs, each at the rate that was best for it of 1e-3 to 4e-2.
#[test]
fn muon_learns_it_sooner() {
    let schedule = Schedule::new(2e-2, 5, 200, 0.1).unwrap();
    let adamw = TrainerOptions { schedule, ..options(200) };
    let muon = TrainerOptions { muon: Some(MuonOptions::default()), ..adamw };
    let (muon, adamw) = (curve(muon)[30], curve(adamw)[30]);
    assert!(muon < 0.2 && muon < adamw / 4.0, "{muon} and {adamw}");
}

#[test]
fn results_do_not_depend_on_chance() {
    assert_eq!(curve(options(6)), curve(options(6)));
    let other = curve(TrainerOptions { seed: 2, ..options(6) });
    assert_ne!(curve(options(6))[1..], other[1..]);
}

/// Before any step, a model copies what it has never seen: -ln p of each token is a fifth of that of chance.
/// And where two entries share words, it goes on in the one that was begun.
#[test]
fn what_begins_with_induction_can_copy() {
    let roomy = Architecture {
        hidden_size: 256,
        head_dim: 64,
        vocab_size: 512,
        rope: Rope { theta: 1e6, scaling: RopeScaling::None },
        ..tiny(HeadWeights::Tied)
    };
    let text: Vec<u32> = (0..160).map(|n| (n * n * 31 + n * 97) % 509).collect();
    let example = Example { prompt: [&text[..120], &text[40..44]].concat(), answer: text[44..84].to_vec() };
    let loss_of = |example: &Example, initialization, seed| {
        let rows = pack(std::slice::from_ref(example), 512).unwrap();
        let parameters = Parameters::random(&roomy, initialization, seed, DType::F32, &Device::Cpu).unwrap();
        f64::from(loss(&parameters, &[&rows[0]]).unwrap().to_scalar::<f32>().unwrap()) / rows[0].targets.len() as f64
    };
    let [normal, induction] =
        [Initialization::Normal, Initialization::Induction].map(|first| loss_of(&example, first, 5));
    assert!(normal > 6.0 && induction < normal / 5.0, "{normal} and {induction}");

    // Two entries have four words in common, and end differently: the name before them tells which is meant, more
    // often than chance would have it, whatever the other weights are.
    let (names, common) = ([&text[60..80], &text[80..100]], &text[100..104]);
    let entries = [0, 1].map(|entry| [names[entry], common, &text[104 + entry..][..1]].concat());
    let goes_on = |entry: usize, seed| {
        let prompt = [&text[..40], &entries[0], &entries[1], &text[120..160], names[entry], common].concat();
        let [right, wrong] = [entry, 1 - entry].map(|answer| {
            let example = Example { prompt: prompt.clone(), answer: vec![text[104 + answer]] };
            loss_of(&example, Initialization::Induction, seed)
        });
        right < wrong
    };
    let right = (0..60).filter(|&number| goes_on(number % 2, number as u64)).count();
    assert!(right > 40, "{right} of 60");
}

#[test]
fn what_has_no_room_for_induction_is_refused() {
    let tiny = tiny(HeadWeights::Tied);
    let error = Parameters::random(&tiny, Initialization::Induction, 5, DType::F32, &Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("initialization"), "{error}");
}
