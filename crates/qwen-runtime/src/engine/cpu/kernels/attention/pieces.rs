//! [`Pieces`]: the blocks of a run in the order in which they are read.

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

/// Keys or values of a run.
#[derive(Debug)]
pub(super) struct Half<'a, W: KvFormat, K: KvFormat> {
    /// The pieces to read, as the cache has them or converted.
    pub(super) read: &'a [*const W::Stored],
    /// The same pieces of the cache, and at least as many that are read after them. Any address.
    order: &'a [*const K::Stored],
    pub(super) scales: [*const f32; RUN],
    hints: Hints,
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
        self.converted(&self.places[..2 * self.count], hints)
    }

    /// Keys and values, to be read from `read`.
    pub(super) fn converted<'a, W: KvFormat, K: KvFormat<Stored = T>>(
        &'a self,
        read: &'a [*const W::Stored],
        hints: Hints,
    ) -> [Half<'a, W, K>; 2] {
        let half = |number: usize| {
            let (order, scales) = (&self.places[number * self.count..3 * self.count], self.scales[number]);
            Half { read: &read[number * self.count..][..self.count], order, scales, hints }
        };
        [half(0), half(1)]
    }

    /// Writes the pieces of so many blocks in single precision, and returns where they lie then, all pieces in order.
    #[inline(always)]
    pub(super) unsafe fn convert<S: Simd, K: KvFormat<Stored = T>>(
        &self,
        blocks: usize,
        to: &mut [f32],
    ) -> [*const f32; 2 * MAX_PIECES] {
        let columns = self.count / RUN;
        for piece in 0..2 * self.count {
            let block = if piece < self.count { piece / columns } else { piece % RUN };
            if block < blocks {
                let (from, to) = (self.places[piece], &mut to[piece * PIECE..][..PIECE]);
                for at in (0..PIECE).step_by(S::LANES) {
                    // SAFETY: the blocks are the caller's, and both pieces have so many values.
                    unsafe { S::store(to.as_mut_ptr().add(at), K::load::<S>(from.add(at))) }
                }
            }
        }
        let start = to.as_ptr();
        std::array::from_fn(|piece| start.wrapping_add(piece * PIECE))
    }
}

impl<W: KvFormat, K: KvFormat> Half<'_, W, K> {
    /// Adds to a tile the products of vectors, `len` of each of `pieces` from a lane on, with rows `x` that lie
    /// `stride` apart. Only the first rows that read a piece ask for others.
    #[inline(always)]
    pub(super) unsafe fn add_to<S: Simd, const N: usize, const V: usize>(
        &self,
        tile: &mut Tile<S, N, V>,
        pieces: [(usize, usize); V],
        len: usize,
        (x, stride): (*const f32, usize),
        is_first: bool,
    ) {
        let read = pieces.map(|(piece, lane)| self.read[piece].wrapping_add(lane));
        let later = |by: usize| pieces.map(|(piece, lane)| self.order[piece + by].wrapping_add(lane));
        let count = self.read.len();
        // SAFETY: the caller's vectors and rows are there.
        unsafe {
            match if is_first { self.hints } else { Hints::None } {
                Hints::None => tile.add::<W, K, _>(read, [], len, x, stride),
                Hints::Ahead => tile.add::<W, K, _>(read, [later(count)], len, x, stride),
                Hints::Often => {
                    tile.add::<W, K, _>(read, [later(count), later(count / 2), later(SOON)], len, x, stride);
                }
            }
        }
    }
}
