//! [`Lines`]: numbers that begin on a cache line.

use std::ops::{Deref, DerefMut};

use super::simd::ROWS;

/// Single-precision numbers that kernels read and write sixteen at a time: where they begin on a cache line, each
/// sixteen are one, and not halves of two.
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

    /// So many numbers to be written; they have the values that something else had. Memory stays as large as was ever
    /// needed.
    pub(crate) fn room(&mut self, len: usize) -> &mut [f32] {
        if self.start + len > self.numbers.len() {
            // First, so that old and new are not there together.
            self.numbers = Vec::new();
            self.numbers = vec![0.0; len + ROWS - 1];
            self.start = self.numbers.as_ptr().align_offset(ROWS * size_of::<f32>()).min(ROWS - 1);
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
            assert_eq!((room.len(), room.as_ptr() as usize % 64), (len, 0));
            room.fill(len as f32);
            assert!(lines.iter().all(|&number| number == len as f32));
        }
        let place = lines.as_ptr();
        lines.room(40);
        lines.truncate(30);
        lines.truncate(50);
        assert_eq!((lines.as_ptr(), &*lines), (place, &[100_000.0; 30][..]));
        assert_eq!(*Lines::zeroed(3), [0.0; 3]);
    }
}
