//! The wire format: messages of a length, a kind and bytes.

use std::io::{self, Read, Write};

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) bytes: Vec<u8>,
}

/// The first bytes of a connection: the protocol and its version.
pub(super) const GREETING: &[u8; 8] = b"spiq 1\r\n";

/// The largest message of the store: 16 MiB.
pub(super) const SMALL: u64 = 16 << 20;

/// The largest part of a collective operation: 64 GiB.
pub(super) const LARGE: u64 = 64 << 30;

/// Memory is allocated as bytes arrive, so that a wrong length does not exhaust it.
const CHUNK: usize = 1 << 20;

/// Writes a message in as few writes as possible.
pub(super) fn write(to: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let mut head = (bytes.len() as u64).to_le_bytes().to_vec();
    head.push(kind);
    if bytes.len() <= CHUNK {
        head.extend(bytes);
        return to.write_all(&head);
    }
    to.write_all(&head)?;
    to.write_all(bytes)
}

/// Reads a message of at most `most` bytes.
pub(super) fn read(from: &mut impl Read, most: u64) -> io::Result<Frame> {
    let mut head = [0; 9];
    from.read_exact(&mut head)?;
    let length = u64::from_le_bytes(head[..8].try_into().expect("eight bytes"));
    if length > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes")));
    }
    let mut bytes = Vec::with_capacity((length as usize).min(CHUNK));
    match from.take(length).read_to_end(&mut bytes)? as u64 {
        read if read == length => Ok(Frame { kind: head[8], bytes }),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Numbers and texts in the bytes of a message.
#[derive(Default)]
pub(super) struct Packed(pub(super) Vec<u8>);

impl Packed {
    pub(super) fn number(mut self, number: u64) -> Packed {
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Packed {
        let mut packed = self.number(bytes.len() as u64);
        packed.0.extend(bytes);
        packed
    }
}

/// Reads the fields that [`Packed`] wrote.
pub(super) struct Unpacked<'a>(pub(super) &'a [u8]);

impl<'a> Unpacked<'a> {
    pub(super) fn number(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes")))
    }

    pub(super) fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let count = usize::try_from(self.number()?).map_err(|_| short())?;
        self.take(count)
    }

    pub(super) fn text(&mut self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(short)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message that is too short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_written() {
        let mut wire = Vec::new();
        let large = vec![7; CHUNK + 1];
        write(&mut wire, 3, b"\0\xff").expect("memory");
        write(&mut wire, 4, &large).expect("memory");
        let mut from = wire.as_slice();
        assert_eq!(read(&mut from, SMALL).expect("a message"), Frame { kind: 3, bytes: b"\0\xff".to_vec() });
        assert_eq!(read(&mut from, SMALL).expect("a message"), Frame { kind: 4, bytes: large });
    }

    #[test]
    fn damaged_messages_are_refused_without_allocating() {
        assert!(read(&mut [0xff; 9].as_slice(), LARGE).is_err());
        assert!(read(&mut [9, 0, 0, 0, 0, 0, 0, 0, 1, 5].as_slice(), SMALL).is_err());
        assert!(read(&mut [1, 0].as_slice(), SMALL).is_err());
        let mut unpacked = Unpacked(&[255; 8]);
        assert!(unpacked.bytes().is_err());
    }

    #[test]
    fn packed_values_are_unpacked() {
        let Packed(bytes) = Packed::default().number(5).bytes(b"\0a").bytes(b"");
        let mut read = Unpacked(&bytes);
        assert_eq!(read.number().expect("a number"), 5);
        assert_eq!(read.bytes().expect("bytes"), b"\0a");
        assert_eq!(read.text().expect("a text"), "");
        assert!(read.number().is_err());
    }
}
