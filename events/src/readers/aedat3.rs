//! AEDAT 3.1: lines that begin with `#`, then packets of events, each with a 28-byte header, little-endian. Polarity events have eight
//! bytes: x, y and the polarity packed into a word, then a 31-bit time in microseconds.

use std::io::{BufRead, Read};

use super::recording::Read1;
use crate::events::{Events, Sensor};

/// Cameras by their name in the header.
const CAMERAS: [(&str, u16, u16); 4] =
    [("DVS128", 128, 128), ("DAVIS240", 240, 180), ("DAVIS346", 346, 260), ("DAVIS640", 640, 480)];
const POLARITY: u16 = 1;
const HEAD: usize = 28;

/// The events of a file, with times of the file's clock.
pub fn read(file: &mut impl BufRead) -> Read1 {
    let sensor = header(file)?;
    let mut events = Events::default();
    let mut bytes = Vec::new();
    while let Some(head) = packet(file)? {
        if head.kind == POLARITY && head.size != 8 {
            return Err(format!("a polarity event has {} bytes, but must have 8", head.size));
        }
        bytes.clear();
        let wanted = u64::from(head.size) * u64::from(head.count);
        // Grows with the bytes read: a false count allocates nothing.
        let read = file.take(wanted).read_to_end(&mut bytes).map_err(|cause| cause.to_string())?;
        if read as u64 != wanted {
            return Err(format!("a packet of {} events is cut off", head.count));
        }
        if head.kind == POLARITY {
            let (chunks, _) = bytes.as_chunks::<8>();
            chunks.iter().for_each(|chunk| push(&mut events, *chunk, head.overflow));
        }
    }
    Ok((events, sensor))
}

fn push(events: &mut Events, [a, b, c, d, time @ ..]: [u8; 8], overflow: u32) {
    let data = u32::from_le_bytes([a, b, c, d]);
    // The lowest bit marks a valid event.
    if data & 1 == 1 {
        let t = i64::from(overflow) << 31 | i64::from(u32::from_le_bytes(time) & 0x7fff_ffff);
        events.push(t, (data >> 17) as u16 & 0x1fff, (data >> 2) as u16 & 0x1fff, data >> 1 & 1 == 1);
    }
}

/// Reads the leading lines, which name the camera.
fn header(file: &mut impl BufRead) -> std::result::Result<Option<Sensor>, String> {
    let (mut sensor, mut first, mut line) = (None, true, Vec::new());
    while file.fill_buf().map_err(|cause| cause.to_string())?.first() == Some(&b'#') {
        line.clear();
        // A header line has at most a few hundred bytes.
        file.take(1 << 16).read_until(b'\n', &mut line).map_err(|cause| cause.to_string())?;
        let text = String::from_utf8_lossy(&line);
        if first && !text.starts_with("#!AER-DAT3.1") {
            return Err(format!(
                "its first line is {:?}, but must be `#!AER-DAT3.1` or `#!AER-DAT4.0`",
                text.trim_end()
            ));
        }
        first = false;
        let camera = CAMERAS.iter().find(|(name, ..)| text.starts_with("#Source") && text.contains(name));
        if let Some((_, width, height)) = camera {
            sensor = Some(Sensor { width: *width, height: *height, polarities: 2 });
        }
        if text.trim_end() == "#!END-HEADER" {
            return Ok(sensor);
        }
    }
    if first { Err("it does not begin with `#!AER-DAT3.1` or `#!AER-DAT4.0`".into()) } else { Ok(sensor) }
}

struct Packet {
    kind: u16,
    /// Bytes per event.
    size: u32,
    /// Number of wraps of the 31-bit clock.
    overflow: u32,
    count: u32,
}

fn packet(file: &mut impl Read) -> std::result::Result<Option<Packet>, String> {
    let mut head = Vec::new();
    file.take(HEAD as u64).read_to_end(&mut head).map_err(|cause| cause.to_string())?;
    let Some(head) = head.first_chunk::<HEAD>() else {
        return if head.is_empty() { Ok(None) } else { Err("a packet is cut off".into()) };
    };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    // The capacity is the packet's size in the file; its first `number` places hold events.
    let (capacity, number) = (word(16), word(20));
    if number > capacity {
        return Err(format!("a packet claims {number} events, but has only {capacity} places"));
    }
    Ok(Some(Packet {
        kind: u16::from_le_bytes([head[0], head[1]]),
        size: word(4),
        overflow: word(12),
        count: capacity,
    }))
}
