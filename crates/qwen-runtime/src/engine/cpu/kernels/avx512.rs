//! Sixteen lanes: AVX-512 with VNNI.

use std::arch::x86_64::*;

use super::simd::Simd;

pub(crate) struct Avx512;

// SAFETY of every block here: the trait asks its caller for the instruction set and for pointers
// that are good for what the operation touches; loads and stores need no alignment.
impl Simd for Avx512 {
    const LANES: usize = 16;
    const COLUMNS: usize = 8;
    const PAIR_COLUMNS: usize = 6;
    const HOLDS_WEIGHTS: bool = true;
    type F = __m512;
    type I = __m512i;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m512) {
        unsafe { _mm512_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, x: __m512) {
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)) }
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> __m512 {
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast())))) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn largest(x: __m512) -> f32 {
        unsafe { _mm512_reduce_max_ps(x) }
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> __m512i {
        unsafe { _mm512_set1_epi32(x) }
    }
    #[inline(always)]
    unsafe fn load_i(from: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store_i(to: *mut u8, x: __m512i) {
        unsafe { _mm512_storeu_si512(to.cast(), x) }
    }
    #[inline(always)]
    unsafe fn load_u8(from: *const u8) -> __m512i {
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast())) }
    }
    #[inline(always)]
    unsafe fn load_i8(from: *const u8) -> __m512i {
        unsafe { _mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast())) }
    }
    #[inline(always)]
    unsafe fn to_f(x: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(x) }
    }
    #[inline(always)]
    unsafe fn and(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(a, b) }
    }
    #[inline(always)]
    unsafe fn or(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_or_si512(a, b) }
    }
    #[inline(always)]
    unsafe fn shl<const N: u32>(x: __m512i) -> __m512i {
        unsafe { _mm512_slli_epi32::<N>(x) }
    }
    #[inline(always)]
    unsafe fn shr<const N: u32>(x: __m512i) -> __m512i {
        unsafe { _mm512_srli_epi32::<N>(x) }
    }
    #[inline(always)]
    unsafe fn dot<const V: usize, const GROUPS: usize>(
        sums: [__m512i; V],
        w: &[[__m512i; GROUPS]; V],
        a: *const i8,
        _max: i32,
    ) -> [__m512i; V] {
        let mut totals = sums;
        for group in 0..GROUPS {
            unsafe {
                let activations = _mm512_set1_epi32(a.add(4 * group).cast::<i32>().read_unaligned());
                for v in 0..V {
                    totals[v] = _mm512_dpbusd_epi32(totals[v], w[v][group], activations);
                }
            }
        }
        totals
    }
    #[inline(always)]
    unsafe fn dots<const V: usize, const N: usize, const GROUPS: usize>(
        sums: [[__m512i; V]; N],
        w: &[[__m512i; GROUPS]; V],
        (a, stride): (*const i8, usize),
        _max: i32,
    ) -> [[__m512i; V]; N] {
        // All tokens in turns, since a sum waits for the one before it.
        let mut totals = sums;
        for group in 0..GROUPS {
            for n in 0..N {
                unsafe {
                    let activations = _mm512_set1_epi32(a.add(n * stride + 4 * group).cast::<i32>().read_unaligned());
                    for v in 0..V {
                        totals[n][v] = _mm512_dpbusd_epi32(totals[n][v], w[v][group], activations);
                    }
                }
            }
        }
        totals
    }
    #[inline(always)]
    unsafe fn signed(w: __m512i) -> __m512i {
        // Plus 128, which makes them unsigned.
        unsafe { _mm512_xor_si512(w, _mm512_set1_epi8(-128)) }
    }
    #[inline(always)]
    unsafe fn dot_signed<const V: usize, const N: usize>(
        w: &[[__m512i; 8]; V],
        a: *const i8,
        stride: usize,
        negative_sums: [i32; N],
    ) -> [[__m512i; V]; N] {
        let mut dots = unsafe { [[_mm512_setzero_si512(); V]; N] };
        for n in 0..N {
            // The 128 that each weight has too much is taken off at the start.
            unsafe {
                let start = _mm512_slli_epi32::<7>(_mm512_set1_epi32(negative_sums[n]));
                dots[n] = Self::dot([start; V], w, a.add(n * stride), 255);
            }
        }
        dots
    }
    #[inline(always)]
    unsafe fn dot_pairs(sum: __m512i, w: __m512i, a: i32) -> __m512i {
        unsafe { _mm512_dpwssd_epi32(sum, w, _mm512_set1_epi32(a)) }
    }
    #[inline(always)]
    unsafe fn prefetch(from: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
    }
    #[inline(always)]
    unsafe fn prefetch_far(from: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }
}
