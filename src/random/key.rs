//! The threefry2x32 hash and its keys: seeding, splitting, folding, raw bits.

use spiq_hlo::Array;

/// A random key: 64 bits from which any number of independent samples and further keys are derived.
///
/// A key is plain data. Drawing twice from the same key gives the same numbers; derive a key for each use with
/// [`Key::pair`], [`Key::split`] or [`Key::fold_in`], or let [`Rngs`](super::Rngs) do it.
///
/// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011; `jax.random.PRNGKey`.
///
/// ```
/// use spiq::random::Key;
/// assert_eq!(Key::new(7).words(), [0, 7]);
/// assert_eq!(Key::new(0).fold_in(1).words(), [928981903, 3453687069]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u32; 2]);

impl Key {
    /// The key of a seed. Only the low 32 bits of the seed are used, as in JAX without 64-bit mode: seeds that differ by
    /// a multiple of 2³² give the same key, and -1 is equivalent to 2³² - 1.
    pub fn new(seed: i64) -> Key {
        Key([0, seed as u32])
    }

    /// A key from its two words, the more significant one first (`jax.random.wrap_key_data`).
    pub fn from_words(words: [u32; 2]) -> Key {
        Key(words)
    }

    /// The two words of the key, the more significant one first (`jax.random.key_data`).
    pub fn words(self) -> [u32; 2] {
        self.0
    }

    /// The key as `u32[2]`, the form used in graphs.
    pub fn to_array(self) -> Array {
        Array::new([2], self.0).expect("two words")
    }

    /// `n` keys that are independent of each other and of this one (`jax.random.split`).
    pub fn split(self, n: usize) -> Vec<Key> {
        self.blocks(n).map(Key).collect()
    }

    /// Two keys: `split(2)` without the vector.
    pub fn pair(self) -> (Key, Key) {
        (Key(self.hash(0)), Key(self.hash(1)))
    }

    /// A key that depends on this one and on a number, such as a step or a worker (`jax.random.fold_in`).
    pub fn fold_in(self, data: u32) -> Key {
        Key(self.hash(u64::from(data)))
    }

    /// `n` uniformly distributed bytes.
    pub fn bits8(self, n: usize) -> Vec<u8> {
        self.words32(n).map(|bits| bits as u8).collect()
    }

    /// `n` uniformly distributed 16-bit words.
    pub fn bits16(self, n: usize) -> Vec<u16> {
        self.words32(n).map(|bits| bits as u16).collect()
    }

    /// `n` uniformly distributed 32-bit words (`jax.random.bits`).
    pub fn bits32(self, n: usize) -> Vec<u32> {
        self.words32(n).collect()
    }

    /// `n` uniformly distributed 64-bit words (as drawn by JAX in 64-bit mode).
    pub fn bits64(self, n: usize) -> Vec<u64> {
        self.blocks(n).map(|[high, low]| u64::from(high) << 32 | u64::from(low)).collect()
    }

    /// The first `n` 32-bit words: each is the exclusive or of the two halves of a hash.
    pub(super) fn words32(self, n: usize) -> impl Iterator<Item = u32> {
        self.blocks(n).map(|[a, b]| a ^ b)
    }

    fn blocks(self, n: usize) -> impl Iterator<Item = [u32; 2]> {
        (0..n as u64).map(move |count| self.hash(count))
    }

    fn hash(self, count: u64) -> [u32; 2] {
        threefry2x32(self.0, [(count >> 32) as u32, count as u32])
    }
}

/// The block cipher: five groups of four rounds, a word of the key schedule added after each group.
fn threefry2x32(key: [u32; 2], count: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    const PARITY: u32 = 0x1bd1_1bda;
    let schedule = [key[0], key[1], key[0] ^ key[1] ^ PARITY];
    let [mut a, mut b] = [count[0].wrapping_add(schedule[0]), count[1].wrapping_add(schedule[1])];
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            a = a.wrapping_add(b);
            b = b.rotate_left(rotation) ^ a;
        }
        a = a.wrapping_add(schedule[(group + 1) % 3]);
        b = b.wrapping_add(schedule[(group + 2) % 3]).wrapping_add(group as u32 + 1);
    }
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::threefry2x32;

    /// Known answers from the authors' library, Random123.
    #[test]
    fn threefry_gives_the_published_answers() {
        assert_eq!(threefry2x32([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry2x32([u32::MAX; 2], [u32::MAX; 2]), [0x1cb9_96fc, 0xbb00_2be7]);
        let (key, count) = ([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]);
        assert_eq!(threefry2x32(key, count), [0xc492_3a9c, 0x483d_f7a0]);
    }
}
