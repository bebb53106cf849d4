//! Everything that is written for an instruction set, and the threads that run it: with the
//! mapping of files, the only places of `unsafe`.
//!
//! A kernel is generic over [`simd::Simd`] or plain Rust, and [`kernel!`] compiles it once for
//! each instruction set. Around the kernels stand safe functions that check every length.
#![expect(unsafe_code, reason = "the kernels: each block says why it is sound")]
#![allow(clippy::needless_range_loop, reason = "an index names the same column of several arrays")]
#![allow(clippy::too_many_arguments, reason = "a kernel takes places, not things")]

macro_rules! kernel {
    ($(#[$doc:meta])* unsafe fn $name:ident<$S:ident $(, $P:ident: $bound:path)*>($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        pub(super) unsafe fn $name<$($P: $bound),*>(set: $crate::engine::cpu::kernels::Detected, $($arg: $ty),*) {
            use $crate::engine::cpu::kernels::{KernelSet, scalar::Scalar, simd::Simd};
            #[inline(always)]
            unsafe fn generic<$S: Simd $(, $P: $bound)*>($($arg: $ty),*) $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2<$($P: $bound),*>($($arg: $ty),*) {
                // SAFETY: the caller's.
                unsafe { generic::<$crate::engine::cpu::kernels::avx2::Avx2 $(, $P)*>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
            unsafe fn avx512<$($P: $bound),*>($($arg: $ty),*) {
                // SAFETY: the caller's.
                unsafe { generic::<$crate::engine::cpu::kernels::avx512::Avx512 $(, $P)*>($($arg),*) }
            }
            // SAFETY: the set was detected; the places are the caller's.
            unsafe {
                match set.set() {
                    #[cfg(target_arch = "x86_64")]
                    KernelSet::Avx512 => avx512::<$($P),*>($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    KernelSet::Avx2 => avx2::<$($P),*>($($arg),*),
                    _ => generic::<Scalar $(, $P)*>($($arg),*),
                }
            }
        }
    };
}

/// Has `$call` run with `$N` for `$n` columns of a tile, at most eight; no set has larger ones.
macro_rules! with_columns {
    ($n:expr, $N:ident => $call:expr) => {
        match $n {
            1 => {
                const $N: usize = 1;
                $call
            }
            2 => {
                const $N: usize = 2;
                $call
            }
            3 => {
                const $N: usize = 3;
                $call
            }
            4 => {
                const $N: usize = 4;
                $call
            }
            5 => {
                const $N: usize = 5;
                $call
            }
            6 => {
                const $N: usize = 6;
                $call
            }
            7 => {
                const $N: usize = 7;
                $call
            }
            _ => {
                const $N: usize = 8;
                $call
            }
        }
    };
}

mod activations;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod elementwise;
mod formats;
mod lines;
mod memory;
mod product;
mod scalar;
mod set;
mod simd;
mod team;

pub(crate) use activations::{Activations, Precision};
pub(crate) use attention::{
    Attention, BLOCK_LEN, KvFormat, Layout, MAX_HEAD, Mark, Q8, RUN, SCALED, SPAN_LEN, Shape, finish, merge,
};
pub(crate) use elementwise::{Elementwise, Norm, Tiles, tile_stride};
pub(crate) use formats::{F16, F32, SMALL, SUPER, plane, small_block};
pub(crate) use lines::{LINE, Lines};
pub(crate) use memory::Memory;
pub(crate) use product::RowGroup;
pub(crate) use set::Detected;
pub use set::KernelSet;
pub(crate) use simd::ROWS;
pub(crate) use team::{Chunks, Team};
