//! Chats against transformers' rendering, and the line between text and control tokens.

use proptest::prelude::*;
use qwen_runtime::{Chat, ChatTemplate, GenerationPrompt, Tokenizer};
use serde_json::{Value, json};

use crate::golden;

fn template(name: &str) -> ChatTemplate {
    ChatTemplate::new(std::fs::read_to_string(golden::own(&format!("chat/{name}.jinja"))).unwrap()).unwrap()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_file(&golden::own("tied-f32/tokenizer.json")).unwrap()
}

#[test]
fn every_case_reads_as_transformers_renders_it() {
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(golden::own("chat/cases.json")).unwrap()).unwrap();
    assert!(cases.len() >= 16);
    for (index, case) in cases.iter().enumerate() {
        let list = |key: &str| case.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut chat = Chat { messages: list("messages"), tools: list("tools"), ..Chat::new() };
        if case["add_generation_prompt"] != true {
            chat.generation_prompt = GenerationPrompt::Omit;
        }
        if let Some(value) = case.get("enable_thinking") {
            chat.variables.insert("enable_thinking".to_owned(), value.clone());
        }
        let template = template(case["template"].as_str().unwrap());
        let actual = template.render(&chat).ok();
        assert_eq!(actual.as_deref(), case["expected"].as_str(), "case {index}");
        // Protecting the texts changes nothing where no text looks like a control token.
        if let (Some(text), false) = (actual, chat.messages.iter().any(|m| m.to_string().contains("tool_"))) {
            let tokenizer = tokenizer();
            assert_eq!(template.encode(&chat, &tokenizer).unwrap(), tokenizer.encode(&text).unwrap(), "case {index}");
        }
    }
}

#[test]
fn python_shows_in_what_templates_print() {
    let template = ChatTemplate::new(
        "{{ none_value }}|{{ true }}|{{ small }}|{{ messages[0] | tojson }}|{{ ' x '.strip() }}|{{ 'a,b'.split(',')[-1] }}",
    )
    .unwrap();
    let mut chat = Chat::new();
    chat.messages = vec![json!({"b": 1e-7, "a": "<é>", "n": 10, "f": 1.0, "nil": null})];
    chat.variables.insert("none_value".to_owned(), Value::Null);
    chat.variables.insert("small".to_owned(), json!(1e-7));
    assert_eq!(
        template.render(&chat).unwrap(),
        "None|True|1e-07|{\"b\": 1e-07, \"a\": \"<é>\", \"n\": 10, \"f\": 1.0, \"nil\": null}|x|b"
    );
}

#[test]
fn lists_of_text_parts_are_joined() {
    let mut chat = Chat::new();
    chat.messages =
        vec![json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})];
    assert_eq!(
        template("qwen3-thinking-2507").render(&chat).unwrap(),
        "<|im_start|>user\nab<|im_end|>\n<|im_start|>assistant\n<think>\n"
    );
}

#[test]
fn a_refusal_of_the_template_is_an_error() {
    let template = ChatTemplate::new("{{ raise_exception('no system role') }}").unwrap();
    assert!(template.render(&Chat::new()).unwrap_err().to_string().contains("no system role"));
    assert!(ChatTemplate::new("{% if %}").is_err());
}

/// Texts that try to be more than text.
fn hostile_text() -> impl Strategy<Value = String> {
    let tokens = prop::sample::select(vec![
        "<|im_end|>",
        "<|im_start|>",
        "<|endoftext|>",
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "<tool_response>",
        "</tool_response>",
        "<",
        "<|",
        "im_end|>",
        "|>",
        "\n",
        " ",
        "system",
        "\u{100000}",
        "\u{100001}",
        "é",
    ]);
    prop::collection::vec(tokens.prop_map(str::to_owned).boxed().prop_union(".{0,4}".boxed()), 0..8)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_text_of_a_user_yields_a_control_token(
        system in hostile_text(), first in hostile_text(), answer in hostile_text(), second in hostile_text()
    ) {
        let tokenizer = tokenizer();
        for name in ["qwen3", "qwen3-thinking-2507"] {
            let template = template(name);
            let controls = |texts: [&str; 4]| -> Vec<u32> {
                let chat = Chat::new()
                    .with_message("system", texts[0])
                    .with_message("user", texts[1])
                    .with_message("assistant", texts[2])
                    .with_message("user", texts[3]);
                let ids = template.encode(&chat, &tokenizer).unwrap();
                ids.into_iter().filter(|&id| tokenizer.is_added(id)).collect()
            };
            // The control tokens are those of the template, whatever the texts are.
            prop_assert_eq!(controls([&system, &first, &answer, &second]), controls(["s", "u", "a", "v"]));
        }
    }

    #[test]
    fn the_text_itself_is_kept(text in hostile_text()) {
        let tokenizer = tokenizer();
        let chat = Chat::new().with_message("user", text.clone());
        let ids = template("qwen3").encode(&chat, &tokenizer).unwrap();
        let expected = format!("<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n");
        prop_assert_eq!(nfc(&tokenizer, &tokenizer.decode(&ids)), nfc(&tokenizer, &expected));
    }
}

/// The tokenizer composes characters; comparing needs the same of both sides.
fn nfc(tokenizer: &Tokenizer, text: &str) -> String {
    tokenizer.decode(&tokenizer.encode_text(text).unwrap())
}
