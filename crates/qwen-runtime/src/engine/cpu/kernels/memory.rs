//! [`Memory`]: large arrays of numbers.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use crate::error::RuntimeError;

/// Bytes of a huge page, usually.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;

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

/// Zeros at first, which take no memory until they are written or [populated](Memory::populate). Asked for in one
/// piece, so that the system can back it with huge pages: with small ones a kernel waits for addresses to be looked up
/// about as long as for memory.
#[derive(Debug)]
pub(crate) struct Memory<T> {
    map: MmapMut,
    len: usize,
    /// Bytes, from the start, that the system was asked for.
    populated: usize,
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
        Ok(Self { map, len, populated: 0, numbers: PhantomData })
    }

    /// Has the system give the next 2 MiB of memory, so that nobody waits when they are first written: in a virtual
    /// machine that can take milliseconds. Changes no number; says whether more is to be had.
    pub(crate) fn populate(&mut self) -> bool {
        #[cfg(target_os = "linux")]
        {
            let bytes = HUGE_PAGE.min(self.map.len() - self.populated);
            let populated = self.map.advise_range(memmap2::Advice::PopulateWrite, self.populated, bytes).is_ok();
            // A system that cannot, as Linux before 5.14, gives memory only as it is written.
            self.populated = if populated { self.populated + bytes } else { self.map.len() };
        }
        cfg!(target_os = "linux") && self.populated < self.map.len()
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

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_gives_memory_before_it_is_written() {
        let mut memory = Memory::<f32>::zeroed(5 * HUGE_PAGE / 8, "a test").unwrap();
        memory[HUGE_PAGE / 4] = 1.5;
        let supported = memory.map.advise_range(memmap2::Advice::PopulateWrite, 0, 1).is_ok();
        let start = memory.map.as_ptr() as usize;
        let rest = (1..9).find(|_| !memory.populate());
        assert_eq!(rest, Some(if supported { 3 } else { 1 }));
        assert!(!memory.populate());
        assert!(memory.iter().enumerate().all(|(index, &number)| (number == 1.5) == (index == HUGE_PAGE / 4)));
        if supported {
            let given = resident(start);
            assert!(given >= memory.map.len(), "{given} of {} bytes", memory.map.len());
        }
    }

    /// Bytes of the mapping at `address` that take memory, as the system counts them.
    #[cfg(target_os = "linux")]
    fn resident(address: usize) -> usize {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let number = |text: &str| usize::from_str_radix(text, 16).ok();
            let bounds = range.and_then(|(start, end)| Some(number(start)?..number(end)?));
            bounds.is_none_or(|bounds| !bounds.contains(&address))
        });
        let rss = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
        rss.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    #[test]
    fn what_no_machine_has_is_an_error() {
        let error = Memory::<u16>::zeroed(usize::MAX / 4, "the KV cache").unwrap_err();
        assert!(error.to_string().contains("bytes for the KV cache"), "{error}");
        assert!(Memory::<f32>::zeroed(usize::MAX, "everything").is_err());
    }
}
