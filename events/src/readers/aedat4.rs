//! AEDAT 4: a line, a header that describes the streams, and packets, optionally compressed. Header and packets are FlatBuffers.
//!
//! Written by hand: only two tables with five fields are read, and the crate `aedat` 1.3.3 links the C libraries of LZ4 and Zstandard
//! and trusts the sizes and offsets in the header. Compared with that crate on the recording in its own tests.

use std::collections::BTreeMap;
use std::io::Read;

use super::recording::{Read1, all};
use crate::events::{Events, Sensor};

/// The first line, without its line ending.
pub const MAGIC: &[u8; 12] = b"#!AER-DAT4.0";
/// The largest unpacked packet: 64 million events.
const LONGEST: u64 = 1 << 30;
const CUT_OFF: &str = "it ends in the middle of a packet (is it cut off?)";
const DAMAGED: &str = "a packet is damaged";

/// The events of the first event stream. Times count from the first event.
pub fn read(file: &mut impl Read) -> Read1 {
    let bytes = all(file)?;
    let mut rest = bytes.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(b"\r\n"));
    let head = rest.as_mut().and_then(|rest| prefixed(rest)).ok_or("its header is cut off")?;
    let head = Head::parse(head)?;
    let mut rest = rest.unwrap_or_default();
    // A table of packet offsets may follow the packets.
    if let Some(table) = head.table {
        let packets = table.checked_sub(bytes.len() - rest.len()).and_then(|length| rest.get(..length));
        rest = packets.ok_or("its packets end past the end of the file (is it cut off?)")?;
    }
    let mut events = Events::default();
    while !rest.is_empty() {
        let stream = rest.split_off(..4).ok_or(CUT_OFF)?;
        let packet = prefixed(&mut rest).ok_or(CUT_OFF)?;
        if stream == head.stream.to_le_bytes() {
            append(&mut events, &head.compression.unpack(packet)?)?;
        }
    }
    if let Some(first) = events.t.first().copied() {
        events.t.iter_mut().for_each(|t| *t = t.saturating_sub(first));
    }
    Ok((events, Some(head.sensor)))
}

/// Takes an item with a four-byte length prefix from `rest`.
fn prefixed<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let (item, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = behind;
    Some(item)
}

struct Head {
    compression: Compression,
    /// The offset at which the packets end.
    table: Option<usize>,
    stream: u32,
    sensor: Sensor,
}

impl Head {
    fn parse(bytes: &[u8]) -> std::result::Result<Head, String> {
        let table = Table::root(bytes, b"IOHE").ok_or("its header is damaged")?;
        let compression = match table.field(0).and_then(|at| word(bytes, at)).unwrap_or(0) {
            0 => Compression::None,
            1 | 2 => Compression::Lz4,
            3 | 4 => Compression::Zstandard,
            other => return Err(format!("its compression type {other} is unknown")),
        };
        let end =
            table.field(1).and_then(|at| bytes.get(at..)?.first_chunk()).map_or(-1, |end| i64::from_le_bytes(*end));
        let text = table.field(2).and_then(|at| pointed(bytes, at)).and_then(|at| {
            let length = word(bytes, at)? as usize;
            bytes.get(at + 4..)?.get(..length)
        });
        let text = std::str::from_utf8(text.ok_or("its header has no description")?)
            .map_err(|_| "its description is not text")?;
        let (stream, sensor) = first_events(text)?;
        Ok(Head { compression, table: usize::try_from(end).ok(), stream, sensor })
    }
}

