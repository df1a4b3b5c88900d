//! Mutations of an input: bytes, stretches, numbers, and words from other inputs.

use fastrand::Rng;

/// Numbers that often break readers.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "255",
    "256",
    "65536",
    "200000",
    "2147483647",
    "2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "1e9",
    "1e18",
    "1e38",
    "1e40",
    "-1e40",
    "1e-46",
    "1e309",
    "nan",
    "inf",
    "-inf",
    "0.1",
    "0x10",
    "1_000",
    "01",
];

/// Text fragments that often break readers.
const PIECES: &[&str] = &[
    "", "[]", "[[]]", "{}", "\"\"", "''", "\"", "[", "]", "{", "}", "(", ")", ",", ";", "=", ":", "#", "\\", "/", "\0",
    "\n", "\r\n", "\u{feff}", "é", "𝄞", "\u{202e}", "true", "false", "none", "null", ".", "..", "*", ".*", "(a*)*",
    "[^a]", "%s", "$HOME", "\t",
];

/// Mutates real inputs.
pub struct Mutator {
    rng: Rng,
    corpus: Vec<Vec<u8>>,
    /// Words in the corpus: keys, names, types.
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// Mutations of these inputs, in an order given by the seed.
    ///
    /// # Panics
    /// If `corpus` is empty.
    pub fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Mutator {
        assert!(!corpus.is_empty(), "mutations start from at least one input");
        let mut words: Vec<Vec<u8>> =
            corpus.iter().flat_map(|input| words(input).map(|at| input[at].to_vec())).collect();
        words.sort();
        words.dedup();
        Mutator { rng: Rng::with_seed(seed), corpus, words }
    }

    /// The next input: one of the corpus with one to eight mutations.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.rng.choice(&self.corpus).cloned().unwrap_or_default();
        for _ in 0..1 << self.rng.usize(0..4) {
            self.change(&mut input);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        match self.rng.usize(0..12) {
            0 => self.at(input, |rng, byte| *byte ^= 1 << rng.u8(0..8)),
            1 => self.at(input, |rng, byte| *byte = rng.u8(..)),
            // Lengths and offsets are in the leading bytes of structures; large ones end in 0xff.
            2 => self.at(input, |rng, byte| *byte = *rng.choice(&[0x00, 0xff, 0x7f, 0x80]).unwrap_or(&0)),
            3 => self.replace(input, |rng, _| vec![rng.u8(..)]),
            4 => self.replace(input, |_, _| Vec::new()),
            5 => self.replace(input, |rng, old| old.repeat(rng.usize(2..5))),
            6 => input.truncate(self.rng.usize(0..=input.len())),
            7 => self.replace(input, |rng, _| rng.choice(PIECES).copied().unwrap_or_default().into()),
            8 => self.splice(input),
            9 => self.word(input),
            _ => self.number(input),
        }
    }

    fn at(&mut self, input: &mut [u8], change: impl FnOnce(&mut Rng, &mut u8)) {
        if let Some(last) = input.len().checked_sub(1) {
            let at = self.rng.usize(0..=last);
            change(&mut self.rng, &mut input[at]);
        }
    }

    /// Replaces a stretch, which may be empty.
    fn replace(&mut self, input: &mut Vec<u8>, new: impl FnOnce(&mut Rng, &[u8]) -> Vec<u8>) {
        let from = self.rng.usize(0..=input.len());
        let longest = (input.len() - from).min(1 << self.rng.usize(0..8));
        let stretch = from..from + self.rng.usize(0..=longest);
        let new = new(&mut self.rng, &input[stretch.clone()]);
        input.splice(stretch, new);
    }

    /// Joins the beginning of this input and the end of another.
    fn splice(&mut self, input: &mut Vec<u8>) {
        let other = self.rng.choice(&self.corpus).cloned().unwrap_or_default();
        input.truncate(self.rng.usize(0..=input.len()));
        input.extend(&other[self.rng.usize(0..=other.len())..]);
    }

    /// Replaces a word with another word of the corpus.
    fn word(&mut self, input: &mut Vec<u8>) {
        let place = self.rng.choice(words(input).collect::<Vec<_>>());
        if let (Some(place), Some(word)) = (place, self.rng.choice(&self.words)) {
            input.splice(place, word.iter().copied());
        }
    }

    /// Replaces a number with another one.
    fn number(&mut self, input: &mut Vec<u8>) {
        let numbers = words(input).filter(|at| input[at.start].is_ascii_digit());
        let place = self.rng.choice(numbers.collect::<Vec<_>>());
        if let (Some(place), Some(number)) = (place, self.rng.choice(NUMBERS)) {
            input.splice(place, number.bytes());
        }
    }
}

/// The positions of an input's words: letters, digits, `_` and `.`.
fn words(input: &[u8]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let is_in = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + input[at..].iter().position(is_in)?;
        at = input[start..].iter().position(|byte| !is_in(byte)).map_or(input.len(), |length| start + length);
        Some(start..at)
    })
}
