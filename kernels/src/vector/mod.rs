//! Runs code with this CPU's widest vector instructions.
//!
//! The code is compiled here, once for each instruction set: generic code that another crate instantiates is compiled with that crate's
//! optimization level, which made every kernel several times slower once.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod x86;

/// A part of a kernel's work. `run` is `inline(always)`, so it is compiled once for each instruction set below.
pub trait Work: Send {
    /// Runs the part.
    fn run(self, set: impl InstructionSet);
}

/// Operations whose fastest form the compiler does not find by itself. A value of this type proves that the CPU has the instructions.
pub trait InstructionSet: Copy {
    /// Adds products of bf16 numbers (the upper halves of f32) in pairs: `sum[i] + a[2i] b[2i] + a[2i + 1] b[2i + 1]`. The order of
    /// the two additions and their rounding depend on the instruction set.
    fn add_pairs(self, sum: [f32; 16], a: &[u16; 32], b: &[u16; 32]) -> [f32; 16];

    /// The sums of each array's elements: halves are added until four are left, then `(a + b) + (c + d)`.
    fn totals(self, sums: [[f32; 16]; 4]) -> [f32; 4];

    /// Adds two rows of bf16 numbers to sums, the first one first. The sums are in the order of [`in_order`].
    fn add_rows(self, sums: &mut [[f32; 16]; 2], first: &[u16; 32], second: &[u16; 32]);

    /// Writes `base + i` for each element `i` that is not 0, one after the other, and returns their number; the rest of `to` is arbitrary.
    fn places(self, elements: &[f32; 16], base: u32, to: &mut [u32; 16]) -> usize;

    /// A bit for each byte that is not 0; the first byte's is the lowest.
    fn nonzero(self, bytes: &[u8; 64]) -> u64;

    /// Starts to load memory into the caches.
    fn prefetch<T>(self, memory: &[T]);
}

/// Whatever the compiler finds.
#[derive(Clone, Copy)]
pub struct Compiled;

impl InstructionSet for Compiled {
    #[inline(always)]
    fn add_pairs(self, mut sum: [f32; 16], a: &[u16; 32], b: &[u16; 32]) -> [f32; 16] {
        let wide = |half: u16| f32::from_bits(u32::from(half) << 16);
        for i in 0..16 {
            sum[i] = wide(a[2 * i]).mul_add(wide(b[2 * i]), sum[i]);
            sum[i] = wide(a[2 * i + 1]).mul_add(wide(b[2 * i + 1]), sum[i]);
        }
        sum
    }

    #[inline(always)]
    fn totals(self, mut sums: [[f32; 16]; 4]) -> [f32; 4] {
        for half in [8, 4] {
            for sum in &mut sums {
                for i in 0..half {
                    sum[i] += sum[i + half];
                }
            }
        }
        let mut totals = [0.0; 4];
        for i in 0..4 {
            totals[i] = (sums[i][0] + sums[i][1]) + (sums[i][2] + sums[i][3]);
        }
        totals
    }

    #[inline(always)]
    fn add_rows(self, sums: &mut [[f32; 16]; 2], first: &[u16; 32], second: &[u16; 32]) {
        for row in [first, second] {
            for (half, sums) in sums.iter_mut().enumerate() {
                for (at, sum) in sums.iter_mut().enumerate() {
                    *sum += f32::from_bits(u32::from(row[column(half, at)]) << 16);
                }
            }
        }
    }

    #[inline(always)]
    fn places(self, elements: &[f32; 16], base: u32, to: &mut [u32; 16]) -> usize {
        let mut count = 0;
        for (i, element) in elements.iter().enumerate() {
            // There are at most as many as elements before this one.
            to[count] = base + i as u32;
            count += usize::from(*element != 0.0);
        }
        count
    }

