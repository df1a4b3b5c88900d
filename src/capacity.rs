//! Refuses work that the free memory cannot hold, before it takes any of it.

use spiq_events::{free_memory, resident_memory};
use spiq_hlo::TensorType;

use crate::error::{Error, Result};

/// Memory that some work takes at least.
pub(crate) struct Need<'a> {
    /// The work, as the subject of the sentence: "training this model".
    pub(crate) doing: &'a str,
    /// Bytes of it.
    pub(crate) bytes: u64,
    /// What they are of, in words.
    pub(crate) of: &'a str,
    /// What takes less.
    pub(crate) instead: &'a str,
}

impl Need<'_> {
    /// Refuses what the machine has no memory for. Where the system does not report what is free, nothing is refused.
    ///
    /// # Errors
    /// Of kind `Input`.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_against(free_memory())
    }

    fn check_against(&self, free: Option<u64>) -> Result<()> {
        let Need { doing, bytes, of, instead } = self;
        match free {
            Some(free) if *bytes > free => Err(Error::input(format!(
                "{doing} takes at least {} of memory ({of}), but {} are free; {instead}, or use a machine with more",
                shown(*bytes),
                shown(free)
            ))),
            _ => Ok(()),
        }
    }
}

/// Refuses to train a model that does not fit: `params` and, with them, all that is `kept` from step to step. The host holds them once,
/// and where the processor computes, it holds them and the gradients again.
///
/// # Errors
/// Of kind `Input`.
pub(crate) fn check_training<'a>(
    params: impl Iterator<Item = &'a TensorType>,
    kept: impl Iterator<Item = &'a TensorType>,
    on_processor: bool,
) -> Result<()> {
    let (params, kept) = (bytes(params), bytes(kept));
    let needed = if on_processor { kept.saturating_mul(2).saturating_add(params) } else { kept };
    let of = format!("parameters of {}, the optimizer's state, gradients", shown(params));
    Need { doing: "training this model", bytes: needed, of: &of, instead: "take a smaller model" }.check()
}

/// Refuses to run a model that does not fit: where the processor computes, it holds a copy of `params` and all `results`.
///
/// # Errors
/// Of kind `Input`.
pub(crate) fn check_running<'a>(
    doing: &str,
    params: impl Iterator<Item = &'a TensorType>,
    results: u64,
    on_processor: bool,
) -> Result<()> {
    let params = bytes(params);
    let needed = if on_processor { results.saturating_add(params) } else { results };
    let of = format!("parameters of {}, results of {}", shown(params), shown(results));
    Need { doing, bytes: needed, of: &of, instead: "take a smaller model or fewer samples" }.check()
}

/// Refuses to run a compiled program that takes this many bytes of the processor's memory beside its inputs. What the process holds may
/// be freed memory that its allocator keeps, so that all of it counts as free.
///
/// # Errors
/// Of kind `Input`.
pub(crate) fn check_program(name: &str, bytes: u64) -> Result<()> {
    let need = Need {
        doing: &format!("running {name}"),
        bytes,
        of: "results and values in between",
        instead: "take a smaller model, a smaller batch or fewer time steps",
    };
    need.check_against(free_memory().map(|free| free.saturating_add(resident_memory())))
}

/// Bytes of all of these.
pub(crate) fn bytes<'a>(types: impl Iterator<Item = &'a TensorType>) -> u64 {
    let one = |ty: &TensorType| {
        let count = ty.dims.iter().fold(1u64, |count, size| count.saturating_mul(*size as u64));
        count.saturating_mul(ty.dtype.host_bytes() as u64)
    };
    types.map(one).fold(0, u64::saturating_add)
}

fn shown(bytes: u64) -> String {
    match bytes as f64 {
        large if large >= 1e9 => format!("{:.1} GB", large / 1e9),
        small => format!("{:.1} MB", small / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use spiq_hlo::DType;

    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_in_one_sentence() {
        let need = Need { doing: "this", bytes: 3_000_000, of: "numbers", instead: "take fewer" };
        need.check_against(Some(3_000_000)).expect("just enough");
        need.check_against(None).expect("nobody knows");
        let said = need.check_against(Some(2_900_000)).expect_err("too little").to_string();
        assert_eq!(
            said,
            "this takes at least 3.0 MB of memory (numbers), but 2.9 MB are free; take fewer, or use a machine with more"
        );
    }

    #[test]
    fn what_no_machine_has_is_refused_and_what_all_have_is_not() {
        let large = vec![TensorType::new(DType::F32, [i32::MAX as usize, 1 << 20]); 3];
        let small = [TensorType::new(DType::F32, [8])];
        check_training(small.iter(), small.iter(), true).expect("a few bytes");
        check_running("running", small.iter(), 8, true).expect("a few bytes");
        if free_memory().is_some() {
            let said = check_training(large[..1].iter(), large.iter(), true).expect_err("petabytes").to_string();
            assert!(said.starts_with("training this model takes at least 63050394.8 GB of memory"), "{said}");
            let said = check_running("running", large.iter(), 0, true).expect_err("petabytes").to_string();
            assert!(said.starts_with("running takes at least 27021597.8 GB of memory (parameters of 27021"), "{said}");
            check_running("running", large.iter(), 0, false).expect("the host holds no copy");
        }
    }
}
