//! The files of the built-in data sets, in a separate package because of their licences and their size.

/// 1797 handwritten digits of 8×8 pixels, as safetensors: `images` u8 `[1797, 64]`, `labels` u8 `[1797]` (CC BY 4.0).
pub const DIGITS: &[u8] = include_bytes!("../digits.safetensors");

/// 2,500 spoken digits as spikes in 140 channels, in the format of `spiq_events::sound::Compact` (CC BY-SA 4.0).
pub const SPEECH: &[u8] = include_bytes!("../speech.spikes");