    #[inline(always)]
    fn nonzero(self, bytes: &[u8; 64]) -> u64 {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        /// Moves the high bit of each byte to the top byte.
        const GATHER: u64 = 0x0002_0408_1020_4081;
        let mut bits = 0;
        for (at, word) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            let marks = (((word & LOW) + LOW) | word) & !LOW;
            bits |= (marks.wrapping_mul(GATHER) >> 56) << (8 * at);
        }
        bits
    }

    #[inline(always)]
    fn prefetch<T>(self, _: &[T]) {}
}

/// The sums of 32 columns, which [`InstructionSet::add_rows`] keeps in the order that interleaving two rows gives: of each eight columns, the
/// first four are in the first array.
#[inline(always)]
pub fn in_order(sums: &[[f32; 16]; 2]) -> [f32; 32] {
    let mut columns = [0.0; 32];
    for (half, sums) in sums.iter().enumerate() {
        for (at, sum) in sums.iter().enumerate() {
            columns[column(half, at)] = *sum;
        }
    }
    columns
}

/// The column of an element of [`InstructionSet::add_rows`]'s sums.
#[inline(always)]
fn column(half: usize, at: usize) -> usize {
    at / 4 * 8 + half * 4 + at % 4
}

/// Signed bytes as unsigned ones.
pub fn unsigned(bytes: &[i8]) -> &[u8] {
    // SAFETY: both types have the same size and alignment, and each value of one is a value of the other.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
}

/// Runs `work` with the widest available instructions.
pub fn run<W: Work>(work: W) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
        {
            if is_x86_feature_detected!("avx512bf16") {
                // SAFETY: the CPU supports these instructions, as just checked.
                return unsafe { x86::avx512_bf16(work) };
            }
            // SAFETY: as above.
            return unsafe { x86::avx512(work) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            return unsafe { x86::avx2(work) };
        }
    }
    work.run(Compiled);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Irregular numbers of different magnitudes, some of them 0.
    fn noise(i: usize) -> f32 {
        let mixed = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let fraction = (mixed % 1000) as f32 / 500.0 - 1.0;
        if mixed.is_multiple_of(7) { 0.0 } else { fraction * 2f32.powi((mixed % 9) as i32 - 4) }
    }

    fn bf16(first: usize) -> [u16; 32] {
        std::array::from_fn(|i| (noise(first + i).to_bits() >> 16) as u16)
    }

    /// The results of all operations.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Results {
        pairs: Vec<f32>,
        rows: Vec<[[f32; 16]; 2]>,
        totals: Vec<[f32; 4]>,
        places: Vec<Vec<u32>>,
        nonzero: Vec<u64>,
    }

    struct All<'a>(&'a mut Results);

    impl Work for All<'_> {
        #[inline(always)]
        fn run(self, set: impl InstructionSet) {
            let floats = |first: usize| std::array::from_fn(|i| noise(first + i));
            for at in 0..200 {
                let first = at * 1000;
                self.0.pairs.extend(set.add_pairs(floats(first), &bf16(first + 100), &bf16(first + 200)));
                let mut sums = [floats(first + 300), floats(first + 400)];
                set.add_rows(&mut sums, &bf16(first + 500), &bf16(first + 600));
                self.0.rows.push(sums);
                self.0.totals.push(set.totals(std::array::from_fn(|row| floats(first + 20 * row))));
                let mut places = [0; 16];
                let count = set.places(&floats(first + 700), 5, &mut places);
                self.0.places.push(places[..count].to_vec());
                self.0.nonzero.push(set.nonzero(&std::array::from_fn(|i| (noise(first + i) * 3.0) as i8 as u8)));
            }
        }
    }

    /// Widest or compiled, results are equal, except for products of pairs, whose rounding differs.
    #[test]
    fn instruction_sets_agree() {
        let (mut compiled, mut widest) = (Results::default(), Results::default());
        All(&mut compiled).run(Compiled);
        run(All(&mut widest));
        for (one, other) in compiled.pairs.iter().zip(&widest.pairs) {
            assert!((one - other).abs() <= 1e-5 * (1.0 + one.abs()), "{one} {other}");
        }
        compiled.pairs.clear();
        widest.pairs.clear();
        assert_eq!(compiled, widest);
    }
}
