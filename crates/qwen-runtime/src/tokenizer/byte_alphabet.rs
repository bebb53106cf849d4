//! GPT-2's alphabet: each byte is one printable character in a byte-level vocabulary.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The byte that each character stands for (`bytes_to_unicode` of GPT-2's encoder.py).
static BYTE_OF: LazyLock<HashMap<char, u8>> = LazyLock::new(|| {
    let mut shifted = 0;
    (0..=255_u8)
        .map(|byte| {
            let printable = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
            let code = if printable {
                u32::from(byte)
            } else {
                shifted += 1;
                255 + shifted
            };
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), byte)
        })
        .collect()
});

/// The bytes that a token of a byte-level vocabulary stands for; `None` when it has a character
/// outside the alphabet.
pub(super) fn decode(token: &str) -> Option<Vec<u8>> {
    token.chars().map(|c| BYTE_OF.get(&c).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character() {
        assert_eq!(BYTE_OF.len(), 256);
        assert_eq!(decode("Ġhi"), Some(b" hi".to_vec()));
        assert_eq!(decode("Ċ"), Some(b"\n".to_vec()));
        assert_eq!(decode("你"), None);
    }
}
