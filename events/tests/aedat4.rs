//! AEDAT 4 files, written here byte by byte because the format's recorder needs a camera.

use std::io::Write;

use spiq_events::{Sensor, open};

/// A FlatBuffer of a table with these field contents; contents longer than 8 bytes are stored by reference.
fn flat_buffer(identifier: &[u8; 4], fields: &[&[u8]]) -> Vec<u8> {
    // Root offset, identifier, vtable (its length, the table's size, an offset per field), table, referenced contents.
    let vtable = 8;
    let table = (vtable + 4 + 2 * fields.len()).next_multiple_of(8);
    let mut bytes = [&(table as u32).to_le_bytes(), identifier.as_slice()].concat();
    bytes.extend(((4 + 2 * fields.len()) as u16).to_le_bytes());
    bytes.extend(((8 + 8 * fields.len()) as u16).to_le_bytes());
    (0..fields.len()).for_each(|field| bytes.extend(((8 + 8 * field) as u16).to_le_bytes()));
    bytes.resize(table, 0);
    bytes.extend(((table - vtable) as u32).to_le_bytes());
    bytes.extend([0; 4]);
    let mut behind = Vec::new();
    let end = table + 8 + 8 * fields.len();
    for (number, field) in fields.iter().enumerate() {
        let mut own = field.to_vec();
        if field.len() > 8 {
            let at = table + 8 + 8 * number;
            own = ((end + behind.len() - at) as u32).to_le_bytes().to_vec();
            behind.extend_from_slice(field);
            behind.resize(behind.len().next_multiple_of(8), 0);
        }
        own.resize(8, 0);
        bytes.extend(own);
    }
    bytes.extend(behind);
    bytes
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

/// A file with the events in two packets, separated by a packet of another stream.
pub fn file(compression: u32, sensor: [u16; 2], events: &[(i64, i16, i16, bool)]) -> Vec<u8> {
    let [width, height] = sensor;
    let description = format!(
        r#"<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/">
        <node name="0" path="/0/"><attr key="typeIdentifier" type="string">FRME</attr></node>
        <node name="1" path="/1/"><attr key="typeIdentifier" type="string">EVTS</attr>
        <node name="info" path="/1/info/"><attr key="sizeX" type="int">{width}</attr>
        <attr key="sizeY" type="int">{height}</attr></node></node></node></dv>"#
    );
    let packet = |stream: u32, events: &[(i64, i16, i16, bool)]| {
        let mut elements = (events.len() as u32).to_le_bytes().to_vec();
        for (t, x, y, on) in events {
            elements.extend(
                [t.to_le_bytes().as_slice(), &x.to_le_bytes(), &y.to_le_bytes(), &[u8::from(*on), 0, 0, 0]].concat(),
            );
        }
        elements.resize(elements.len().max(9), 0);
        let packed = compressed(compression, &with_length(&flat_buffer(b"EVTS", &[&elements])));
        [stream.to_le_bytes().to_vec(), with_length(&packed)].concat()
    };
    let (first, second) = events.split_at(events.len() / 2);
    let packets = [packet(1, first), packet(0, &[]), packet(1, second)].concat();
    let text = with_length(description.as_bytes());
    let head = |end: i64| with_length(&flat_buffer(b"IOHE", &[&compression.to_le_bytes(), &end.to_le_bytes(), &text]));
    let magic = b"#!AER-DAT4.0\r\n";
    let end = magic.len() + head(0).len() + packets.len();
    // The packets are followed by a table, which readers skip.
    [magic.as_slice(), &head(end as i64), &packets, b"table"].concat()
}

fn compressed(compression: u32, bytes: &[u8]) -> Vec<u8> {
    match compression {
        1 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        3 => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
        _ => bytes.to_vec(),
    }
}

#[test]
fn packets_are_read_in_each_compression() {
    let folder = tempfile::tempdir().unwrap();
    let events = [
        (1_589_163_005_536_052, 0, 0, true),
        (1_589_163_005_536_055, 345, 259, false),
        (1_589_163_005_636_052, 7, 8, true),
    ];
    for compression in [0, 1, 3] {
        let path = folder.path().join("a.aedat4");
        std::fs::write(&path, file(compression, [346, 260], &events)).unwrap();
        let mut read = open(&path).unwrap();
        assert_eq!(read.description().sensor, Sensor { width: 346, height: 260, polarities: 2 });
        let sample = read.next().unwrap().unwrap();
        assert_eq!(sample.events.t, [0, 3, 100_000], "compression {compression}");
        assert_eq!((sample.events.x, sample.events.y), (vec![0, 345, 7], vec![0, 259, 8]));
        assert_eq!(sample.events.p, [true, false, true]);
        assert!(read.next().is_none());
    }
}
