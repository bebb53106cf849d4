//! [`ChatTemplate`]: a checkpoint's own Jinja template, rendered as transformers renders it.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value as JinjaValue};
use minijinja::{Environment, Error, ErrorKind};
use serde_json::{Map, Value};

use super::python_json::{self, Charset, KeyOrder, Style};
use super::{Chat, GenerationPrompt, protect};
use crate::TokenId;
use crate::checkpoint::Checkpoint;
use crate::error::RuntimeError;
use crate::tokenizer::Tokenizer;

const NAME: &str = "chat_template";
/// Names of special tokens that a tokenizer_config.json gives to templates.
const TOKEN_VARIABLES: [&str; 4] = ["bos_token", "eos_token", "pad_token", "unk_token"];

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Variables of the checkpoint, such as `eos_token`.
    variables: Map<String, Value>,
}

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// [`RuntimeError::Template`] with the place of a syntax error.
    pub fn new(source: impl Into<String>) -> Result<Self, RuntimeError> {
        let mut environment = Environment::new();
        // The settings of transformers' `_compile_jinja_template`.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(template_error)?;
        environment.set_syntax(syntax);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", tojson);
        environment.add_function("raise_exception", |message: String| -> Result<JinjaValue, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.set_formatter(|out, _state, value| {
            let written = match f64::try_from(value.clone()) {
                Ok(float) if value.is_number() && !value.is_integer() => out.write_str(&python_json::float_repr(float)),
                _ => out.write_fmt(format_args!("{value}")),
            };
            written.map_err(Error::from)
        });
        environment.add_template_owned(NAME, source.into()).map_err(template_error)?;
        Ok(Self { environment, variables: Map::new() })
    }

    /// The template of a checkpoint: `chat_template.jinja`, else that of tokenizer_config.json,
    /// else a GGUF file's metadata.
    ///
    /// # Errors
    /// [`RuntimeError::Io`], [`RuntimeError::InvalidCheckpoint`] when there is none,
    /// [`RuntimeError::Template`] when it cannot be parsed.
    pub fn of_checkpoint(checkpoint: &Checkpoint) -> Result<Self, RuntimeError> {
        let config = checkpoint.side_files().tokenizer_config()?;
        let source = checkpoint
            .chat_template()?
            .ok_or_else(|| RuntimeError::invalid(checkpoint.path(), "it has no chat template"))?;
        let mut template = Self::new(source)?;
        for name in TOKEN_VARIABLES {
            let token = config.get(name).and_then(|token| token.as_str().or_else(|| token.get("content")?.as_str()));
            if let Some(token) = token {
                template.variables.insert(name.to_owned(), Value::from(token));
            }
        }
        Ok(template)
    }

    /// Renders a chat to text, exactly as transformers' `apply_chat_template(tokenize=False)`.
    ///
    /// # Errors
    /// [`RuntimeError::Template`] when the template refuses the messages.
    pub fn render(&self, chat: &Chat) -> Result<String, RuntimeError> {
        let mut context = self.variables.clone();
        context.extend(chat.variables.clone());
        context.insert("messages".to_owned(), Value::Array(chat.flattened_messages()));
        // transformers passes `tools=None` where there are none.
        let tools = if chat.tools.is_empty() { Value::Null } else { Value::Array(chat.tools.clone()) };
        context.insert("tools".to_owned(), tools);
        context.entry("documents").or_insert(Value::Null);
        let add = chat.generation_prompt == GenerationPrompt::Add;
        context.insert("add_generation_prompt".to_owned(), Value::Bool(add));
        let template = self.environment.get_template(NAME).map_err(template_error)?;
        template.render(JinjaValue::from(minijinja::value::Serde(&context))).map_err(template_error)
    }

    /// Renders a chat and encodes it. Control tokens come from the template only, never from the
    /// text of a message, whatever it contains.
    ///
    /// # Errors
    /// [`RuntimeError::Template`] or [`RuntimeError::Tokenizer`].
    pub fn encode(&self, chat: &Chat, tokenizer: &Tokenizer) -> Result<Vec<TokenId>, RuntimeError> {
        let protection = protect::Protection::new(chat, tokenizer)?;
        let rendered = self.render(&protection.apply(chat))?;
        let (text, guards) = protection.remove(&rendered);
        tokenizer.encode_around(&text, &guards)
    }
}

/// transformers' `tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
fn tojson(value: &JinjaValue, kwargs: Kwargs) -> Result<JinjaValue, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::InvalidOperation, "undefined is not JSON serializable"));
    }
    let indent: Option<usize> = kwargs.get("indent")?;
    let sort_keys: Option<bool> = kwargs.get("sort_keys")?;
    let ensure_ascii: Option<bool> = kwargs.get("ensure_ascii")?;
    kwargs.assert_all_used()?;
    let json = serde_json::to_value(value)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, "not JSON serializable").with_source(error))?;
    let style = Style {
        indent,
        keys: if sort_keys == Some(true) { KeyOrder::Sorted } else { KeyOrder::Inserted },
        charset: if ensure_ascii == Some(true) { Charset::Ascii } else { Charset::Unicode },
    };
    Ok(JinjaValue::from(python_json::dumps(&json, style)))
}

/// Keeps the kind of the failure and its line; an error's detail could quote a message.
fn template_error(error: Error) -> RuntimeError {
    let place = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    RuntimeError::Template(match error.kind() {
        ErrorKind::SyntaxError | ErrorKind::InvalidOperation => format!("{error}{place}"),
        kind => format!("{kind:?}{place}"),
    })
}
