//! Checks that work fits into free memory, before it allocates any.

use spiq_events::{free_memory, resident_memory};
use spiq_hlo::TensorType;

use crate::error::{Error, Result};

/// The memory that some work requires at least.
pub(crate) struct Need<'a> {
    /// The work, as the subject of the sentence: "training this model".
    pub(crate) doing: &'a str,
    /// Required bytes.
    pub(crate) bytes: u64,
    /// The contents of that memory, for the message.
    pub(crate) of: &'a str,
    /// A way to require less, for the message.
    pub(crate) instead: &'a str,
}

impl Need<'_> {
    /// Returns an error if the free memory is smaller. Accepts everything if the system does not report its free memory.
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

/// Refuses training that exceeds the free memory. `params` and everything that is `kept` from step to step, which includes them, are held
/// once by the host; on the CPU, the device holds them again, plus the gradients.
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

/// Refuses to run a model that exceeds the free memory: the host holds all `results`, and on the CPU the device holds a copy of `params`.
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

/// Refuses a compiled program that requires this many bytes of the CPU's memory in addition to its inputs. The process's resident memory
/// counts as free, because its allocator keeps freed memory.
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

/// Total bytes of these types.
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
