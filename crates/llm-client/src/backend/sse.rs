//! The `data` lines of a server-sent event stream (WHATWG HTML, "Server-sent events").

/// Longest line that is kept, in bytes.
const MAX_LINE: usize = 1 << 20;

/// Bytes in, data of whole lines out.
#[derive(Debug, Default)]
pub(super) struct SseLines {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that have been read.
    read: usize,
}

impl SseLines {
    /// Adds bytes; an error when a line grows beyond all measure.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.buffer.drain(..self.read);
        self.read = 0;
        if self.buffer.len() + bytes.len() > MAX_LINE {
            return Err(());
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The data of the next whole `data:` line; other lines are skipped.
    pub(super) fn next_data(&mut self) -> Option<String> {
        loop {
            let rest = &self.buffer[self.read..];
            let end = rest.iter().position(|&byte| byte == b'\n')?;
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            let data = line.strip_prefix(b"data:").map(|data| data.strip_prefix(b" ").unwrap_or(data));
            let data = data.map(|data| String::from_utf8_lossy(data).into_owned());
            self.read += end + 1;
            if let Some(data) = data {
                return Some(data);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_whatever_the_pieces() {
        let stream = ": ping\r\nevent: x\ndata: {\"é\":1}\n\ndata:[DONE]\r\n\r\n".as_bytes();
        for size in 1..stream.len() {
            let mut lines = SseLines::default();
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                lines.push(piece).unwrap();
                found.extend(std::iter::from_fn(|| lines.next_data()));
            }
            assert_eq!(found, ["{\"é\":1}", "[DONE]"]);
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = SseLines::default();
        assert!((0..=MAX_LINE / 1024).any(|_| lines.push(&[b'x'; 1024]).is_err()));
    }
}
