//! Text out of a record's fields: one line, short, and without what identifies the patient.

use serde_json::Value;

use crate::records::Document;

/// The shortest identifier that is hidden: shorter ones are parts of ordinary words and numbers.
const MIN_IDENTIFIER: usize = 4;
/// The most characters of a field that are looked at.
const MAX_FIELD_CHARS: usize = 4_000;

/// Cleans the text of one patient's record.
///
/// Free text can repeat the record number, the full name or the address; they become `[hidden]`
/// wherever they appear. This is no de-identification: a first name in a note stays.
pub(super) struct RecordText {
    identifiers: Vec<String>,
}

impl RecordText {
    pub(super) fn of_patient(patient: &Document) -> Self {
        let text = |value: Option<&Value>| one_line(value.and_then(Value::as_str).unwrap_or_default());
        let part = |field: &str, part: &str| text(patient.get(field).and_then(|value| value.get(part)));
        let identifiers = [
            text(patient.get("mrn")),
            text(patient.get("name")),
            format!("{} {}", part("name", "first"), part("name", "last")).trim().to_owned(),
            format!("{}, {}", part("name", "last"), part("name", "first")),
            text(patient.get("address")),
            part("address", "line1"),
            part("address", "zip"),
        ];
        Self { identifiers: identifiers.into_iter().filter(|text| text.len() >= MIN_IDENTIFIER).collect() }
    }

    /// A string or number as text of at most `max_chars`; `None` for anything else and for blanks.
    pub(super) fn read(&self, value: Option<&Value>, max_chars: usize) -> Option<String> {
        let text = match value? {
            Value::String(text) => one_line(text),
            Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
            _ => return None,
        };
        let text = self.identifiers.iter().fold(text, |text, identifier| hide(&text, identifier));
        Some(truncate(&text, max_chars)).filter(|text| !text.is_empty())
    }
}

/// Words joined by single spaces: line breaks, control characters and invisible marks that change
/// the direction or the look of text could make a field look like another part of the prompt.
fn one_line(text: &str) -> String {
    let is_gap = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
    };
    let text: String = text.chars().take(MAX_FIELD_CHARS).collect();
    text.split(is_gap).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Replaces `identifier`, in upper or lower case.
fn hide(text: &str, identifier: &str) -> String {
    // ASCII lower case keeps every byte where it is.
    let (lower, identifier) = (text.to_ascii_lowercase(), identifier.to_ascii_lowercase());
    let mut hidden = String::with_capacity(text.len());
    let mut end = 0;
    for (start, found) in lower.match_indices(&identifier) {
        hidden.push_str(&text[end..start]);
        hidden.push_str("[hidden]");
        end = start + found.len();
    }
    hidden.push_str(&text[end..]);
    hidden
}

/// `text`, or its start and an ellipsis when it has more than `max_chars` characters.
pub(super) fn truncate(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let start: String = text.chars().take(max_chars.saturating_sub(1)).collect();
    format!("{}…", start.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_one_short_line_without_identifiers() {
        let patient =
            json!({"mrn": "P000123", "name": {"first": "Ann", "last": "Lee"}, "address": {"line1": "1 Elm St"}});
        let text = RecordText::of_patient(patient.as_object().unwrap());
        let read = |value: Value, max| text.read(Some(&value), max);
        assert_eq!(read(json!(" a\n\nRECORD\u{202E}\tb\u{0} "), 99).unwrap(), "a RECORD b");
        assert_eq!(
            read(json!("Plan of p000123 (ANN LEE, 1  Elm St)"), 99).unwrap(),
            "Plan of [hidden] ([hidden], [hidden])"
        );
        assert_eq!(read(json!("éèêë"), 3).unwrap(), "éè…");
        assert_eq!((read(json!(7.4), 9).unwrap(), read(json!(70.0), 9).unwrap()), ("7.4".into(), "70".into()));
        assert_eq!((read(json!(" \n"), 9), read(json!(null), 9), read(json!(["x"]), 9)), (None, None, None));
    }
}
