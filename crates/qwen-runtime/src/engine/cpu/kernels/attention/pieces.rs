//! [`Pieces`]: the blocks of a run in the order in which they are read.

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr;

use super::super::formats::F32;
use super::super::simd::{ROWS, Simd};
use super::layout::{Layout, PIECE};
use super::tile::Tile;
use super::{KvFormat, MAX_HEAD, RUN};

/// Most pieces of the keys of a run.
const MAX_PIECES: usize = RUN * MAX_HEAD / ROWS;
/// How many pieces before they are read lines are asked for the last time.
const SOON: usize = 4;
/// How many pieces before they are read lines are asked for into the second-level cache: with 16 memory answers too late,
/// 32 are no better.
const FAR: usize = 24;

/// The blocks of a sequence and a head, unchecked.
pub(super) struct Place<'a, K: KvFormat> {
    pub(super) bundles: *const K::Stored,
    pub(super) table: &'a [u32],
}

/// What is read, and how.
pub(super) struct Source<'a, K: KvFormat> {
    pub(super) place: Place<'a, K>,
    /// What is read afterwards.
    pub(super) next: Place<'a, K>,
    pub(super) stride: usize,
    /// What few query rows ask for.
    pub(super) hints: Hints,
}

/// Which lines are asked for while a piece is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hints {
    /// Those of the piece that is read as many pieces later as a run has keys.
    Ahead,
    /// The same, and twice more on the way.
    Often,
    /// Those of the piece that is read [`FAR`] pieces later, into the second-level cache.
    Far,
    None,
}

/// Where the pieces of a run lie, 16 vectors of 16 lanes each, in the order in which few rows read them: those of its
/// keys `[block][dim / 16]`, those of its values `[dim / 16][block]`, then those of the run that is read after it.
#[derive(Debug)]
pub(super) struct Pieces<T> {
    places: [*const T; 4 * MAX_PIECES],
    /// Those of the keys.
    count: usize,
    /// Where the scales of the keys and of the values of each block lie, if there are some.
    scales: [[*const f32; RUN]; 2],
}

/// Keys or values of a run: the pieces to read, and those of the cache that are read after them.
#[derive(Debug)]
pub(super) struct Half<'a, W: KvFormat, K: KvFormat> {
    order: &'a [*const K::Stored],
    /// Those of a half.
    count: usize,
    pub(super) scales: [*const f32; RUN],
    hints: Hints,
    /// Where pieces are converted to before they are read as `W`; null where that is what the cache has.
    room: *mut f32,
    read_as: PhantomData<W>,
}

impl<K: KvFormat> Source<'_, K> {
    /// Where the blocks of the run lie that begins with block number `first` of a place: bundles, and places in them;
    /// and how many there are.
    fn run(&self, place: &Place<'_, K>, first: usize) -> ([(*const K::Stored, usize); RUN], usize) {
        let blocks = &place.table[first..place.table.len().min(first + RUN)];
        let mut run = [(place.bundles, 0); RUN];
        for (at, &block) in run.iter_mut().zip(blocks) {
            *at = (place.bundles.wrapping_add(block as usize / RUN * self.stride), block as usize % RUN);
        }
        (run, blocks.len())
    }
}

impl<T> Pieces<T> {
    /// Those of the run from block number `first` of the sequence on.
    pub(super) fn of<K: KvFormat<Stored = T>>(source: &Source<'_, K>, dim: usize, first: usize) -> Self {
        let (layout, columns) = (Layout::of::<K>(dim), dim / ROWS);
        let (run, blocks) = source.run(&source.place, first);
        let next = if first + RUN < source.place.table.len() {
            source.run(&source.place, first + RUN)
        } else {
            source.run(&source.next, 0)
        };
        // Behind the last one, what is asked for is there already.
        let mut places = [run[0].0; 4 * MAX_PIECES];
        let mut start = 0;
        for (run, blocks) in [(run, blocks), next] {
            let values = start + blocks * columns;
            for (block, &(bundle, slot)) in run[..blocks].iter().enumerate() {
                for column in 0..columns {
                    places[start + block * columns + column] = bundle.wrapping_add(layout.key(slot, column));
                    places[values + column * blocks + block] = bundle.wrapping_add(layout.value(slot, column));
                }
            }
            start = values + blocks * columns;
        }
        let scales = [0, layout.half()]
            .map(|half| run.map(|(bundle, slot)| bundle.wrapping_add(half + layout.scales(slot)).cast()));
        Self { places, count: blocks * columns, scales }
    }

