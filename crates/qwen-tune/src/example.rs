//! [`Example`]: an answer to be learnt, as token ids, behind the prompt that serving would send.

use qwen_runtime::{Chat, ChatTemplate, RuntimeError, TokenId, Tokenizer};

use crate::conversation::{Conversation, Turn};
use crate::error::TuneError;

/// A prompt, and the tokens that a model should answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Everything up to the answer, the opening of the assistant's turn included.
    pub prompt: Vec<TokenId>,
    /// What is learnt; the last token ends the turn.
    pub answer: Vec<TokenId>,
}

/// Makes examples of conversations, with the template and tokenizer that the model is served with.
#[derive(Debug)]
pub struct ExampleEncoder<'a> {
    template: &'a ChatTemplate,
    tokenizer: &'a Tokenizer,
    think: TokenId,
    end_of_thinking: TokenId,
    end_of_turn: TokenId,
}

impl<'a> ExampleEncoder<'a> {
    /// # Errors
    /// [`TuneError::Model`] when the tokenizer lacks `<think>`, `</think>` or `<|im_end|>`.
    pub fn new(template: &'a ChatTemplate, tokenizer: &'a Tokenizer) -> Result<Self, TuneError> {
        let token = |name: &str| {
            tokenizer.added_token(name).ok_or_else(|| RuntimeError::Tokenizer(format!("the tokenizer has no {name}")))
        };
        Ok(Self {
            template,
            tokenizer,
            think: token("<think>")?,
            end_of_thinking: token("</think>")?,
            end_of_turn: token("<|im_end|>")?,
        })
    }

    /// An example for each turn of the assistant that is learnt; what it thought in earlier turns is left out, as
    /// it is when a conversation goes on.
    ///
    /// # Errors
    /// [`TuneError::Model`] when the template refuses the turns.
    pub fn examples(&self, conversation: &Conversation) -> Result<Vec<Example>, TuneError> {
        let mut chat = Chat::new();
        let mut examples = Vec::new();
        for turn in conversation.turns() {
            if turn.is_learnt() {
                examples.push(self.example(&chat, turn)?);
            }
            chat = chat.with_message(turn.role.as_str(), turn.content.trim());
        }
        Ok(examples)
    }

    fn example(&self, chat: &Chat, turn: &Turn) -> Result<Example, TuneError> {
        let prompt = self.template.encode(chat, self.tokenizer)?;
        let reasoning = turn.reasoning_content.as_deref().unwrap_or_default().trim();
        let content = turn.content.trim();
        // Text of people is encoded without control tokens; these stand between.
        let text = |text: &str| self.tokenizer.encode_text(text);
        let opened = prompt.iter().rev().take(3).any(|&id| id == self.think);
        let mut answer = Vec::new();
        if opened || !reasoning.is_empty() {
            if !opened {
                answer.push(self.think);
                answer.extend(text("\n")?);
            }
            answer.extend(text(&format!("{reasoning}\n"))?);
            answer.push(self.end_of_thinking);
            answer.extend(text(&format!("\n\n{content}"))?);
        } else {
            answer.extend(text(content)?);
        }
        answer.push(self.end_of_turn);
        Ok(Example { prompt, answer })
    }
}
