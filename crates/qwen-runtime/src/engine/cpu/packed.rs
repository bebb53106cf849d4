//! [`PackedMatrix`]: a matrix in groups of 16 rows, as the kernels read it.

use std::ops::Range;
use std::sync::OnceLock;

use super::conversion::Conversion;
use super::kernels::{Chunks, LINE, Memory, ROWS, RowGroup, SMALL, Team, plane, small_block};
use crate::checkpoint::{StoredTensor, StoredType};
use crate::error::RuntimeError;
use crate::quantize::{Fault, RowCodec};

/// The memory of all weights.
#[derive(Debug)]
pub(super) struct Weights {
    memory: Memory<u8>,
    used: usize,
}

/// A matrix `(rows, columns)`, packed, and its place in the memory of all.
#[derive(Debug)]
pub(super) struct PackedMatrix {
    dtype: StoredType,
    rows: usize,
    columns: usize,
    group_bytes: usize,
    place: Range<usize>,
}

/// Bytes of a checkpoint that are read before they are given back to the system: enough that no thread waits for the
/// others often.
const PART: usize = 8 << 20;

impl Weights {
    /// Room for matrices of `sizes` (type, rows, columns).
    ///
    /// # Errors
    /// [`RuntimeError::Compute`] when there is no memory.
    pub(super) fn with_room_for(sizes: impl Iterator<Item = (StoredType, usize, usize)>) -> Result<Self, RuntimeError> {
        let bytes = |(dtype, rows, columns): (StoredType, usize, usize)| {
            (rows.div_ceil(ROWS) * RowGroup::bytes(dtype, columns)).next_multiple_of(LINE)
        };
        let memory = Memory::zeroed(sizes.map(bytes).sum(), "the weights")?;
        Ok(Self { memory, used: 0 })
    }

    /// Packs a stored matrix in type `dtype`; the threads of `team` share the work. `read` is told, part by part, which
    /// bytes of it have been read, so that they need not stay in memory.
    ///
    /// # Errors
    /// A weight that the type cannot hold.
    pub(super) fn pack(
        &mut self,
        stored: &StoredTensor<'_>,
        dtype: StoredType,
        team: &mut Team,
        read: &mut dyn FnMut(&[u8]),
    ) -> Result<PackedMatrix, Fault> {
        let (rows, columns) = (stored.shape[0], stored.shape[1]);
        let codec = RowCodec { source: stored.dtype, target: dtype, columns, importance: None };
        let matrix = self.place(dtype, rows, columns);
        let chunks = Chunks::new(&mut self.memory[matrix.place.clone()], matrix.group_bytes);
        let bytes = |groups: Range<usize>| {
            let start = |group: usize| rows.min(group * ROWS) * codec.source_row();
            &stored.bytes[start(groups.start)..start(groups.end)]
        };
        let at_once = (PART / (ROWS * codec.source_row())).max(1);
        for first in (0..matrix.groups()).step_by(at_once) {
            let part = first..matrix.groups().min(first + at_once);
            let fault = OnceLock::new();
            team.run(part.len(), &|range| {
                let mut conversion = Conversion::new(codec);
                for group in first + range.start..first + range.end {
                    if let Err(found) = conversion.pack(bytes(group..group + 1), chunks.take(group)) {
                        // One weight is enough to refuse the checkpoint.
                        fault.get_or_init(|| found);
                        return;
                    }
                }
            });
            fault.into_inner().map_or(Ok(()), Err)?;
            read(bytes(part));
        }
        drop(chunks);
        Ok(matrix)
    }

    /// The next place.
    fn place(&mut self, dtype: StoredType, rows: usize, columns: usize) -> PackedMatrix {
        let group_bytes = RowGroup::bytes(dtype, columns);
        let start = self.used;
        let end = start + rows.div_ceil(ROWS) * group_bytes;
        // Every matrix begins on a cache line.
        self.used = end.next_multiple_of(LINE);
        PackedMatrix { dtype, rows, columns, group_bytes, place: start..end }
    }
}

impl PackedMatrix {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Its size in memory.
    pub(super) fn bytes(&self) -> usize {
        self.place.len()
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn dtype(&self) -> StoredType {
        self.dtype
    }

    /// Groups of 16 rows.
    pub(super) fn groups(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    pub(super) fn group<'a>(&self, weights: &'a Weights, index: usize) -> RowGroup<'a> {
        let bytes = &weights.memory[self.place.clone()][index * self.group_bytes..][..self.group_bytes];
        RowGroup { dtype: self.dtype, bytes }
    }

    /// Row `row` as floats.
    pub(super) fn row(&self, weights: &Weights, row: usize, out: &mut [f32]) {
        self.group(weights, row / ROWS).row(row % ROWS, out);
    }
}

/// Packs up to 16 rows; rows that are not there stay zero.
pub(super) fn pack_group(dtype: StoredType, rows: &[u8], row_bytes: usize, group: &mut [u8]) {
    for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
        match dtype {
            StoredType::F32 => pack_dense::<4>(row, lane, group),
            StoredType::F16 | StoredType::BF16 => pack_dense::<2>(row, lane, group),
            StoredType::Q4K => pack_affine::<144>(row, lane, group),
            StoredType::Q5K => pack_affine::<176>(row, lane, group),
            StoredType::Q6K => pack_q6_k(row, lane, group),
            StoredType::Q8_0 => pack_q8_0(row, lane, group),
            StoredType::Q4_0 => pack_q4_0(row, lane, group),
        }
    }
}