    /// Keys and values, to be read from the cache.
    pub(super) fn halves<K: KvFormat<Stored = T>>(&self, hints: Hints) -> [Half<'_, K, K>; 2] {
        self.read_as(hints, ptr::null_mut())
    }

    /// Keys and values, to be converted into `room` before they are read: a part of them at a time, which then is in
    /// the first-level cache for all query rows.
    pub(super) fn converted<K: KvFormat<Stored = T>>(&self, hints: Hints, room: &mut [f32]) -> [Half<'_, F32, K>; 2] {
        self.read_as(hints, room.as_mut_ptr())
    }

    fn read_as<W: KvFormat, K: KvFormat<Stored = T>>(&self, hints: Hints, room: *mut f32) -> [Half<'_, W, K>; 2] {
        let half = |number: usize| {
            let (order, scales) = (&self.places[number * self.count..], self.scales[number]);
            Half { order, count: self.count, scales, hints, room, read_as: PhantomData }
        };
        [half(0), half(1)]
    }
}

impl<W: KvFormat, K: KvFormat> Half<'_, W, K> {
    /// Makes some pieces ready to be read.
    #[inline(always)]
    pub(super) unsafe fn prepare<S: Simd>(&self, pieces: Range<usize>) {
        if self.room.is_null() {
            return;
        }
        for (index, &piece) in self.order[pieces].iter().enumerate() {
            for at in (0..PIECE).step_by(S::LANES) {
                // SAFETY: pieces of the cache have so many values, and the room has that of the caller's pieces.
                unsafe { S::store(self.room.add(index * PIECE + at), K::load::<S>(piece.add(at))) }
            }
        }
    }

    /// Adds to a tile the products of vectors, `len` of each of `pieces` from a lane on, with rows `x` that lie
    /// `stride` apart. The pieces from `first` on are ready. Meanwhile others are asked for, if it `asks`.
    #[inline(always)]
    pub(super) unsafe fn add_to<S: Simd, const N: usize, const V: usize>(
        &self,
        tile: &mut Tile<S, N, V>,
        (pieces, first): ([(usize, usize); V], usize),
        len: usize,
        (x, stride): (*const f32, usize),
        asks: bool,
    ) {
        let read = pieces.map(|(piece, lane)| {
            let converted = self.room.wrapping_add((piece - first) * PIECE).cast_const();
            let at: *const W::Stored = if self.room.is_null() { self.order[piece].cast() } else { converted.cast() };
            at.wrapping_add(lane)
        });
        let later = |by: usize| pieces.map(|(piece, lane)| self.order[piece + by].wrapping_add(lane));
        let count = self.count;
        // SAFETY: the caller's vectors and rows are there.
        unsafe {
            match if asks { self.hints } else { Hints::None } {
                Hints::Ahead => tile.add::<W, K, _, _>(read, ([later(count)], []), len, x, stride),
                Hints::Often => {
                    let hints = [later(count), later(count / 2), later(SOON)];
                    tile.add::<W, K, _, _>(read, (hints, []), len, x, stride);
                }
                Hints::Far => tile.add::<W, K, _, _>(read, ([], [later(FAR)]), len, x, stride),
                Hints::None => tile.add::<W, K, _, _>(read, ([], []), len, x, stride),
            }
        }
    }
}
