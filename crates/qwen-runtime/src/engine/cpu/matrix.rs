//! [`CpuMatrix`]: a matrix on its own, multiplied as the engine does it.

use super::kernels::{Activations, Chunks, Detected, KernelSet, Lines, ROWS, RowGroup, Team, tile_stride};
use super::packed::{PackedMatrix, Weights};
use super::start_team;
use crate::checkpoint::{Checkpoint, TensorName};
use crate::error::RuntimeError;

/// A matrix of a checkpoint in the form of the cpu engine, and threads that multiply it: what its kernels are
/// measured by.
#[derive(Debug)]
pub struct CpuMatrix {
    kernels: Detected,
    team: Team,
    weights: Weights,
    matrix: PackedMatrix,
    activations: Activations,
    /// Tiles `[row / 16][token][16]`.
    products: Lines,
}

/// The products of a matrix with some tokens.
#[derive(Debug, Clone, Copy)]
pub struct CpuProducts<'a> {
    tiles: &'a [f32],
    tokens: usize,
    rows: usize,
}

impl CpuMatrix {
    /// Packs the matrix `name` of a checkpoint as it is stored; `kernels` are the best that the machine has where none
    /// are named.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidParameter`] for the name of a vector, a number of threads that cannot be, or kernels that
    /// the machine does not have; [`RuntimeError::Compute`] when there is no memory or no thread; what
    /// [`Checkpoint::tensor`] says of the tensor.
    pub fn load(
        checkpoint: &Checkpoint,
        name: TensorName,
        threads: usize,
        kernels: Option<KernelSet>,
    ) -> Result<Self, RuntimeError> {
        let stored = checkpoint.tensor(name)?;
        let &[rows, columns] = &stored.shape[..] else {
            return Err(RuntimeError::parameter("name", format!("{} is no matrix", name.in_gguf())));
        };
        let kernels = kernels.map_or_else(|| Ok(Detected::best()), Detected::new)?;
        let mut team = start_team(threads)?;
        let mut weights = Weights::with_room_for([(stored.dtype, rows, columns)].into_iter())?;
        let matrix = weights
            .pack(&stored, stored.dtype, &mut team, &mut |bytes| checkpoint.release(bytes))
            .map_err(|fault| fault.explain(checkpoint.path(), &name.in_gguf(), stored.dtype, stored.dtype))?;
        Ok(Self { kernels, team, weights, matrix, activations: Activations::default(), products: Lines::default() })
    }

    /// Rows and columns: values that come out and that go in.
    #[must_use]
    pub fn shape(&self) -> [usize; 2] {
        [self.matrix.rows(), self.matrix.columns()]
    }

    /// Bytes that a product reads.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.matrix.bytes()
    }

    /// `W x` for each row of `x`, `(tokens, columns)`. What is stored in blocks is multiplied by `x` in 8 bits.
    ///
    /// # Panics
    /// When `x` is no whole number of rows, or none.
    pub fn multiply(&mut self, x: &[f32]) -> CpuProducts<'_> {
        let Self { kernels, team, weights, matrix, activations, products } = self;
        let (set, columns) = (*kernels, matrix.columns());
        assert!(!x.is_empty() && x.len().is_multiple_of(columns), "{} values are no rows of {columns}", x.len());
        let tokens = x.len() / columns;
        let rows = activations.rows(tokens, columns, RowGroup::precision(matrix.dtype()));
        team.run(tokens, &|range| {
            for token in range {
                rows.fill(set, token, |row| row.copy_from_slice(&x[token * columns..][..columns]));
            }
        });
        drop(rows);
        let stride = tile_stride(tokens);
        let tiles = Chunks::new(products.room(matrix.groups() * stride), stride);
        let (matrix, weights, activations) = (&*matrix, &*weights, &*activations);
        team.run(matrix.groups(), &|range| {
            let groups = range.map(|index| {
                let tile = &mut tiles.take(index)[..tokens * ROWS];
                tile.fill(0.0);
                (matrix.group(weights, index), tile)
            });
            RowGroup::add_products(set, activations, groups);
        });
        drop(tiles);
        CpuProducts { tiles: products, tokens, rows: matrix.rows() }
    }
}

impl CpuProducts<'_> {
    /// The product with token `token`: a value for each row of the matrix.
    ///
    /// # Panics
    /// When there is no such token.
    pub fn of_token(&self, token: usize) -> impl Iterator<Item = f32> + '_ {
        assert!(token < self.tokens, "token {token} of {}", self.tokens);
        let tiles = self.tiles.chunks_exact(tile_stride(self.tokens));
        tiles.flat_map(move |tile| tile[token * ROWS..][..ROWS].iter().copied()).take(self.rows)
    }
}