fn pack_dense<const BYTES: usize>(row: &[u8], lane: usize, group: &mut [u8]) {
    for (value, to) in row.chunks_exact(BYTES).zip(group.chunks_exact_mut(ROWS * BYTES)) {
        to[lane * BYTES..][..BYTES].copy_from_slice(value);
    }
}

/// Four bytes.
fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn put(group: &mut [u8], at: usize, value: u32) {
    group[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

const LOW: u32 = 0x0f0f_0f0f;

/// Writes 32 columns of nibbles; `four` gives columns `4g..4g + 4`.
fn put_nibbles(group: &mut [u8], at: usize, lane: usize, four: impl Fn(usize) -> u32) {
    for j in 0..4 {
        put(group, at + 64 * j + 4 * lane, four(2 * j) | four(2 * j + 1) << 4);
    }
}

/// Q4_K and Q5_K: `d`, `dmin`, 12 bytes of scales and mins, in Q5_K 32 bytes of fifth bits, 128 bytes of nibbles.
fn pack_affine<const BLOCK: usize>(row: &[u8], lane: usize, group: &mut [u8]) {
    let packed = ROWS * BLOCK;
    for (block, to) in row.chunks_exact(BLOCK).zip(group.chunks_exact_mut(packed)) {
        to[2 * lane..][..2].copy_from_slice(&block[..2]);
        // The minima are added, so their factor changes its sign.
        to[32 + 2 * lane..][..2].copy_from_slice(&[block[2], block[3] ^ 0x80]);
        let packed_scales = &block[4..16];
        let mut high = 0;
        for index in 0..8 {
            let (scale, minimum) = scale_and_minimum(packed_scales, index);
            to[64 + 16 * index + lane] = scale | minimum << 6;
            high |= u32::from(minimum >> 2) << (4 * index);
        }
        put(to, 192 + 4 * lane, high);
        let (fifth, nibbles) = block[16..].split_at(BLOCK - 144);
        for (part, to) in to[256..].chunks_exact_mut((packed - 256) / 8).enumerate() {
            let (chunk, shift) = (&nibbles[32 * (part / 2)..], 4 * (part % 2));
            put_nibbles(to, 0, lane, |g| word(&chunk[4 * g..]) >> shift & LOW);
            if !fifth.is_empty() {
                let bits = |bits: u32, g: usize| bits | (word(&fifth[4 * g..]) >> part & 0x0101_0101) << g;
                put(to, 256 + 4 * lane, (0..8).fold(0, bits));
            }
        }
    }
}

/// ggml's `get_scale_min_k4`: eight pairs of 6 bits in 12 bytes.
fn scale_and_minimum(packed: &[u8], index: usize) -> (u8, u8) {
    if index < 4 {
        return (packed[index] & 63, packed[index + 4] & 63);
    }
    let both = packed[index + 4];
    (both & 15 | packed[index - 4] >> 6 << 4, both >> 4 | packed[index] >> 6 << 4)
}

/// Q6_K: 128 bytes of nibbles, 64 of high bits, 16 scales, `d`.
fn pack_q6_k(row: &[u8], lane: usize, group: &mut [u8]) {
    const BLOCK: usize = 210;
    let (factors, blocks) = group.split_at_mut(plane(row.len() / BLOCK));
    for ((block, to), factors) in
        row.chunks_exact(BLOCK).zip(blocks.chunks_exact_mut(3328)).zip(factors.chunks_exact_mut(2 * ROWS))
    {
        factors[2 * lane..][..2].copy_from_slice(&block[208..]);
        for (index, &scale) in block[192..208].iter().enumerate() {
            to[16 * index + lane] = scale;
        }
        for (part, to) in to[256..].chunks_exact_mut(384).enumerate() {
            // 128 columns are 64 bytes of nibbles and 32 of high bits.
            let (half, quarter) = (part / 4, part % 4);
            let low = &block[64 * half + 32 * (quarter % 2)..];
            let shift = 4 * (quarter / 2);
            put_nibbles(to, 0, lane, |g| word(&low[4 * g..]) >> shift & LOW);
            let high = &block[128 + 32 * half..];
            for second in 0..2 {
                let bits = |bits: u32, i: usize| {
                    bits | (word(&high[16 * second + 4 * i..]) >> (2 * quarter) & 0x0303_0303) << (2 * i)
                };
                put(to, 256 + 64 * second + 4 * lane, (0..4).fold(0, bits));
            }
        }
    }
}

/// Q8_0: `d` and 32 signed bytes.
fn pack_q8_0(row: &[u8], lane: usize, group: &mut [u8]) {
    const BLOCK: usize = 2 + SMALL;
    for (index, block) in row.chunks_exact(BLOCK).enumerate() {
        let (d, at) = small_block(index, ROWS * SMALL);
        group[d + 2 * lane..][..2].copy_from_slice(&block[..2]);
        for (g, four) in block[2..].chunks_exact(4).enumerate() {
            group[at + 64 * g + 4 * lane..][..4].copy_from_slice(four);
        }
    }
}

/// Q4_0: `d` and 16 bytes, columns 0..16 below and 16..32 above.
fn pack_q4_0(row: &[u8], lane: usize, group: &mut [u8]) {
    const BLOCK: usize = 2 + SMALL / 2;
    for (index, block) in row.chunks_exact(BLOCK).enumerate() {
        let (d, at) = small_block(index, ROWS * SMALL / 2);
        group[d + 2 * lane..][..2].copy_from_slice(&block[..2]);
        put_nibbles(group, at, lane, |g| word(&block[2 + 4 * (g % 4)..]) >> (4 * (g / 4)) & LOW);
    }
}