/// The number and the sensor of the first event stream in the XML that describes the streams: nodes have a name and contain attributes,
/// each with a key and a text.
fn first_events(xml: &str) -> std::result::Result<(u32, Sensor), String> {
    let mut streams: BTreeMap<u32, BTreeMap<&str, &str>> = BTreeMap::new();
    let mut nodes: Vec<&str> = Vec::new();
    for tag in xml.split('<').skip(1) {
        let Some((tag, text)) = tag.split_once('>') else { return Err("its description is not complete XML".into()) };
        let value = |key: &str| tag.split_once(&format!(" {key}=\"")).and_then(|(_, rest)| rest.split('"').next());
        if tag.starts_with("node ") && !tag.ends_with('/') {
            nodes.push(value("name").unwrap_or_default());
        } else if tag.starts_with("/node") {
            nodes.pop();
        } else if tag.starts_with("attr ") {
            let stream = match nodes.as_slice() {
                ["outInfo", stream] | ["outInfo", stream, "info"] => stream.parse().ok(),
                _ => None,
            };
            if let (Some(stream), Some(key)) = (stream, value("key")) {
                streams.entry(stream).or_default().insert(key, text.trim());
            }
        }
    }
    let events = streams.iter().find(|(_, attributes)| attributes.get("typeIdentifier") == Some(&"EVTS"));
    let (stream, attributes) = events.ok_or("it has no stream of events")?;
    let size = |key| attributes.get(key).and_then(|text| text.parse().ok()).filter(|size| *size > 0);
    let (Some(width), Some(height)) = (size("sizeX"), size("sizeY")) else {
        return Err("its description does not give the size of the sensor".into());
    };
    Ok((*stream, Sensor { width, height, polarities: 2 }))
}

#[derive(Clone, Copy)]
enum Compression {
    None,
    Lz4,
    Zstandard,
}

impl Compression {
    fn unpack(self, packet: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let mut unpacked = Vec::new();
        let read = match self {
            Compression::None => return Ok(packet.to_vec()),
            Compression::Lz4 => lz4_flex::frame::FrameDecoder::new(packet).take(LONGEST).read_to_end(&mut unpacked),
            Compression::Zstandard => match ruzstd::decoding::StreamingDecoder::new(packet) {
                Ok(decoder) => decoder.take(LONGEST).read_to_end(&mut unpacked),
                Err(_) => return Err(DAMAGED.into()),
            },
        };
        read.map(|_| unpacked).map_err(|_| DAMAGED.into())
    }
}

/// Appends the events of an unpacked packet, 16 bytes each: t, x, y, polarity, padding.
fn append(events: &mut Events, packet: &[u8]) -> std::result::Result<(), String> {
    let parsed = || {
        let mut rest = packet;
        let bytes = prefixed(&mut rest)?;
        let table = Table::root(bytes, b"EVTS")?;
        let Some(field) = table.field(0) else { return Some(&[][..]) };
        let at = pointed(bytes, field)?;
        let count = word(bytes, at)? as usize;
        bytes.get(at + 4..)?.get(..count.checked_mul(16)?)
    };
    let (chunks, _) = parsed().ok_or(DAMAGED)?.as_chunks::<16>();
    for [time @ .., a, b, c, d, on, _, _, _] in chunks {
        let (x, y) = (i16::from_le_bytes([*a, *b]), i16::from_le_bytes([*c, *d]));
        let (Ok(x), Ok(y)) = (u16::try_from(x), u16::try_from(y)) else {
            return Err(format!("an event is at x = {x}, y = {y}, which is outside any sensor"));
        };
        events.push(i64::from_le_bytes(*time), x, y, *on != 0);
    }
    Ok(())
}

/// A FlatBuffer table: its offset, and that of its vtable.
struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    fields: usize,
}

impl Table<'_> {
    fn root<'a>(bytes: &'a [u8], identifier: &[u8; 4]) -> Option<Table<'a>> {
        let at = pointed(bytes, 0).filter(|_| bytes.get(4..8) == Some(identifier.as_slice()))?;
        let back = i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
        let fields = usize::try_from(i64::try_from(at).ok()? - i64::from(back)).ok()?;
        Some(Table { bytes, at, fields })
    }

    /// The offset of a field; `None` for a field with its default value.
    fn field(&self, number: usize) -> Option<usize> {
        let half = |at: usize| Some(usize::from(u16::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?)));
        let entry = 4 + 2 * number;
        if entry + 2 > half(self.fields)? {
            return None;
        }
        half(self.fields + entry).filter(|offset| *offset > 0).map(|offset| self.at + offset)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The target of the offset stored at `at`.
fn pointed(bytes: &[u8], at: usize) -> Option<usize> {
    at.checked_add(word(bytes, at)? as usize)
}
