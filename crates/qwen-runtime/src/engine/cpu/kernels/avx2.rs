//! Eight lanes: AVX2 with FMA and F16C.

use std::arch::x86_64::*;

use super::simd::Simd;

pub(crate) struct Avx2;

// SAFETY of every block here: the trait asks its caller for the instruction set and for pointers
// that are good for what the operation touches; loads and stores need no alignment.
impl Simd for Avx2 {
    const LANES: usize = 8;
    const COLUMNS: usize = 4;
    const PAIR_COLUMNS: usize = 3;
    const HOLDS_WEIGHTS: bool = false;
    type F = __m256;
    type I = __m256i;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m256) {
        unsafe { _mm256_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> __m256 {
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }
    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, x: __m256) {
        unsafe { _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)) }
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> __m256 {
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())))) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn largest(x: __m256) -> f32 {
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> __m256i {
        unsafe { _mm256_set1_epi32(x) }
    }
    #[inline(always)]
    unsafe fn load_i(from: *const u8) -> __m256i {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store_i(to: *mut u8, x: __m256i) {
        unsafe { _mm256_storeu_si256(to.cast(), x) }
    }
    #[inline(always)]
    unsafe fn load_u8(from: *const u8) -> __m256i {
        unsafe { _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast())) }
    }
    #[inline(always)]
    unsafe fn load_i8(from: *const u8) -> __m256i {
        unsafe { _mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast())) }
    }
    #[inline(always)]
    unsafe fn to_f(x: __m256i) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(x) }
    }
    #[inline(always)]
    unsafe fn and(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_and_si256(a, b) }
    }
    #[inline(always)]
    unsafe fn or(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_or_si256(a, b) }
    }
    #[inline(always)]
    unsafe fn shl<const N: u32>(x: __m256i) -> __m256i {
        // The count stands in a register, since the instruction's own wants another type.
        unsafe { _mm256_sll_epi32(x, _mm_cvtsi32_si128(N as i32)) }
    }
    #[inline(always)]
    unsafe fn shr<const N: u32>(x: __m256i) -> __m256i {
        unsafe { _mm256_srl_epi32(x, _mm_cvtsi32_si128(N as i32)) }
    }
    #[inline(always)]
    unsafe fn dot<const V: usize, const GROUPS: usize>(
        sums: [__m256i; V],
        w: &[[__m256i; GROUPS]; V],
        a: *const i8,
        max: i32,
    ) -> [__m256i; V] {
        // So many products of pairs fit into 16 bits before they must be widened.
        let run = (32767 / (2 * max * 127)) as usize;
        let mut totals = sums;
        for v in 0..V {
            let mut group = 0;
            while group < GROUPS {
                unsafe {
                    let mut pairs = products(w[v][group], a.add(4 * group));
                    let mut next = group + 1;
                    while next < GROUPS && next < group + run {
                        pairs = _mm256_add_epi16(pairs, products(w[v][next], a.add(4 * next)));
                        next += 1;
                    }
                    totals[v] = _mm256_add_epi32(totals[v], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
                    group = next;
                }
            }
        }
        totals
    }
    #[inline(always)]
    unsafe fn signed(w: __m256i) -> __m256i {
        w
    }
    #[inline(always)]
    unsafe fn dot_signed<const V: usize, const N: usize>(
        w: &[[__m256i; 8]; V],
        a: *const i8,
        stride: usize,
        _negative_sums: [i32; N],
    ) -> [[__m256i; V]; N] {
        // The instruction wants one side unsigned: |w| · (a with w's sign). A pair is at most
        // 2 · 128 · 127, which just fits. Weights come one by one and meet all tokens, since 16
        // registers hold neither all weights nor what they are without sign.
        let mut totals = unsafe { [[_mm256_setzero_si256(); V]; N] };
        for group in 0..8 {
            for v in 0..V {
                unsafe {
                    let (weights, sizes) = (w[v][group], _mm256_abs_epi8(w[v][group]));
                    for n in 0..N {
                        let at = a.add(n * stride + 4 * group).cast::<i32>();
                        let signed = _mm256_sign_epi8(_mm256_set1_epi32(at.read_unaligned()), weights);
                        let fours = _mm256_madd_epi16(_mm256_maddubs_epi16(sizes, signed), _mm256_set1_epi16(1));
                        totals[n][v] = _mm256_add_epi32(totals[n][v], fours);
                    }
                }
            }
        }
        totals
    }
    #[inline(always)]
    unsafe fn dot_pairs(sum: __m256i, w: __m256i, a: i32) -> __m256i {
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(w, _mm256_set1_epi32(a))) }
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

/// Sums of two products each, unsigned weights times signed activations.
#[inline(always)]
unsafe fn products(w: __m256i, a: *const i8) -> __m256i {
    // SAFETY: as for the trait's functions; `a` is good for four bytes.
    unsafe { _mm256_maddubs_epi16(w, _mm256_set1_epi32(a.cast::<i32>().read_unaligned())) }
}
