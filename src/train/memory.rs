//! Checks that a run fits into memory before allocating any.

use std::fs;

use spiq_hlo::TensorType;

use crate::error::{Error, Result};

/// Refuses runs that exceed the free memory. `params` and everything that is `kept` from step to step, which includes them, are held once
/// by the host; on the CPU, the device holds them again, plus the gradients. Accepts everything if the system does not report its free
/// memory.
pub(super) fn check<'a>(
    params: impl Iterator<Item = &'a TensorType>,
    kept: impl Iterator<Item = &'a TensorType>,
    on_processor: bool,
) -> Result<()> {
    let (params, kept) = (bytes(params), bytes(kept));
    let needed = if on_processor { kept.saturating_mul(2).saturating_add(params) } else { kept };
    match free() {
        Some(free) if needed > free => Err(Error::input(format!(
            "training this model takes at least {} of memory (parameters of {}, the optimizer's state, gradients), but only {} is free; \
             train a smaller model, or use a machine with more memory",
            shown(needed),
            shown(params),
            shown(free)
        ))),
        _ => Ok(()),
    }
}

/// Total bytes of these types.
fn bytes<'a>(types: impl Iterator<Item = &'a TensorType>) -> u64 {
    let one = |ty: &TensorType| {
        let count = ty.dims.iter().fold(1u64, |count, size| count.saturating_mul(*size as u64));
        count.saturating_mul(ty.dtype.host_bytes() as u64)
    };
    types.map(one).fold(0, u64::saturating_add)
}

/// Free bytes: those of the machine, or of the process's control group if fewer.
fn free() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text))?;
    let group =
        |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok()?.trim().parse::<u64>().ok();
    match (group("max"), group("current")) {
        (Some(most), Some(taken)) => Some(machine.min(most.saturating_sub(taken))),
        _ => Some(machine),
    }
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
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
    fn what_is_free_is_read_as_the_system_says_it() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   24 kB\n"), Some(24 * 1024));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn what_no_machine_has_is_refused_and_what_all_have_is_not() {
        let large = vec![TensorType::new(DType::F32, [i32::MAX as usize, 1 << 20]); 3];
        let small = [TensorType::new(DType::F32, [8])];
        check(small.iter(), small.iter(), true).expect("a few bytes");
        if free().is_some() {
            let said = check(large[..1].iter(), large.iter(), true).expect_err("petabytes").to_string();
            assert!(said.starts_with("training this model takes at least 63050394.8 GB of memory"), "{said}");
        }
    }
}
