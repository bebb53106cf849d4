//! Splits reasoning from answer in the text of a server that leaves `<think>` tags in it.

use crate::chat::ChatEvent;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Reads text in pieces; an answer that starts with `<think>` is reasoning up to `</think>`.
#[derive(Debug, Default)]
pub(super) struct ThinkTags {
    phase: Phase,
    held: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing but white space, or a beginning of `<think>`, was read.
    #[default]
    Start,
    Reasoning,
    /// The white space after `</think>`.
    Gap,
    Answer,
}

impl ThinkTags {
    /// For a text whose `<think>` stood in the prompt: it starts inside the reasoning.
    pub(super) fn inside() -> Self {
        Self { phase: Phase::Reasoning, held: String::new() }
    }

    /// The events of a piece of text.
    pub(super) fn push(&mut self, text: &str) -> Vec<ChatEvent> {
        self.held.push_str(text);
        let mut events = Vec::new();
        loop {
            match self.phase {
                Phase::Start => {
                    let start = self.held.trim_start();
                    if let Some(rest) = start.strip_prefix(OPEN) {
                        self.held = rest.to_owned();
                        self.phase = Phase::Reasoning;
                    } else if OPEN.starts_with(start) {
                        return events;
                    } else {
                        self.phase = Phase::Answer;
                    }
                }
                Phase::Reasoning => {
                    let Some(end) = self.held.find(CLOSE) else {
                        let keep = (1..CLOSE.len()).rev().find(|&len| self.held.ends_with(&CLOSE[..len])).unwrap_or(0);
                        let text: String = self.held.drain(..self.held.len() - keep).collect();
                        push_text(&mut events, text, ChatEvent::Reasoning);
                        return events;
                    };
                    push_text(&mut events, self.held[..end].to_owned(), ChatEvent::Reasoning);
                    self.held.drain(..end + CLOSE.len());
                    self.phase = Phase::Gap;
                }
                Phase::Gap => {
                    self.held = self.held.trim_start().to_owned();
                    if self.held.is_empty() {
                        return events;
                    }
                    self.phase = Phase::Answer;
                }
                Phase::Answer => {
                    push_text(&mut events, std::mem::take(&mut self.held), ChatEvent::Answer);
                    return events;
                }
            }
        }
    }

    /// What was held back at the end.
    pub(super) fn finish(&mut self) -> Vec<ChatEvent> {
        let mut events = Vec::new();
        let rest = std::mem::take(&mut self.held);
        match self.phase {
            Phase::Reasoning => push_text(&mut events, rest, ChatEvent::Reasoning),
            Phase::Start | Phase::Gap | Phase::Answer => push_text(&mut events, rest, ChatEvent::Answer),
        }
        events
    }
}

fn push_text(events: &mut Vec<ChatEvent>, text: String, event: impl Fn(String) -> ChatEvent) {
    if !text.is_empty() {
        events.push(event(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, size: usize) -> (String, String) {
        let mut tags = ThinkTags::default();
        let chars: Vec<char> = text.chars().collect();
        let mut events: Vec<ChatEvent> =
            chars.chunks(size).flat_map(|piece| tags.push(&piece.iter().collect::<String>())).collect();
        events.extend(tags.finish());
        let mut both = (String::new(), String::new());
        for event in events {
            match event {
                ChatEvent::Reasoning(text) => both.0.push_str(&text),
                ChatEvent::Answer(text) => both.1.push_str(&text),
                ChatEvent::Finished { .. } => {}
            }
        }
        both
    }

    #[test]
    fn a_text_can_start_inside() {
        let mut tags = ThinkTags::inside();
        let mut events = tags.push("hm</thi");
        events.extend(tags.push("nk>\n\nyes"));
        let expected = [ChatEvent::Reasoning("hm".to_owned()), ChatEvent::Answer("yes".to_owned())];
        assert_eq!(events, expected);
    }

    #[test]
    fn any_split_gives_the_same() {
        for (text, reasoning, answer) in [
            ("<think>\na < b </thin </think>\n\nyes é", "\na < b </thin ", "yes é"),
            ("no tags <think> here", "", "no tags <think> here"),
            ("<think>cut off </th", "cut off </th", ""),
            ("<thi", "", "<thi"),
        ] {
            for size in 1..=text.chars().count() {
                assert_eq!(split(text, size), (reasoning.to_owned(), answer.to_owned()), "{text:?} by {size}");
            }
        }
    }
}
