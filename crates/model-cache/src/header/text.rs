//! Owns reading a text of JSON, character by character. Must not know what texts say.

use std::io::Read;

use super::stop::Stop;
use super::tokens::Tokens;

impl<R: Read> Tokens<R> {
    /// Goes over a text, and gives each of its characters to `each`, without escapes.
    pub(super) fn text(&mut self, mut each: impl FnMut(char)) -> Result<(), Stop> {
        if !self.take(b'"')? {
            return Err(self.unexpected("a text"));
        }
        loop {
            match self.byte("a text's end")? {
                b'"' => return Ok(()),
                b'\\' => each(self.escaped()?),
                ..b' ' => return Err(self.malformed("a text has a control character in it")),
                first => each(self.utf8(first)?),
            }
        }
    }

    /// The character whose first byte is `first`.
    fn utf8(&mut self, first: u8) -> Result<char, Stop> {
        // The first byte says how many there are, in as many ones. Where it lies, the bytes are not UTF-8.
        let length = first.leading_ones().clamp(1, 4) as usize;
        let mut bytes = [first; 4];
        for byte in &mut bytes[1..length] {
            *byte = self.byte("the rest of a character")?;
        }
        let character = str::from_utf8(&bytes[..length]).ok().and_then(|text| text.chars().next());
        character.ok_or_else(|| self.malformed("a text is not UTF-8"))
    }

    /// The character that stands behind a backslash.
    fn escaped(&mut self) -> Result<char, Stop> {
        Ok(match self.byte("an escape")? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.utf16(),
            other => return Err(self.malformed(format_args!("`\\{}` is not an escape", other.escape_ascii()))),
        })
    }

    /// The character that stands behind `\u`, in one unit of UTF-16 or in two.
    fn utf16(&mut self) -> Result<char, Stop> {
        let first = self.unit()?;
        let mut second = None;
        if (0xd800..0xdc00).contains(&first) {
            let escape = [self.byte("a surrogate")?, self.byte("a surrogate")?];
            if escape == *b"\\u" {
                second = Some(self.unit()?);
            }
        }
        let character = char::decode_utf16([first].into_iter().chain(second)).next().and_then(Result::ok);
        character.ok_or_else(|| self.malformed("a text has half a pair of surrogates in it"))
    }

    fn unit(&mut self) -> Result<u16, Stop> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = char::from(self.byte("a hexadecimal digit")?).to_digit(16);
            unit = unit << 4 | digit.ok_or_else(|| self.malformed("an escape is not of hexadecimal digits"))? as u16;
        }
        Ok(unit)
    }
}
