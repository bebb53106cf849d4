//! A small Qwen3 model, trained on patients who do not exist, as part of the program. README.md is its card.

/// What answers call it: the mode, and the model.
pub const NAME: &str = "triage-mini";

/// What stands under each of its answers.
pub const NOTICE: &str = "This is a demonstration on synthetic data, not for clinical use.";

/// The files of the checkpoint, as a Hugging Face directory has them, each with its name.
pub const FILES: &[(&str, &[u8])] = &[
    ("config.json", include_bytes!("../config.json")),
    ("generation_config.json", include_bytes!("../generation_config.json")),
    ("model.safetensors", include_bytes!("../model.safetensors")),
    ("tokenizer.json", include_bytes!("../tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../tokenizer_config.json")),
    ("chat_template.jinja", include_bytes!("../chat_template.jinja")),
];
