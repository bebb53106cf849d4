//! Prompts: a chat template, and the tokenizer of the runtime's small golden checkpoint.

use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qwen_runtime::{Chat, ChatTemplate, Tokenizer};

fn text(criterion: &mut Criterion) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/qwen-runtime/tests/golden");
    let tokenizer = Tokenizer::from_file(&golden.join("tied-f32/tokenizer.json")).expect("the golden tokenizer");
    let source = std::fs::read_to_string(golden.join("chat/qwen3-thinking-2507.jinja")).expect("the golden template");
    let template = ChatTemplate::new(source).expect("the golden template");
    let record = "The patient takes Metformin 500 mg twice daily with meals; penicillin allergy (rash). ".repeat(12);
    let chat = Chat::new().with_message("system", record.as_str()).with_message("user", "What are my medications?");

    let mut group = criterion.benchmark_group("text");
    group.throughput(Throughput::Bytes(record.len() as u64));
    group.bench_function("tokenizer", |bencher| bencher.iter(|| tokenizer.encode_text(&record)));
    group.bench_function("template", |bencher| bencher.iter(|| template.render(&chat)));
    group.bench_function("template, protected and encoded", |bencher| {
        bencher.iter(|| template.encode(&chat, &tokenizer));
    });
    group.finish();
}

criterion_group!(benches, text);
criterion_main!(benches);
