//! The golden logits on a GPU. They were made in float32; a GPU computes in half precision.

use qwen_runtime::{CandleConfig, CandleEngine, Checkpoint, Devices, Engine, WeightForm};

use crate::golden;
use crate::logits::{Feeding, candle_config, cosines, run};

#[test]
#[ignore = "needs a GPU: GPU=cuda cargo test --release -p qwen-runtime --features cuda --test it gpu -- --ignored --nocapture"]
fn golden_logits_on_a_gpu() {
    let devices: Devices = std::env::var("GPU").unwrap().parse().unwrap();
    let own = golden::own("tied-f32");
    let gguf = golden::own("k256-gguf");
    let cases = [(own.clone(), own.join("expected")), (gguf.join("model-Q4_K_M.gguf"), gguf.join("expected-Q4_K_M"))];
    for (model, expected) in cases {
        let checkpoint = Checkpoint::open(&model).unwrap();
        let config = CandleConfig { devices, ..candle_config(WeightForm::Stored) };
        let mut engine = CandleEngine::load(&checkpoint, config, &|_, _| {}).unwrap();
        let prompts = golden::expected(&expected.with_file_name("expected.json")).prompts;
        let wanted = golden::logits(&expected.with_extension("safetensors"));
        for feeding in [Feeding::Whole, Feeding::Chunks(3), Feeding::Together] {
            let actual = run(&mut engine, &prompts, feeding);
            let (min, mean) = cosines(&actual, &wanted, engine.architecture().vocab_size);
            let name = model.file_name().unwrap_or_default().display();
            println!("| {name} | {} | {feeding:?} | {min:.5} | {mean:.5} |", engine.description());
            assert!(min >= 0.997 && mean >= 0.999, "{min} and {mean}");
        }
    }
}
