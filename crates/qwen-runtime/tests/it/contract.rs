//! What every engine promises, checked on each engine that there is.

use std::num::NonZeroUsize;

use qwen_runtime::{
    CandleConfig, CandleEngine, Checkpoint, ComputeDevice, Devices, Engine, Logits, LogitsAt, RuntimeError, SequenceId,
    SequenceStep, WeightForm,
};

use crate::logits::Feeding;
use crate::{golden, logits};

fn step(engine: &mut dyn Engine, sequence: SequenceId, tokens: &[u32], at: LogitsAt) -> Result<Logits, RuntimeError> {
    let position = engine.len(sequence)?;
    Ok(engine.step(&[SequenceStep { sequence, position, tokens, logits: at }])?.remove(0))
}

fn assert_same(a: &Logits, b: &Logits) {
    assert_eq!(a.rows(), b.rows());
    let worst = a.values().iter().zip(b.values()).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
    assert!(worst < 1e-3, "off by {worst}");
}

/// The contract of [`Engine`]. `engine` is empty and has room for 8 sequences and 8,192 tokens.
fn keeps_the_contract(engine: &mut dyn Engine) {
    let prompt = [5_u32, 9, 200, 31, 77, 6];
    let one = engine.allocate().unwrap();
    let whole = step(engine, one, &prompt, LogitsAt::All).unwrap();
    assert_eq!((whole.rows(), engine.len(one).unwrap(), engine.capacity().tokens), (6, 6, 6));
    assert_eq!(whole.values().len(), 6 * engine.architecture().vocab_size);
    assert_eq!(whole.last().unwrap(), &whole.values()[5 * engine.architecture().vocab_size..]);

    // Logits only where they are asked for.
    assert_eq!(step(engine, one, &[4], LogitsAt::None).unwrap().rows(), 0);
    let after = step(engine, one, &[8, 2], LogitsAt::Last).unwrap();
    assert_eq!(after.rows(), 1);

    // What was truncated is forgotten, and can be written again.
    engine.truncate(one, 6).unwrap();
    step(engine, one, &[99, 98, 97, 96], LogitsAt::None).unwrap();
    engine.truncate(one, 6).unwrap();
    step(engine, one, &[4], LogitsAt::None).unwrap();
    assert_same(&step(engine, one, &[8, 2], LogitsAt::Last).unwrap(), &after);

    // A fork goes its own way.
    let two = engine.fork(one, 6).unwrap();
    assert_eq!(engine.len(two).unwrap(), 6);
    step(engine, two, &[500, 501], LogitsAt::None).unwrap();
    step(engine, one, &[3], LogitsAt::None).unwrap();
    engine.truncate(two, 6).unwrap();
    step(engine, two, &[4], LogitsAt::None).unwrap();
    assert_same(&step(engine, two, &[8, 2], LogitsAt::Last).unwrap(), &after);

    // A sequence that begins as another one did gives the same, whether that one is still there or not,
    // and its own way is not the other's.
    let capacity = engine.capacity();
    assert!(capacity.free_tokens <= capacity.max_tokens - capacity.tokens, "{capacity:?}");
    let long: Vec<u32> = (0..100).map(|n| 1 + n * 7 % 300).collect();
    let first = engine.allocate().unwrap();
    let expected = step(engine, first, &long, LogitsAt::Last).unwrap();
    for freed in [false, true] {
        let (again, cached) = engine.resume(&long).unwrap();
        assert!(cached < long.len() && engine.len(again).unwrap() == cached);
        assert_same(&step(engine, again, &long[cached..], LogitsAt::Last).unwrap(), &expected);
        let (other, cached) = engine.resume(&[&long[..60], &[9, 9, 9]].concat()).unwrap();
        assert!(cached <= 60 && engine.len(other).unwrap() == cached);
        step(engine, other, &[8, 8], LogitsAt::None).unwrap();
        if !freed {
            engine.free(first).unwrap();
        }
        engine.free(again).unwrap();
        engine.free(other).unwrap();
    }
    assert_eq!(engine.resume(&[]).map(|(id, cached)| engine.free(id).map(|()| cached)).unwrap().unwrap(), 0);
    assert_eq!(engine.capacity().tokens, capacity.tokens);

    // A failed step changes nothing, not even for the sequences that were right.
    let tokens = engine.capacity().tokens;
    let (at_one, at_two) = (engine.len(one).unwrap(), engine.len(two).unwrap());
    let good = SequenceStep { sequence: one, position: at_one, tokens: &[1], logits: LogitsAt::Last };
    let vocab_size = engine.architecture().vocab_size as u32;
    for bad in [
        SequenceStep { sequence: two, position: at_two + 1, tokens: &[1], logits: LogitsAt::Last },
        SequenceStep { sequence: two, position: at_two, tokens: &[], logits: LogitsAt::Last },
        SequenceStep { sequence: two, position: at_two, tokens: &[vocab_size], logits: LogitsAt::Last },
        SequenceStep { sequence: SequenceId::new(999), position: 0, tokens: &[1], logits: LogitsAt::Last },
        good,
    ] {
        let error = engine.step(&[good, bad]).unwrap_err();
        assert!(matches!(error, RuntimeError::InvalidStep(_) | RuntimeError::UnknownSequence), "{error}");
        assert_eq!((engine.len(one).unwrap(), engine.capacity().tokens), (at_one, tokens));
    }
    let too_long = vec![1_u32; engine.capacity().max_sequence_len];
    let error = step(engine, one, &too_long, LogitsAt::None).unwrap_err();
    assert!(matches!(error, RuntimeError::CacheFull { .. }), "{error}");
    assert!(matches!(engine.truncate(one, at_one + 1), Err(RuntimeError::InvalidStep(_))));
    assert!(matches!(engine.fork(one, at_one + 1), Err(RuntimeError::InvalidStep(_))));

    // A sequence gives the same alone and beside others.
    let alone = engine.allocate().unwrap();
    let expected = step(engine, alone, &prompt, LogitsAt::All).unwrap();
    let beside = engine.allocate().unwrap();
    let batch = [
        SequenceStep { sequence: one, position: at_one, tokens: &[7], logits: LogitsAt::None },
        SequenceStep { sequence: beside, position: 0, tokens: &prompt, logits: LogitsAt::All },
        SequenceStep { sequence: two, position: at_two, tokens: &[1, 2, 3], logits: LogitsAt::Last },
    ];
    let together = engine.step(&batch).unwrap();
    assert_eq!(together.iter().map(Logits::rows).collect::<Vec<_>>(), [0, 6, 1]);
    assert_same(&together[1], &expected);
    // The last row is the same, whether others are asked for or not.
    engine.truncate(two, at_two).unwrap();
    let all = step(engine, two, &[1, 2, 3], LogitsAt::All).unwrap();
    let last = all.last().unwrap();
    assert_same(&together[2], &Logits::new(last.to_vec(), last.len()));

    // Handles are given back and not used again.
    while engine.capacity().sequences < engine.capacity().max_sequences {
        engine.allocate().unwrap();
    }
    assert!(matches!(engine.allocate(), Err(RuntimeError::CacheFull { .. })));
    assert!(matches!(engine.fork(one, 1), Err(RuntimeError::CacheFull { .. })));
    engine.free(one).unwrap();
    assert!(matches!(engine.free(one), Err(RuntimeError::UnknownSequence)));
    assert!(matches!(engine.len(one), Err(RuntimeError::UnknownSequence)));
    assert_ne!(engine.allocate().unwrap(), one);
}

