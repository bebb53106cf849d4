//! Owns quoting foreign text in a sentence. Must not know where the text comes from.

/// The beginning of `text`, on one line: what a file says must not fill a log or steer a terminal.
pub(super) fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 120;
    let mut shown: String = text.chars().take(CHARACTERS).flat_map(char::escape_debug).collect();
    if text.chars().nth(CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}
