//! Token ids against Hugging Face's tokenizers, from tokenizer.json and from GGUF metadata.

use qwen_runtime::{Checkpoint, Tokenizer};
use serde::Deserialize;

use crate::golden;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    decoded: String,
}

#[test]
fn every_case_of_the_real_tokenizer() {
    let (Some(cases), Some(path)) =
        (golden::shared("golden/tokenizer/cases.json"), golden::shared("qwen3-tokenizer/tokenizer.json"))
    else {
        return;
    };
    let tokenizer = Tokenizer::from_file(&path).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(cases).unwrap()).unwrap();
    for case in cases {
        let ids = tokenizer.encode(&case.text).unwrap();
        assert_eq!(ids, case.ids, "{}", case.text);
        assert_eq!(tokenizer.decode(&ids), case.decoded);
    }
    assert_eq!(tokenizer.id_count(), 151_669);
    assert_eq!(tokenizer.added_token("</think>"), Some(151_668));
    assert!(!tokenizer.known_tokens().contains(151_669));
}

#[test]
fn prompts_of_the_own_checkpoint() {
    let tokenizer = Tokenizer::from_file(&golden::own("tied-f32/tokenizer.json")).unwrap();
    let expected = golden::expected(&golden::own("tied-f32/expected.json"));
    assert!(!expected.text.is_empty());
    for (text, ids) in expected.text.iter().zip(&expected.prompts) {
        assert_eq!(tokenizer.encode(text).unwrap(), *ids);
        assert_eq!(tokenizer.decode(ids), *text);
    }
}

#[test]
fn gguf_metadata_make_the_same_tokenizer() {
    let checkpoint = Checkpoint::open(&golden::own("k256-gguf/model-Q4_K_M.gguf")).unwrap();
    let from_gguf = Tokenizer::of_checkpoint(&checkpoint).unwrap();
    let from_json = Tokenizer::from_file(&golden::own("tied-f32/tokenizer.json")).unwrap();
    assert_eq!(from_gguf.id_count(), from_json.id_count());
    for text in golden::expected(&golden::own("tied-f32/expected.json")).text {
        assert_eq!(from_gguf.encode(&text).unwrap(), from_json.encode(&text).unwrap(), "{text}");
    }
}
