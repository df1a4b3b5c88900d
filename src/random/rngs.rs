//! Named streams of keys.

use std::collections::BTreeMap;

use super::key::Key;

/// Named streams of random keys, with a new key on each call (`flax.nnx.Rngs`).
///
/// A stream is a seed and a count; its next key is the seed's key with the count folded in. A name without a separate stream
/// draws from the default stream and advances its count. The name itself does not affect the key.
///
/// ```
/// use spiq::random::{Key, Rngs};
/// let mut rngs = Rngs::new(0).with_stream("dropout", 1);
/// assert_eq!(rngs.params(), Key::new(0).fold_in(0));
/// assert_eq!(rngs.key("dropout"), Key::new(1).fold_in(0));
/// assert_eq!(rngs.key("noise"), Key::new(0).fold_in(1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rngs {
    default: Stream,
    named: BTreeMap<String, Stream>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stream {
    key: Key,
    count: u32,
}

impl Stream {
    fn new(key: Key) -> Stream {
        Stream { key, count: 0 }
    }

    fn next(&mut self) -> Key {
        let key = self.key.fold_in(self.count);
        // The count has 32 bits in Flax as well.
        self.count = self.count.wrapping_add(1);
        key
    }
}

impl Rngs {
    /// Streams that all draw from one seed.
    pub fn new(seed: i64) -> Rngs {
        Rngs::from_key(Key::new(seed))
    }

    /// Streams that all draw from one key.
    pub fn from_key(key: Key) -> Rngs {
        Rngs { default: Stream::new(key), named: BTreeMap::new() }
    }

    /// Adds a stream with its own seed; the name `default` replaces the default stream.
    #[must_use]
    pub fn with_stream(mut self, name: &str, seed: i64) -> Rngs {
        let stream = Stream::new(Key::new(seed));
        match name {
            "default" => self.default = stream,
            _ => _ = self.named.insert(name.to_owned(), stream),
        }
        self
    }

    /// The next key of the stream with this name, or of the default stream if there is none.
    pub fn key(&mut self, name: &str) -> Key {
        self.named.get_mut(name).unwrap_or(&mut self.default).next()
    }

    /// The next key for a parameter: `key("params")`.
    pub fn params(&mut self) -> Key {
        self.key("params")
    }
}
