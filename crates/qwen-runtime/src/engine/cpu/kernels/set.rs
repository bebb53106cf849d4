//! [`KernelSet`]: which instructions the kernels use.

use std::fmt;
use std::str::FromStr;

#[cfg(target_arch = "x86_64")]
use raw_cpuid::{CacheParameter, CacheType, CpuId};

use crate::error::RuntimeError;

/// Instructions that the kernels of the CPU engine are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelSet {
    /// Plain Rust, for machines without any of the others, and as their oracle. Slow on x86.
    Scalar,
    /// AVX2 with FMA and F16C (Intel since 2013, AMD since 2017).
    Avx2,
    /// AVX-512 with VNNI (Intel since 2019, AMD since 2022).
    Avx512,
}

/// A kernel set that this machine was found to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Detected {
    set: KernelSet,
    /// Bytes of a core's first-level cache of data, 0 where the processor does not say.
    first_level: usize,
}

impl KernelSet {
    /// All that this machine has, the slowest first.
    pub fn available() -> Vec<Self> {
        [Self::Scalar, Self::Avx2, Self::Avx512].into_iter().filter(|set| set.is_here()).collect()
    }

    #[cfg(target_arch = "x86_64")]
    fn is_here(self) -> bool {
        let avx2 =
            || is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        match self {
            Self::Scalar => true,
            Self::Avx2 => avx2(),
            Self::Avx512 => {
                avx2()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_here(self) -> bool {
        self == Self::Scalar
    }

    fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for KernelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KernelSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Scalar, Self::Avx2, Self::Avx512]
            .into_iter()
            .find(|set| set.name() == text)
            .ok_or_else(|| format!("{text:?} is no kernel set: scalar, avx2 or avx512"))
    }
}

impl Detected {
    /// The fastest set that this machine has.
    pub(crate) fn best() -> Self {
        Self::with(KernelSet::available().into_iter().max().unwrap_or(KernelSet::Scalar))
    }

    fn with(set: KernelSet) -> Self {
        Self { set, first_level: first_level() }
    }

    /// `wanted`, if this machine has it.
    pub(crate) fn new(wanted: KernelSet) -> Result<Self, RuntimeError> {
        if !wanted.is_here() {
            let names: Vec<String> = KernelSet::available().iter().map(ToString::to_string).collect();
            let reason = format!("this machine has no {wanted}; it has {}", names.join(", "));
            return Err(RuntimeError::parameter("kernels", reason));
        }
        Ok(Self::with(wanted))
    }

    pub(crate) fn set(self) -> KernelSet {
        self.set
    }

    /// Whether a core's first-level cache of data is as large as that of Zen 5, which has more of memory under way
    /// than Zen 3 and Zen 4. Intel's, as large since Ice Lake and smaller before, are not measured.
    pub(crate) fn has_large_first_level(self) -> bool {
        self.first_level >= 48 << 10
    }
}

#[cfg(target_arch = "x86_64")]
fn first_level() -> usize {
    let holds_data = |cache: &CacheParameter| cache.level() == 1 && cache.cache_type() == CacheType::Data;
    let cache = CpuId::new().get_cache_parameters().and_then(|mut caches| caches.find(holds_data));
    cache.map_or(0, |cache| cache.sets() * cache.associativity() * cache.coherency_line_size())
}

#[cfg(not(target_arch = "x86_64"))]
fn first_level() -> usize {
    0
}
