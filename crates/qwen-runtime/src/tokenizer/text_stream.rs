//! Bytes of tokens in, whole characters out.

/// Joins the bytes of successive tokens to text, holding back a character that is not whole yet.
///
/// Any split of the same bytes gives the same text; bytes that are no UTF-8 become U+FFFD, as
/// `String::from_utf8_lossy` has it.
#[derive(Debug, Default)]
pub struct TextStream {
    pending: Vec<u8>,
}

impl TextStream {
    /// Adds bytes and returns the characters that are now whole.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut start = 0;
        loop {
            let rest = &self.pending[start..];
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    start = self.pending.len();
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    start += valid.len();
                    match error.error_len() {
                        // An unfinished character: it may be whole with the next token.
                        None => break,
                        Some(len) => {
                            text.push(char::REPLACEMENT_CHARACTER);
                            start += len.min(after.len());
                        }
                    }
                }
            }
        }
        self.pending.drain(..start);
        text
    }

    /// Whether a character is unfinished.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What is left at the end: U+FFFD for an unfinished character.
    pub fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.pending);
        String::from_utf8_lossy(&rest).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_split_gives_the_same_text(
            bytes in prop::collection::vec(any::<u8>(), 0..64), cuts in prop::collection::vec(0_usize..64, 0..8)
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut stream = TextStream::default();
            let mut text: String = cuts.windows(2).map(|pair| stream.push(&bytes[pair[0]..pair[1]])).collect();
            text.push_str(&stream.finish());
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn text_survives_byte_by_byte(text in ".{0,24}") {
            let mut stream = TextStream::default();
            let mut joined: String = text.bytes().map(|byte| stream.push(&[byte])).collect();
            prop_assert!(!stream.is_pending());
            joined.push_str(&stream.finish());
            prop_assert_eq!(joined, text);
        }
    }
}
