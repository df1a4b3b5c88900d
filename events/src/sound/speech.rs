//! The built-in spoken-digits data set.

use super::cochlea::Cochlea;
use super::compact::Compact;

/// 2,500 recordings of the digits 0 to 9 by five speakers as spikes in 140 channels, with millisecond resolution: the Free Spoken Digit
/// Dataset (Jakobovski et al., CC BY-SA 4.0) through [`speech_cochlea`]. The first 2,250 train; the last 250, those with indices 0 to
/// 4, test, as in the data set's own split.
///
/// ```
/// use spiq_events::Collection;
/// let speech = spiq_events::sound::speech();
/// let description = speech.description();
/// assert_eq!((description.count, description.train, description.sensor.width), (2500, Some(2250), 140));
/// assert_eq!(description.speakers, ["george", "jackson", "lucas", "nicolas", "theo"]);
/// ```
pub fn speech() -> Compact {
    Compact::parse(spiq_data::SPEECH).expect("the built-in spikes are whole")
}

/// The cochlea of [`speech`]: 140 channels.
pub fn speech_cochlea() -> Cochlea {
    Cochlea { channels: 140, ..Cochlea::default() }
}
