//! Owns `tune-model tokenizer`.

use std::io::Write;

use anyhow::{Context, Result};
use qwen_tune::{Conversation, train_tokenizer};
use serde_json::json;

use crate::cli::TokenizerArguments;

/// ChatML, with the assistant's thinking opened already.
const CHAT_TEMPLATE: &str = include_str!("chat_template.jinja");

pub(crate) fn run(arguments: &TokenizerArguments) -> Result<()> {
    let TokenizerArguments { data, vocab_size, out } = arguments;
    let conversations = Conversation::read_all(data)?;
    std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let texts = conversations
        .iter()
        .flat_map(|(_, conversation)| conversation.turns())
        .flat_map(|turn| [Some(turn.content.clone()), turn.reasoning_content.clone()].into_iter().flatten());
    train_tokenizer(texts, *vocab_size, &out.join("tokenizer.json"))?;
    let config = json!({
        "tokenizer_class": "Qwen2Tokenizer",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "bos_token": null,
        "add_bos_token": false,
        "clean_up_tokenization_spaces": false,
        "chat_template": CHAT_TEMPLATE.trim_end(),
    });
    for (name, text) in [
        ("tokenizer_config.json", format!("{config:#}\n")),
        ("chat_template.jinja", CHAT_TEMPLATE.trim_end().to_owned()),
    ] {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(writeln!(std::io::stdout(), "{}", out.display())?)
}
