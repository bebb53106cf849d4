//! One lane of plain Rust: the oracle of the other instruction sets, and the path of machines
//! for which there is none.

use half::f16;

use super::simd::Simd;

pub(crate) struct Scalar;

impl Simd for Scalar {
    const LANES: usize = 1;
    const COLUMNS: usize = 4;
    const PAIR_COLUMNS: usize = 2;
    const HOLDS_WEIGHTS: bool = true;
    type F = f32;
    type I = u32;

    #[inline(always)]
    unsafe fn splat(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> f32 {
        // SAFETY: the caller's pointer is good for one value.
        unsafe { from.read() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, x: f32) {
        // SAFETY: the caller's pointer is good for one value.
        unsafe { to.write(x) }
    }
    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> f32 {
        // SAFETY: the caller's pointer is good for one value.
        f16::from_bits(unsafe { from.read() }).to_f32()
    }
    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, x: f32) {
        // SAFETY: the caller's pointer is good for one value.
        unsafe { to.write(f16::from_f32(x).to_bits()) }
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> f32 {
        // SAFETY: the caller's pointer is good for one value.
        f32::from_bits(u32::from(unsafe { from.read() }) << 16)
    }
    #[inline(always)]
    unsafe fn add(a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    unsafe fn mul(a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    unsafe fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    unsafe fn largest(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> u32 {
        x as u32
    }
    #[inline(always)]
    unsafe fn load_i(from: *const u8) -> u32 {
        // SAFETY: the caller's pointer is good for four bytes.
        u32::from_le_bytes(unsafe { from.cast::<[u8; 4]>().read() })
    }
    #[inline(always)]
    unsafe fn store_i(to: *mut u8, x: u32) {
        // SAFETY: the caller's pointer is good for four bytes.
        unsafe { to.cast::<[u8; 4]>().write(x.to_le_bytes()) }
    }
    #[inline(always)]
    unsafe fn load_u8(from: *const u8) -> u32 {
        // SAFETY: the caller's pointer is good for one byte.
        u32::from(unsafe { from.read() })
    }
    #[inline(always)]
    unsafe fn load_i8(from: *const u8) -> u32 {
        // SAFETY: the caller's pointer is good for one byte.
        i32::from(unsafe { from.read() } as i8) as u32
    }
    #[inline(always)]
    unsafe fn to_f(x: u32) -> f32 {
        x as i32 as f32
    }
    #[inline(always)]
    unsafe fn and(a: u32, b: u32) -> u32 {
        a & b
    }
    #[inline(always)]
    unsafe fn or(a: u32, b: u32) -> u32 {
        a | b
    }
    #[inline(always)]
    unsafe fn shl<const N: u32>(x: u32) -> u32 {
        x << N
    }
    #[inline(always)]
    unsafe fn shr<const N: u32>(x: u32) -> u32 {
        x >> N
    }
    #[inline(always)]
    unsafe fn dot<const V: usize, const GROUPS: usize>(
        sums: [u32; V],
        w: &[[u32; GROUPS]; V],
        a: *const i8,
        _max: i32,
    ) -> [u32; V] {
        let mut totals = sums;
        for (total, w) in totals.iter_mut().zip(w) {
            for (index, &weight) in w.map(u32::to_le_bytes).as_flattened().iter().enumerate() {
                // SAFETY: the caller's pointer is good for `4 · GROUPS` bytes.
                let product = i32::from(weight) * i32::from(unsafe { a.add(index).read() });
                *total = (*total as i32 + product) as u32;
            }
        }
        totals
    }
    #[inline(always)]
    unsafe fn signed(w: u32) -> u32 {
        w
    }
    #[inline(always)]
    unsafe fn dot_signed<const V: usize, const N: usize>(
        w: &[[u32; 8]; V],
        a: *const i8,
        stride: usize,
        _negative_sums: [i32; N],
    ) -> [[u32; V]; N] {
        let mut totals = [[0; V]; N];
        for (n, totals) in totals.iter_mut().enumerate() {
            for (total, w) in totals.iter_mut().zip(w) {
                for (index, &weight) in w.map(u32::to_le_bytes).as_flattened().iter().enumerate() {
                    // SAFETY: the caller's pointer is good for 32 bytes of each token.
                    let product = i32::from(weight as i8) * i32::from(unsafe { a.add(n * stride + index).read() });
                    *total = (*total as i32 + product) as u32;
                }
            }
        }
        totals
    }
    #[inline(always)]
    unsafe fn dot_pairs(sum: u32, w: u32, a: i32) -> u32 {
        let halves = |x: u32| [i32::from(x as i16), i32::from((x >> 16) as i16)];
        let ([w0, w1], [a0, a1]) = (halves(w), halves(a as u32));
        (sum as i32 + w0 * a0 + w1 * a1) as u32
    }
    #[inline(always)]
    unsafe fn prefetch(_from: *const u8) {}
    #[inline(always)]
    unsafe fn prefetch_far(_from: *const u8) {}
}
