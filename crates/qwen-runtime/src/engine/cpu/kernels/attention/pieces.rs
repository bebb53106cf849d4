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

/// The blocks of a sequence, unchecked.
#[derive(Debug)]
pub(super) struct Source<'a, K: KvFormat> {
    pub(super) bundles: *const K::Stored,
    pub(super) stride: usize,
    pub(super) table: &'a [u32],
    /// What few query rows ask for.
    pub(super) hints: Hints,
}

/// Which lines are asked for while a piece is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hints {
    None,
    /// Those of the piece that is read half a run later.
    Ahead,
    /// The same, and twice more on the way.
    Often,
}

/// Where the pieces of a run lie, 16 vectors of 16 lanes each: those of its keys `[block][dim / 16]`, those of its
/// values `[dim / 16][block]`, and those of the keys that are read after them.
#[derive(Debug)]
pub(super) struct Pieces<T> {
    places: [*const T; 3 * MAX_PIECES],
    /// Those of the keys.
    count: usize,
    /// Where the scales of the keys and of the values of each block lie, if there are some.
    scales: [[*const f32; RUN]; 2],
}

/// Keys or values of a run: the pieces to read, and those of the cache that are read after them.
#[derive(Debug)]
pub(super) struct Half<'a, W: KvFormat, K: KvFormat> {
    order: &'a [*const K::Stored],
    /// Those to read.
    count: usize,
    pub(super) scales: [*const f32; RUN],
    hints: Hints,
    /// Where pieces are converted to before they are read as `W`; null where that is what the cache has.
    room: *mut f32,
    read_as: PhantomData<W>,
}

impl<K: KvFormat> Source<'_, K> {
    /// Bundles of the blocks from number `first` of the sequence on, and the places of the blocks in them; behind the
    /// last block that one again, so that nothing is asked for in vain.
    fn bundles(&self, first: usize) -> [(*const K::Stored, usize); RUN] {
        std::array::from_fn(|index| {
            let block = self.table[(first + index).min(self.table.len() - 1)] as usize;
            (self.bundles.wrapping_add(block / RUN * self.stride), block % RUN)
        })
    }
}

impl<T> Pieces<T> {
    /// Those of the run from block number `first` of a sequence on, which is perhaps its last one.
    pub(super) fn of<K: KvFormat<Stored = T>>(source: &Source<'_, K>, dim: usize, first: usize) -> Self {
        let (layout, columns) = (Layout::of::<K>(dim), dim / ROWS);
        let bundles = source.bundles(first);
        let next = if first + RUN < source.table.len() {
            source.bundles(first + RUN)
        } else {
            // Most often the first ones of the next head, which lies behind this one.
            source.bundles(0).map(|(bundle, slot)| (bundle.wrapping_add(layout.len()), slot))
        };
        let count = RUN * columns;
        let mut places = [source.bundles; 3 * MAX_PIECES];
        for block in 0..RUN {
            let ((bundle, slot), (later, later_slot)) = (bundles[block], next[block]);
            for column in 0..columns {
                let key = block * columns + column;
                places[key] = bundle.wrapping_add(layout.key(slot, column));
                places[count + column * RUN + block] = bundle.wrapping_add(layout.value(slot, column));
                places[2 * count + key] = later.wrapping_add(layout.key(later_slot, column));
            }
        }
        let scales = [0, layout.half()]
            .map(|half| bundles.map(|(bundle, slot)| bundle.wrapping_add(half + layout.scales(slot)).cast()));
        Self { places, count, scales }
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
            let (order, scales) = (&self.places[number * self.count..3 * self.count], self.scales[number]);
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
                Hints::None => tile.add::<W, K, _>(read, [], len, x, stride),
                Hints::Ahead => tile.add::<W, K, _>(read, [later(count)], len, x, stride),
                Hints::Often => {
                    tile.add::<W, K, _>(read, [later(count), later(count / 2), later(SOON)], len, x, stride);
                }
            }
        }
    }
}
