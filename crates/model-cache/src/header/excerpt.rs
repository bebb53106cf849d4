//! Owns quoting foreign text in a sentence. Must not know where the text comes from.

/// The beginning of `text`, on one line: what a file says must not fill a log or steer a terminal. What was quoted
/// already stays as it is.
pub(super) fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 160;
    let mut shown = String::new();
    for (number, character) in text.chars().enumerate() {
        if number == CHARACTERS {
            shown.push('…');
            break;
        }
        match character {
            '\\' | '\'' | '"' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}
