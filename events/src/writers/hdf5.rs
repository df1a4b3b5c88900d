//! A small subset of HDF5, written sequentially: groups, one-dimensional data sets, text attributes of the root, and variable-length
//! elements, in the layout that every version of the HDF5 library reads.
//!
//! Written by hand because `rust-hdf5` 0.7.9 requires all elements at once and puts them into one heap, which the library reads whole
//! for each element: h5py needed more than ten minutes for a file of 260 MB. Here a heap holds the elements of few samples. Names in
//! comments are those of the HDF5 file format specification, version 3.0.

use std::io::{self, Seek, SeekFrom, Write};

/// The undefined address.
const UNDEFINED: u64 = u64::MAX;
/// The library reads at least this many bytes of a heap at once.
const SMALLEST_HEAP: usize = 4096;
/// Half the maximum number of symbols in a node, and of nodes in a tree.
const LEAF_K: u16 = 4;
const INTERNAL_K: u16 = 16;
const SUPERBLOCK: u64 = 96;

/// The type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// u16.
    U16,
    /// IEEE half.
    F16,
    /// UTF-8 with a fixed number of bytes, zero-padded.
    Text(u32),
}

/// A reference to an element in a heap, as stored in a data set of variable-length elements.
pub type Reference = [u8; 16];

/// Writes a file sequentially.
pub struct Writer<W> {
    out: W,
    /// Bytes written.
    end: u64,
    /// Objects of the heap being filled, after its header.
    heap: Vec<u8>,
    objects: u16,
}

