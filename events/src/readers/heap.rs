//! The global heap of HDF5, which stores variable-length elements: reads one at a time from the file.
//!
//! Written by hand because `rust-hdf5` reads such a data set as a whole. The layout follows the HDF5 file format specification, III.E:
//! a collection is `GCOL`, a version, its size, and objects, each with a number, a size and its bytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Bytes of a collection header and of an object header; both end with an eight-byte size.
const HEAD: u64 = 16;

/// A reference to an element: its number of items, the address of its collection, and its object number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Number of items.
    pub items: u32,
    address: u64,
    object: u16,
}

impl Reference {
    /// Bytes of a reference in the file.
    pub const BYTES: usize = 16;

    /// Parses the bytes of the file. Object numbers have two bytes in the heap.
    pub fn parse(bytes: &[u8; Reference::BYTES]) -> Reference {
        let [a, b, c, d, rest @ ..] = *bytes;
        let [address @ .., e, f, _, _] = rest;
        Reference {
            items: u32::from_le_bytes([a, b, c, d]),
            address: u64::from_le_bytes(address),
            object: u16::from_le_bytes([e, f]),
        }
    }
}

/// Reads the objects of one column. Objects are mostly read in order, so the position in the last collection is remembered.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    address: u64,
    end: u64,
    /// Offset of the next object header.
    next: u64,
    /// Number, offset and size of each object visited.
    passed: Vec<(u16, u64, u64)>,
}

impl Walk {
    /// Reads an element of `count` bytes into `bytes`, replacing its contents. Addresses count from `base`.
    ///
    /// # Errors
    /// Those of the file; for a damaged heap, the end of a sentence.
    pub fn read(
        &mut self,
        file: &mut File,
        base: u64,
        reference: Reference,
        count: u64,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Damage> {
        bytes.clear();
        if count == 0 {
            return Ok(());
        }
        if self.address != reference.address || self.end == 0 {
            self.enter(file, base, reference.address)?;
        }
        let (place, size) = self.find(file, reference.object)?;
        if size < count {
            return Err(Damage::Heap("an element is longer than its place in the heap"));
        }
        file.seek(SeekFrom::Start(place))?;
        // Grows with the bytes read: a false length allocates nothing.
        match file.take(count).read_to_end(bytes)? as u64 == count {
            true => Ok(()),
            false => Err(Damage::Heap(CUT_OFF)),
        }
    }

    fn enter(&mut self, file: &mut File, base: u64, address: u64) -> Result<(), Damage> {
        *self = Walk { address, ..Walk::default() };
        let start = base.checked_add(address).ok_or(Damage::Heap("an address is beyond the end of the file"))?;
        let head = head(file, start)?;
        if head[..5] != *b"GCOL\x01" {
            return Err(Damage::Heap("an element does not point to a heap"));
        }
        self.end = start.checked_add(size(&head)).ok_or(Damage::Heap("a heap is longer than the file"))?;
        self.next = start + HEAD;
        Ok(())
    }

    /// Offset and size of an object.
    fn find(&mut self, file: &mut File, object: u16) -> Result<(u64, u64), Damage> {
        if let Some((_, place, size)) = self.passed.iter().rev().find(|(number, ..)| *number == object) {
            return Ok((*place, *size));
        }
        while self.next.saturating_add(HEAD) <= self.end {
            let head = head(file, self.next)?;
            let (number, size) = (u16::from_le_bytes([head[0], head[1]]), size(&head));
            // Number 0 is the free space after the last object.
            if number == 0 || size > self.end - self.next - HEAD {
                break;
            }
            let place = self.next + HEAD;
            self.passed.push((number, place, size));
            // Object sizes are rounded up to multiples of eight bytes; the sum exceeds the end of the collection only slightly.
            self.next = place.saturating_add(size.saturating_add(7) / 8 * 8);
            if number == object {
                return Ok((place, size));
            }
        }
        Err(Damage::Heap("an element is not in its heap"))
    }
}

const CUT_OFF: &str = "an element lies beyond the end of the file (is it cut off?)";

/// Why an element is unreadable.
#[derive(Debug)]
pub enum Damage {
    /// The system's error.
    Io(std::io::Error),
    /// The end of a sentence.
    Heap(&'static str),
}

impl From<std::io::Error> for Damage {
    fn from(cause: std::io::Error) -> Damage {
        match cause.kind() {
            std::io::ErrorKind::UnexpectedEof => Damage::Heap(CUT_OFF),
            // The offset is out of range for any file.
            std::io::ErrorKind::InvalidInput => Damage::Heap("the file is damaged; download it again"),
            _ => Damage::Io(cause),
        }
    }
}

fn head(file: &mut File, place: u64) -> Result<[u8; HEAD as usize], Damage> {
    let mut head = [0; HEAD as usize];
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(&mut head)?;
    Ok(head)
}

fn size(head: &[u8; HEAD as usize]) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *head;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_beyond_any_file_is_damage() {
        let mut file = tempfile::tempfile().unwrap();
        let reference = Reference { items: 1, address: 1 << 63, object: 1 };
        let damage = Walk::default().read(&mut file, 0, reference, 2, &mut Vec::new()).unwrap_err();
        assert!(matches!(damage, Damage::Heap("the file is damaged; download it again")), "{damage:?}");
    }
}
