//! [`Memory`]: large arrays of numbers.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use crate::error::RuntimeError;

/// Numbers that any bits make.
///
/// # Safety
/// Every pattern of bits is a value, and zeros are.
pub(crate) unsafe trait Number: Copy {}
// SAFETY: plain numbers without padding or forbidden patterns.
unsafe impl Number for u8 {}
// SAFETY: as above.
unsafe impl Number for u16 {}
// SAFETY: as above.
unsafe impl Number for f32 {}

/// Zeros at first, which take no memory until they are written. Asked for in one piece, so that the
/// system can back it with huge pages: with small ones a kernel waits for addresses to be looked
/// up about as long as for memory.
#[derive(Debug)]
pub(crate) struct Memory<T> {
    map: MmapMut,
    len: usize,
    numbers: PhantomData<T>,
}

impl<T: Number> Memory<T> {
    /// `len` zeros for `what`.
    ///
    /// # Errors
    /// [`RuntimeError::Compute`] when the system has no such memory.
    pub(crate) fn zeroed(len: usize, what: &str) -> Result<Self, RuntimeError> {
        let bytes = len.saturating_mul(size_of::<T>());
        let map = MmapMut::map_anon(bytes)
            .map_err(|error| RuntimeError::Compute(format!("{bytes} bytes for {what}: {error}")))?;
        // Where the system has no huge pages, small ones do.
        #[cfg(target_os = "linux")]
        drop(map.advise(memmap2::Advice::HugePage));
        Ok(Self { map, len, numbers: PhantomData })
    }
}

impl<T: Number> Deref for Memory<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the map has the bytes of `len` numbers, starts on a page, and any bits make one.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.len) }
    }
}

impl<T: Number> DerefMut for Memory<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`; the map is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_zero_and_keep_what_is_written() {
        let mut memory = Memory::<f32>::zeroed(100_000, "a test").unwrap();
        assert!(memory.len() == 100_000 && memory.iter().all(|&number| number == 0.0));
        memory[99_999] = 1.5;
        assert_eq!(memory[99_998..], [0.0, 1.5]);
    }

    #[test]
    fn what_no_machine_has_is_an_error() {
        let error = Memory::<u16>::zeroed(usize::MAX / 4, "the KV cache").unwrap_err();
        assert!(error.to_string().contains("bytes for the KV cache"), "{error}");
        assert!(Memory::<f32>::zeroed(usize::MAX, "everything").is_err());
    }
}