#[test]
fn the_candle_engine_begins_where_an_earlier_sequence_did() {
    let checkpoint = Checkpoint::open(&golden::own("tied-f32")).unwrap();
    let config = CandleConfig { max_sequences: 4, max_tokens: 256, ..logits::candle_config(WeightForm::Stored) };
    let mut engine = CandleEngine::load(&checkpoint, config, &|_, _| {}).unwrap();
    let long: Vec<u32> = (0..100).collect();
    let first = engine.allocate().unwrap();
    step(&mut engine, first, &long, LogitsAt::None).unwrap();
    let (second, cached) = engine.resume(&[&long[..60], &[1]].concat()).unwrap();
    assert_eq!(cached, 60);
    engine.free(first).unwrap();
    assert_eq!(engine.resume(&long).unwrap().1, 99);
    // A sequence that is over gives way to others, and running ones stay.
    assert_eq!(engine.capacity().free_tokens, 256 - 60 - 99);
    step(&mut engine, second, &[5; 256 - 60 - 99], LogitsAt::None).unwrap();
    assert_eq!(engine.capacity().free_tokens, 0);
    assert!(matches!(step(&mut engine, second, &[5], LogitsAt::None), Err(RuntimeError::CacheFull { .. })));
}

#[test]
fn the_candle_engine_keeps_the_contract() {
    keeps_the_contract(&mut logits::engine(&golden::own("tied-f32"), WeightForm::Stored));
    keeps_the_contract(&mut logits::engine(&golden::own("k256-gguf/model-Q4_K_M.gguf"), WeightForm::Stored));
}

/// Two processors in the place of two GPUs: what is split is computed as what is whole, and is cached where it is computed.
#[test]
fn layers_on_two_devices_compute_as_on_one() {
    let split = CandleConfig {
        devices: Devices::new(ComputeDevice::Cpu, NonZeroUsize::new(2).unwrap()),
        ..logits::candle_config(WeightForm::Stored)
    };
    for path in ["tied-f32", "k256-gguf/model-Q4_K_M.gguf"].map(golden::own) {
        let checkpoint = Checkpoint::open(&path).unwrap();
        let mut two = CandleEngine::load(&checkpoint, split, &|_, _| {}).unwrap();
        let mut one = logits::engine(&path, WeightForm::Stored);
        let prompts = [(0..50).collect(), (9..30).collect()];
        let run = |engine: &mut CandleEngine, feeding| logits::run(engine, &prompts, feeding);
        for feeding in [Feeding::Whole, Feeding::Chunks(7), Feeding::Together] {
            assert_eq!(run(&mut one, feeding), run(&mut two, feeding), "{}", path.display());
        }
        keeps_the_contract(&mut CandleEngine::load(&checkpoint, split, &|_, _| {}).unwrap());

        let layers = checkpoint.architecture().layers;
        let devices = Devices::new(ComputeDevice::Cpu, NonZeroUsize::new(layers + 1).unwrap());
        let error = CandleEngine::load(&checkpoint, CandleConfig { devices, ..split }, &|_, _| {}).unwrap_err();
        assert!(matches!(error, RuntimeError::InvalidParameter { name: "device", .. }), "{error}");
    }
}

#[test]
fn the_cpu_engine_keeps_the_contract() {
    for path in [golden::own("tied-f32"), golden::own("k256-gguf/model-Q4_K_M.gguf")] {
        keeps_the_contract(&mut logits::cpu_engine(&path, logits::cpu_config(WeightForm::Stored)));
    }
}
