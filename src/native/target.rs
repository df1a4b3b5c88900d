//! The chips that programs can be compiled for ahead of time, by name.

use std::fmt;

use crate::error::{Error, Result};
use crate::fields::nearest;
use crate::pjrt::Platform;

/// The target of a compilation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// This machine's CPU.
    Cpu,
    /// The smallest topology of a TPU generation, under libtpu's name (`v5e:1x1`).
    Tpu(&'static str),
    /// An NVIDIA card, as a word in its name (`h100`).
    Cuda(String),
}

/// TPU generations, and the smallest topology that libtpu compiles for.
const TPUS: [(&str, &str); 5] =
    [("v4", "v4:2x2x1"), ("v5e", "v5e:1x1"), ("v5p", "v5p:2x2x1"), ("v6e", "v6e:1x1"), ("tpu7x", "tpu7x:1x1x1")];

impl Target {
    /// The platform whose plugin compiles for it.
    pub fn platform(&self) -> Platform {
        match self {
            Target::Cpu => Platform::Cpu,
            Target::Tpu(_) => Platform::Tpu,
            Target::Cuda(_) => Platform::Cuda,
        }
    }

    /// Parses `cpu`, `tpu:v5e` (v4, v5e, v5p, v6e, tpu7x) or `cuda:h100` (h100, h200, b200, a100, …, depending on the plugin).
    ///
    /// # Errors
    /// Kind `Input` for an unknown target, with the known ones.
    pub fn parse(text: &str) -> Result<Target> {
        let (platform, chip) = text.split_once(':').unwrap_or((text, ""));
        match (platform, chip) {
            ("cpu", "") => Ok(Target::Cpu),
            ("tpu", chip) => match TPUS.iter().find(|(name, _)| *name == chip) {
                Some((_, topology)) => Ok(Target::Tpu(topology)),
                None => Err(no_chip(text, &TPUS.map(|(name, _)| format!("tpu:{name}")))),
            },
            ("cuda" | "gpu", chip) if !chip.is_empty() => Ok(Target::Cuda(chip.to_lowercase())),
            _ => {
                let known = ["cpu", "tpu:v5e", "tpu:v6e", "cuda:h100", "cuda:b200"].map(str::to_owned);
                Err(no_chip(text, &known))
            }
        }
    }
}

fn no_chip(text: &str, known: &[String]) -> Error {
    let guess = nearest(text, known.iter().map(String::as_str));
    let hint = guess.map(|g| format!("; did you mean `{g}`?")).unwrap_or_default();
    Error::input(format!("there is no target `{text}`{hint} (for example: {})", known.join(", ")))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Cpu => f.write_str("cpu"),
            Target::Tpu(topology) => write!(f, "TPU {topology}"),
            Target::Cuda(card) => write!(f, "NVIDIA {}", card.to_uppercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn names_and_misspellings() {
        assert_eq!(Target::parse("tpu:v6e").expect("there is one"), Target::Tpu("v6e:1x1"));
        assert_eq!(Target::parse("cuda:H100").expect("any word"), Target::Cuda("h100".into()));
        let error = Target::parse("tpu:v5ee").expect_err("no such generation").to_string();
        assert!(error.contains("did you mean `tpu:v5e`?"), "{error}");
        assert!(Target::parse("npu").is_err() && Target::parse("cuda").is_err());
    }
}
