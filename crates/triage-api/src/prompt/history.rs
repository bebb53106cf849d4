//! Which earlier turns of a conversation a model sees.

use llm_client::{Message, Role};

use super::record_text::truncate;
use crate::conversations::StoredMessage;

/// The most answered questions that are shown.
const MAX_EXCHANGES: usize = 4;
/// The most characters of all of them together.
const MAX_CHARS: usize = 4_000;
/// The most characters of one message.
const MAX_MESSAGE_CHARS: usize = 1_500;

/// The last answered questions, oldest first. A question without an answer is left out: its answer
/// failed, and it has been asked again.
pub(super) fn turns_of(history: &[StoredMessage]) -> Vec<Message> {
    let mut exchanges = Vec::new();
    let mut left = MAX_CHARS;
    for pair in history.windows(2).rev() {
        let [question, answer] = pair else { continue };
        if question.role != "user" || answer.role != "assistant" || answer.content.trim().is_empty() {
            continue;
        }
        let question = truncate(question.content.trim(), MAX_MESSAGE_CHARS);
        let answer = truncate(answer.content.trim(), MAX_MESSAGE_CHARS);
        let length = question.chars().count() + answer.chars().count();
        if exchanges.len() == MAX_EXCHANGES || length > left {
            break;
        }
        left -= length;
        exchanges.push([Message::new(Role::User, question), Message::new(Role::Assistant, answer)]);
    }
    exchanges.into_iter().rev().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: &str, content: &str) -> StoredMessage {
        StoredMessage {
            role: role.to_owned(),
            content: content.to_owned(),
            timestamp: None,
            model_name: None,
            latency_ms: None,
        }
    }

    fn shown(history: &[StoredMessage]) -> Vec<String> {
        turns_of(history).into_iter().map(|turn| format!("{}: {}", turn.role.as_str(), turn.content)).collect()
    }

    #[test]
    fn only_answered_questions_are_shown() {
        let history =
            [message("user", "one"), message("user", "one again"), message("assistant", "1"), message("user", "two")];
        assert_eq!(shown(&history), ["user: one again", "assistant: 1"]);
    }

    #[test]
    fn the_oldest_go_first_when_there_are_too_many_or_they_are_too_long() {
        let many: Vec<_> =
            (0..9).flat_map(|n| [message("user", &format!("q{n}")), message("assistant", &format!("a{n}"))]).collect();
        assert_eq!(shown(&many).first().unwrap(), "user: q5");
        assert_eq!(shown(&many).len(), 2 * MAX_EXCHANGES);

        let long = "é".repeat(5_000);
        let long: Vec<_> = (0..3).flat_map(|_| [message("user", &long), message("assistant", &long)]).collect();
        let chars: usize = turns_of(&long).iter().map(|turn| turn.content.chars().count()).sum();
        assert_eq!(chars, 2 * MAX_MESSAGE_CHARS);
    }
}
