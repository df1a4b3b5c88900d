//! N-MNIST files: five bytes per event, big-endian: x, y, one bit of polarity and 23 bits of microseconds (Orchard and others 2015).

use std::io::Read;

use super::recording::{Read1, all};
use crate::events::{Events, Sensor};

/// The region of the ATIS sensor that saw the digits.
pub const SENSOR: Sensor = Sensor { width: 34, height: 34, polarities: 2 };

/// Entries in this row are not events: they mark a wrap of the 13-bit clock of the timestamps.
const OVERFLOW_ROW: u8 = 240;
const OVERFLOW: i64 = 1 << 13;

/// The events of a file.
pub fn read(file: &mut impl Read) -> Read1 {
    let bytes = all(file)?;
    let (chunks, rest) = bytes.as_chunks::<5>();
    if !rest.is_empty() {
        return Err(format!("it has {} bytes, but an event has 5 (is it cut off?)", bytes.len()));
    }
    let (mut events, mut overflow) = (Events::default(), 0);
    for [x, y, high, middle, low] in chunks {
        if *y == OVERFLOW_ROW {
            overflow += OVERFLOW;
            continue;
        }
        let t = i64::from(u32::from_be_bytes([0, high & 0x7f, *middle, *low]));
        events.push(overflow + t, u16::from(*x), u16::from(*y), high & 0x80 != 0);
    }
    Ok((events, Some(SENSOR)))
}
