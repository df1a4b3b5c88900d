//! Runs code with this CPU's widest vector instructions.
//!
//! The code is compiled here, once for each instruction set: generic code that another crate instantiates is compiled with that crate's
//! optimization level, which made every kernel several times slower once.
#![allow(unsafe_code)]

/// A part of a kernel's work. `run` is `inline(always)`, so it is compiled once for each instruction set below.
pub trait Work: Send {
    /// Runs the part.
    fn run(self);
}

/// Runs `work` with the widest available instructions.
pub fn run<W: Work>(work: W) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the CPU supports these instructions, as just checked.
            return unsafe { avx512(work) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            return unsafe { avx2(work) };
        }
    }
    work.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn avx512<W: Work>(work: W) {
    work.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<W: Work>(work: W) {
    work.run();
}
