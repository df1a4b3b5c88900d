//! AVX2 with fused multiply-add. Compilers do not find these forms: without them, products of bf16 take five times as long as those of f32.

use std::arch::x86_64::{
    __m128, __m256, __m256i, _CMP_NEQ_UQ, _MM_HINT_T0, _mm_add_ps, _mm_hadd_ps, _mm_prefetch, _mm256_add_ps,
    _mm256_and_si256, _mm256_castps256_ps128, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpeq_epi8,
    _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_movemask_epi8, _mm256_movemask_ps, _mm256_set1_epi32,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi32, _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};
use std::mem::transmute;

use super::InstructionSet;

/// Created only where the CPU has the instructions.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The CPU has AVX2 and FMA.
    #[inline(always)]
    pub(super) unsafe fn new() -> Avx2 {
        Avx2(())
    }
}

/// The sum of the halves of its halves.
#[inline]
#[target_feature(enable = "avx2")]
fn quarter([low, high]: [__m256; 2]) -> __m128 {
    let half = _mm256_add_ps(low, high);
    _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half))
}

impl InstructionSet for Avx2 {
    #[inline(always)]
    fn add_pairs(self, sum: [f32; 16], a: &[u16; 32], b: &[u16; 32]) -> [f32; 16] {
        // SAFETY: `self` proves that the CPU has the instructions; the types have the same sizes and all their bits are values.
        unsafe {
            let mut sum = transmute::<[f32; 16], [__m256; 2]>(sum);
            let [a, b] = [*a, *b].map(|pairs| transmute::<[u16; 32], [__m256i; 2]>(pairs));
            let upper = _mm256_set1_epi32(0xffff_0000u32 as i32);
            for i in 0..2 {
                // A pair is a word: its first element is the lower half.
                let first = [_mm256_slli_epi32::<16>(a[i]), _mm256_slli_epi32::<16>(b[i])];
                let second = [_mm256_and_si256(a[i], upper), _mm256_and_si256(b[i], upper)];
                sum[i] = _mm256_fmadd_ps(_mm256_castsi256_ps(first[0]), _mm256_castsi256_ps(first[1]), sum[i]);
                sum[i] = _mm256_fmadd_ps(_mm256_castsi256_ps(second[0]), _mm256_castsi256_ps(second[1]), sum[i]);
            }
            transmute(sum)
        }
    }

    #[inline(always)]
    fn totals(self, sums: [[f32; 16]; 4]) -> [f32; 4] {
        // SAFETY: as above.
        unsafe {
            let [a, b, c, d] = transmute::<[[f32; 16]; 4], [[__m256; 2]; 4]>(sums);
            let (ab, cd) = (_mm_hadd_ps(quarter(a), quarter(b)), _mm_hadd_ps(quarter(c), quarter(d)));
            transmute(_mm_hadd_ps(ab, cd))
        }
    }

    #[inline(always)]
    fn add_rows(self, sums: &mut [[f32; 16]; 2], first: &[u16; 32], second: &[u16; 32]) {
        // SAFETY: as above.
        unsafe {
            let [mut low, mut high] = transmute::<[[f32; 16]; 2], [[__m256; 2]; 2]>(*sums);
            let zero = _mm256_setzero_si256();
            for row in [first, second] {
                let row = transmute::<[u16; 32], [__m256i; 2]>(*row);
                for i in 0..2 {
                    // The upper halves of f32, of four columns out of eight.
                    low[i] = _mm256_add_ps(low[i], _mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, row[i])));
                    high[i] = _mm256_add_ps(high[i], _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, row[i])));
                }
            }
            *sums = transmute::<[[__m256; 2]; 2], [[f32; 16]; 2]>([low, high]);
        }
    }

    #[inline(always)]
    fn places(self, elements: &[f32; 16], base: u32, to: &mut [u32; 16]) -> usize {
        // SAFETY: as above.
        let mut marks = unsafe {
            let [low, high] = transmute::<[f32; 16], [__m256; 2]>(*elements)
                .map(|half| _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(half, _mm256_setzero_ps())));
            low | high << 8
        };
        let mut count = 0;
        while marks != 0 {
            to[count] = base + marks.trailing_zeros();
            marks &= marks - 1;
            count += 1;
        }
        count
    }

    #[inline(always)]
    fn nonzero(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: as above.
        unsafe {
            let zeros = transmute::<[u8; 64], [__m256i; 2]>(*bytes)
                .map(|half| _mm256_movemask_epi8(_mm256_cmpeq_epi8(half, _mm256_setzero_si256())) as u32);
            !(u64::from(zeros[0]) | u64::from(zeros[1]) << 32)
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, memory: &[T]) {
        for line in memory.chunks(64 / size_of::<T>()) {
            // SAFETY: as above; the instruction reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
        }
    }
}
