//! [`Conversion`]: how rows of a checkpoint become a packed group, in the type that they are to have.

use std::num::NonZeroUsize;

use super::kernels::{ROWS, RowGroup};
use super::packed::pack_group;
use crate::checkpoint::StoredType;
use crate::quantize::{Fault, RowCodec};

/// Packs groups of up to 16 rows, one after another. Each thread has its own.
pub(super) struct Conversion<'a> {
    codec: RowCodec<'a>,
    /// A group between its two types: `ROWS` rows of the target, or a packed group of the source; empty where the types
    /// are the same.
    between: Vec<u8>,
}

impl<'a> Conversion<'a> {
    pub(super) fn new(codec: RowCodec<'a>) -> Self {
        let len = match codec.source {
            source if source == codec.target => 0,
            source if source.is_quantized() => RowGroup::bytes(source, codec.columns),
            _ => ROWS * codec.target_row(),
        };
        Self { codec, between: vec![0; len] }
    }

    /// Packs the rows `raw` into `group`, in which rows that are not there stay as they are.
    ///
    /// # Errors
    /// A weight that the target cannot hold.
    pub(super) fn pack(&mut self, raw: &[u8], group: &mut [u8]) -> Result<(), Fault> {
        let RowCodec { source, target, .. } = self.codec;
        let row_bytes = self.codec.source_row();
        if source == target {
            pack_group(source, raw, row_bytes, group);
        } else if source.is_quantized() {
            self.widen(raw, group)?;
        } else {
            let rows = &mut self.between[..raw.len() / row_bytes * self.codec.target_row()];
            self.codec.convert(raw, rows, NonZeroUsize::MIN)?;
            pack_group(target, rows, self.codec.target_row(), group);
        }
        Ok(())
    }

    /// Blocks become floats by what the kernels make of them.
    fn widen(&mut self, raw: &[u8], group: &mut [u8]) -> Result<(), Fault> {
        let RowCodec { source, target, columns, .. } = self.codec;
        if target != StoredType::F32 {
            return Err(Fault::Mismatch);
        }
        let row_bytes = self.codec.source_row();
        pack_group(source, raw, row_bytes, &mut self.between);
        let mut values = vec![0.0_f32; columns];
        for row in 0..raw.len() / row_bytes {
            RowGroup { dtype: source, bytes: &self.between }.row(row, &mut values);
            for (to, value) in group.chunks_exact_mut(4 * ROWS).zip(&values) {
                to[4 * row..][..4].copy_from_slice(&value.to_le_bytes());
            }
        }
        Ok(())
    }
}