/// A link in a group: a name, the address of an object header, and for a group the addresses of its tree and heap of names.
pub type Link = (&'static str, u64, Option<[u64; 2]>);

impl<W: Write + Seek> Writer<W> {
    /// Starts a file at the beginning of `out`.
    ///
    /// # Errors
    /// Write errors, as for all of these methods.
    pub fn new(mut out: W) -> io::Result<Writer<W>> {
        // The superblock is written at the end.
        out.write_all(&[0; SUPERBLOCK as usize])?;
        Ok(Writer { out, end: SUPERBLOCK, heap: Vec::new(), objects: 0 })
    }

    /// Adds an element with this number of items to the heap.
    pub fn element(&mut self, items: u32, bytes: &[u8]) -> io::Result<Reference> {
        if bytes.is_empty() {
            return Ok([0; 16]);
        }
        if self.heap.is_empty() {
            self.heap.extend(b"GCOL\x01\0\0\0\0\0\0\0\0\0\0\0");
        }
        self.objects += 1;
        let reference =
            [&items.to_le_bytes()[..], &self.end.to_le_bytes(), &u32::from(self.objects).to_le_bytes()].concat();
        self.heap.extend(self.objects.to_le_bytes());
        self.heap.extend([0; 6]);
        self.heap.extend((bytes.len() as u64).to_le_bytes());
        self.heap.extend(bytes);
        self.heap.resize(self.heap.len().next_multiple_of(8), 0);
        if self.heap.len() >= SMALLEST_HEAP {
            self.end_heap()?;
        }
        Ok(reference.try_into().expect("4 + 8 + 4 bytes"))
    }

    fn end_heap(&mut self) -> io::Result<()> {
        if self.heap.is_empty() {
            return Ok(());
        }
        let mut heap = std::mem::take(&mut self.heap);
        self.objects = 0;
        if heap.len() < SMALLEST_HEAP {
            let free = SMALLEST_HEAP - heap.len();
            // Free space is an object with number 0; space smaller than an object header has none.
            if free >= 16 {
                heap.extend([0; 8]);
                heap.extend((free as u64).to_le_bytes());
            }
            heap.resize(SMALLEST_HEAP, 0);
        }
        let size = heap.len() as u64;
        heap[8..16].copy_from_slice(&size.to_le_bytes());
        self.put(&heap).map(drop)
    }

    /// A data set with these elements.
    pub fn data(&mut self, ty: Type, count: usize, bytes: &[u8]) -> io::Result<u64> {
        self.array(&datatype(ty), count, bytes)
    }

    /// A data set of variable-length elements with items of this type.
    pub fn variable(&mut self, ty: Type, references: &[Reference]) -> io::Result<u64> {
        let sequence = [&[0x19, 0, 0, 0][..], &16u32.to_le_bytes(), &datatype(ty)].concat();
        self.array(&sequence, references.len(), references.as_flattened())
    }

    fn array(&mut self, datatype: &[u8], count: usize, bytes: &[u8]) -> io::Result<u64> {
        // Flushes the heap that the references point to.
        self.end_heap()?;
        let at = if bytes.is_empty() { UNDEFINED } else { self.put(bytes)? };
        let space = [&[1, 1, 0, 0, 0, 0, 0, 0][..], &(count as u64).to_le_bytes()].concat();
        let layout = [&[3, 1][..], &at.to_le_bytes(), &(bytes.len() as u64).to_le_bytes()].concat();
        // No fill value: space is allocated late, and filled only if a value is set.
        self.object(&[(0x01, space), (0x03, datatype.to_vec()), (0x05, vec![2, 2, 2, 0]), (0x08, layout)])
    }

    /// A group; `links` must be sorted by name.
    pub fn group(&mut self, links: &[Link]) -> io::Result<(u64, [u64; 2])> {
        self.group_with(links, &[])
    }

    /// An object header, version 1.
    fn object(&mut self, messages: &[(u16, Vec<u8>)]) -> io::Result<u64> {
        let mut body = Vec::new();
        for (kind, message) in messages {
            let size = message.len().next_multiple_of(8);
            body.extend(kind.to_le_bytes());
            body.extend((size as u16).to_le_bytes());
            body.extend([0; 4]);
            body.extend(message);
            body.resize(body.len() + size - message.len(), 0);
        }
        let head = [
            &[1, 0][..],
            &(messages.len() as u16).to_le_bytes(),
            &1u32.to_le_bytes(),
            &(body.len() as u32).to_le_bytes(),
            &[0; 4],
        ];
        self.put(&[head.concat(), body].concat())
    }

    fn group_with(&mut self, links: &[Link], attributes: &[(&str, String)]) -> io::Result<(u64, [u64; 2])> {
        debug_assert!(links.len() <= 2 * usize::from(LEAF_K) && links.is_sorted_by_key(|(name, ..)| *name));
        // The local heap of names begins with the empty name.
        let mut names = vec![0; 8];
        let mut symbols = Vec::new();
        let mut last = 0;
        for (name, object, group) in links {
            last = names.len() as u64;
            names.extend(name.as_bytes());
            names.resize((names.len() + 1).next_multiple_of(8), 0);
            symbols.extend(symbol(last, *object, *group));
        }
        let segment = self.put(&names)?;
        // 1 means that it has no free space.
        let fields = [names.len() as u64, 1, segment].map(u64::to_le_bytes);
        let heap = self.put(&[b"HEAP\0\0\0\0", fields.as_flattened()].concat())?;
        let mut node = [b"SNOD\x01\0", &(links.len() as u16).to_le_bytes()[..], &symbols].concat();
        node.resize(8 + 2 * usize::from(LEAF_K) * 40, 0);
        let node = self.put(&node)?;
        let fields = [UNDEFINED, UNDEFINED, 0, node, last].map(u64::to_le_bytes);
        let mut tree = [b"TREE\0\0\x01\0", fields.as_flattened()].concat();
        tree.resize(24 + (4 * usize::from(INTERNAL_K) + 1) * 8, 0);
        let tables = [self.put(&tree)?, heap];
        let mut messages = vec![(0x11, tables.map(u64::to_le_bytes).as_flattened().to_vec())];
        messages.extend(attributes.iter().map(|(name, text)| (0x0c, attribute(name, text))));
        Ok((self.object(&messages)?, tables))
    }

    /// Completes the file with its root group.
    pub fn finish(mut self, links: &[Link], attributes: &[(&str, String)]) -> io::Result<W> {
        self.end_heap()?;
        let (root, tables) = self.group_with(links, attributes)?;
        let mut block = b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0".to_vec();
        block.extend([LEAF_K, INTERNAL_K].map(u16::to_le_bytes).as_flattened());
        block.extend([0; 4]);
        block.extend([0, UNDEFINED, self.end, UNDEFINED].map(u64::to_le_bytes).as_flattened());
        block.extend(symbol(0, root, Some(tables)));
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&block)?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Writes bytes padded to a multiple of eight and returns their address.
    fn put(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.end;
        let padding = bytes.len().next_multiple_of(8) - bytes.len();
        self.out.write_all(bytes)?;
        self.out.write_all(&[0; 8][..padding])?;
        self.end += (bytes.len() + padding) as u64;
        Ok(at)
    }
}

/// A symbol table entry.
fn symbol(name: u64, object: u64, group: Option<[u64; 2]>) -> Vec<u8> {
    let cached = u64::from(group.is_some());
    let [tree, heap] = group.unwrap_or_default();
    [name, object, cached, tree, heap].map(u64::to_le_bytes).as_flattened().to_vec()
}

/// A datatype message; padded to a multiple of eight inside another message.
fn datatype(ty: Type) -> Vec<u8> {
    match ty {
        Type::U16 => vec![0x10, 0, 0, 0, 2, 0, 0, 0, 0, 0, 16, 0],
        // The sign is bit 15, the five exponent bits begin at bit 10, the ten mantissa bits at 0; the bias is 15.
        Type::F16 => vec![0x11, 0x20, 15, 0, 2, 0, 0, 0, 0, 0, 16, 0, 10, 5, 0, 10, 15, 0, 0, 0],
        Type::Text(bytes) => [&[0x13, 0x11, 0, 0][..], &bytes.to_le_bytes()].concat(),
    }
}

/// An attribute message, version 1, with one text.
fn attribute(name: &str, text: &str) -> Vec<u8> {
    let ty = datatype(Type::Text(text.len() as u32));
    let space = [1, 0, 0, 0, 0, 0, 0, 0];
    let sizes = [name.len() + 1, ty.len(), space.len()].map(|size| (size as u16).to_le_bytes());
    let mut message = [&[1, 0][..], sizes.as_flattened(), name.as_bytes()].concat();
    // The eight-byte header and the zero-terminated name are padded to a multiple of eight.
    message.resize((message.len() + 1).next_multiple_of(8), 0);
    message.extend(ty);
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend(space);
    message.extend(text.as_bytes());
    message
}
