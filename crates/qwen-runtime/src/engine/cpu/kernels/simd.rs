//! [`Simd`]: the few operations of an instruction set that every kernel is written in.
//!
//! Weights lie in groups of 16 rows; one lane computes one row. So a kernel is written once, for
//! any number of lanes that divides 16, and no result depends on how many there are: each lane's
//! sums are made in the same order everywhere, and all instruction sets agree to the last bit.

/// Rows of a group, and lanes of its widest instruction set.
pub(crate) const ROWS: usize = 16;

/// Lanes of `f32`, and lanes of 32 bits that hold an `i32` or four bytes.
///
/// # Safety
/// Every function needs the processor to have the instruction set, and every pointer to be good
/// for the bytes that it names. They are `inline(always)`, so that they become instructions of
/// the function that enables the set.
pub(crate) trait Simd {
    /// Lanes; divides [`ROWS`].
    const LANES: usize;
    /// Columns that a tile of a matrix product holds in registers.
    const COLUMNS: usize;
    /// The same for a tile of two groups.
    const PAIR_COLUMNS: usize;
    /// Whether the registers hold 32 columns of weights beside a tile's results.
    const HOLDS_WEIGHTS: bool;
    type F: Copy;
    type I: Copy;

    unsafe fn splat(x: f32) -> Self::F;
    unsafe fn load(from: *const f32) -> Self::F;
    unsafe fn store(to: *mut f32, x: Self::F);
    /// From IEEE half precision.
    unsafe fn load_f16(from: *const u16) -> Self::F;
    /// To IEEE half precision, the nearest, of two the even one.
    unsafe fn store_f16(to: *mut u16, x: Self::F);
    /// From bfloat16.
    unsafe fn load_bf16(from: *const u16) -> Self::F;
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// `a · b + c`, rounded once.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;

    /// The largest lane.
    unsafe fn largest(x: Self::F) -> f32;

    unsafe fn splat_i(x: i32) -> Self::I;
    /// `4 · LANES` bytes.
    unsafe fn load_i(from: *const u8) -> Self::I;
    unsafe fn store_i(to: *mut u8, x: Self::I);
    /// `LANES` bytes, each widened without sign.
    unsafe fn load_u8(from: *const u8) -> Self::I;
    /// `LANES` bytes, each widened with its sign.
    unsafe fn load_i8(from: *const u8) -> Self::I;
    unsafe fn to_f(x: Self::I) -> Self::F;
    unsafe fn and(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn or(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn shl<const N: u32>(x: Self::I) -> Self::I;
    /// Shifts zeros in.
    unsafe fn shr<const N: u32>(x: Self::I) -> Self::I;

    /// `sum + Σ w[i] · a[i]` over `4 · GROUPS` bytes for each of `V` vectors of rows: the weights
    /// unsigned and at most `max`, a constant; the activations signed and at least -127, the same
    /// for all lanes.
    unsafe fn dot<const V: usize, const GROUPS: usize>(
        sums: [Self::I; V],
        w: &[[Self::I; GROUPS]; V],
        a: *const i8,
        max: i32,
    ) -> [Self::I; V];
    /// The same for `N` tokens, `stride` bytes apart.
    #[inline(always)]
    unsafe fn dots<const V: usize, const N: usize, const GROUPS: usize>(
        sums: [[Self::I; V]; N],
        w: &[[Self::I; GROUPS]; V],
        (a, stride): (*const i8, usize),
        max: i32,
    ) -> [[Self::I; V]; N] {
        let mut totals = sums;
        for n in 0..N {
            // SAFETY: the caller's.
            totals[n] = unsafe { Self::dot(sums[n], w, a.add(n * stride), max) };
        }
        totals
    }
    /// Signed bytes made ready for [`Simd::dot_signed`].
    unsafe fn signed(w: Self::I) -> Self::I;
    /// The dot products of 32 signed weights, as [`Simd::signed`] left them, with 32 activations of
    /// each of `N` tokens, `stride` apart, whose sums are `-negative_sums`.
    unsafe fn dot_signed<const V: usize, const N: usize>(
        w: &[[Self::I; 8]; V],
        a: *const i8,
        stride: usize,
        negative_sums: [i32; N],
    ) -> [[Self::I; V]; N];
    /// `sum + w.0 · a.0 + w.1 · a.1` for pairs of `i16`, the same `a` for all lanes.
    unsafe fn dot_pairs(sum: Self::I, w: Self::I, a: i32) -> Self::I;

    /// Asks for a cache line; any address is allowed.
    unsafe fn prefetch(from: *const u8);
    /// The same, but no nearer than the second-level cache: of what is read soon, the first one keeps more.
    unsafe fn prefetch_far(from: *const u8);
}
