//! Makes `data/speech.spikes` from the recordings of the Free Spoken Digit Dataset, as described in `data/README.md`.
//!
//! ```text
//! cargo run --release -p spiq-events --example speech -- recordings.zip data/speech.spikes
//! ```

use std::path::Path;

use spiq_events::sound::{Recordings, compact, speech_cochlea};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [recordings, output] = arguments.as_slice() else {
        return Err("give the archive of recordings and the file to write".into());
    };
    let mut spikes = Recordings::open(Path::new(recordings))?.spikes(speech_cochlea())?;
    std::fs::write(output, compact(&mut spikes)?)?;
    Ok(())
}
