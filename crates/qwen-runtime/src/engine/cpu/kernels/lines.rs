//! [`Lines`]: numbers that begin on a cache line.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
pub(crate) const LINE: usize = 64;
/// Numbers on one.
const NUMBERS: usize = LINE / size_of::<f32>();

/// Single-precision numbers that kernels go through in groups of sixteen. They begin on a cache line, so that each group
/// is one line and does not lie across two.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Room for them, from `start` on.
    numbers: Vec<f32>,
    start: usize,
    len: usize,
}

impl Lines {
    /// So many zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let mut lines = Self::default();
        lines.room(len);
        lines
    }

    /// Room for so many numbers, all to be written: in new memory they are zeros, else whatever was there before. The
    /// memory never shrinks.
    pub(crate) fn room(&mut self, len: usize) -> &mut [f32] {
        if self.start + len > self.numbers.len() {
            // First, so that old and new are not there together.
            self.numbers = Vec::new();
            self.numbers = vec![0.0; len + NUMBERS - 1];
            // An interpreter may not know the address; then any place will do.
            self.start = self.numbers.as_ptr().align_offset(LINE).min(NUMBERS - 1);
        }
        self.len = len;
        self
    }

    /// Only the first ones.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl Deref for Lines {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers[self.start..][..self.len]
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_begin_on_a_line_and_keep_their_memory() {
        let mut lines = Lines::default();
        assert!(lines.is_empty());
        for len in [1, 15, 16, 17, 1000, 100_000] {
            let room = lines.room(len);
            assert_eq!((room.len(), room.as_ptr() as usize % LINE), (len, 0));
            room.fill(len as f32);
            assert!(lines.iter().all(|&number| number == len as f32));
        }
        let place = lines.as_ptr();
        lines.room(40);
        lines.truncate(30);
        lines.truncate(50);
        assert_eq!((lines.as_ptr(), &*lines), (place, &[100_000.0; 30][..]));
        assert_eq!(lines.room(100_000).as_ptr(), place);
        assert_eq!(*Lines::zeroed(3), [0.0; 3]);
    }
}
