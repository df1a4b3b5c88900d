//! The instruction sets of x86-64.

use std::arch::x86_64::{
    __m128, __m512, __m512bh, __m512i, _CMP_NEQ_UQ, _mm_add_ps, _mm_hadd_ps, _mm256_castps256_ps128,
    _mm256_extractf128_ps, _mm512_add_epi32, _mm512_add_ps, _mm512_castpd_ps, _mm512_castps_pd, _mm512_castps512_ps256,
    _mm512_cmp_ps_mask, _mm512_dpbf16_ps, _mm512_maskz_compress_epi32, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_shuffle_f64x2, _mm512_test_epi8_mask, _mm512_unpackhi_epi16, _mm512_unpacklo_epi16,
};
use std::mem::transmute;

use super::avx2::Avx2;
use super::{InstructionSet, Work};

/// The sum of the halves of its halves.
#[inline]
#[target_feature(enable = "avx512f")]
fn quarter(sum: __m512) -> __m128 {
    let high = _mm512_castpd_ps(_mm512_shuffle_f64x2::<0b1110>(_mm512_castps_pd(sum), _mm512_castps_pd(sum)));
    let half = _mm512_castps512_ps256(_mm512_add_ps(sum, high));
    _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half))
}

/// AVX-512; created only where the CPU has it.
#[derive(Clone, Copy)]
struct Avx512(());

impl Avx512 {
    /// The instructions for half as many elements.
    #[inline(always)]
    fn narrower(self) -> Avx2 {
        // SAFETY: every CPU with AVX-512 has AVX2 and FMA.
        unsafe { Avx2::new() }
    }
}

impl InstructionSet for Avx512 {
    #[inline(always)]
    fn add_pairs(self, sum: [f32; 16], a: &[u16; 32], b: &[u16; 32]) -> [f32; 16] {
        self.narrower().add_pairs(sum, a, b)
    }

    #[inline(always)]
    fn totals(self, sums: [[f32; 16]; 4]) -> [f32; 4] {
        // SAFETY: `self` proves that the CPU has the instructions; the types have the same sizes and all their bits are values.
        unsafe {
            let [a, b, c, d] = transmute::<[[f32; 16]; 4], [__m512; 4]>(sums);
            let (ab, cd) = (_mm_hadd_ps(quarter(a), quarter(b)), _mm_hadd_ps(quarter(c), quarter(d)));
            transmute(_mm_hadd_ps(ab, cd))
        }
    }

    #[inline(always)]
    fn add_rows(self, sums: &mut [[f32; 16]; 2], first: &[u16; 32], second: &[u16; 32]) {
        self.narrower().add_rows(sums, first, second);
    }

    #[inline(always)]
    fn places(self, elements: &[f32; 16], base: u32, to: &mut [u32; 16]) -> usize {
        // SAFETY: as above.
        unsafe {
            let elements = transmute::<[f32; 16], __m512>(*elements);
            let mask = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(elements, _mm512_setzero_ps());
            let count = transmute::<[u32; 16], __m512i>([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
            let places = _mm512_add_epi32(count, _mm512_set1_epi32(base as i32));
            *to = transmute::<__m512i, [u32; 16]>(_mm512_maskz_compress_epi32(mask, places));
            mask.count_ones() as usize
        }
    }

    #[inline(always)]
    fn nonzero(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves that the CPU has the instruction; the types have the same sizes and all their bits are values.
        unsafe {
            let bytes = transmute::<[u8; 64], __m512i>(*bytes);
            _mm512_test_epi8_mask(bytes, bytes)
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, memory: &[T]) {
        self.narrower().prefetch(memory);
    }
}

/// AVX-512 with products of bf16; created only where the CPU has them.
#[derive(Clone, Copy)]
struct Bf16(Avx512);

impl InstructionSet for Bf16 {
    #[inline(always)]
    fn add_pairs(self, sum: [f32; 16], a: &[u16; 32], b: &[u16; 32]) -> [f32; 16] {
        // SAFETY: `self` proves that the CPU has the instruction; the types have the same sizes and all their bits are values.
        unsafe {
            let [a, b] = [*a, *b].map(|pairs| transmute::<[u16; 32], __m512bh>(pairs));
            transmute(_mm512_dpbf16_ps(transmute::<[f32; 16], __m512>(sum), a, b))
        }
    }

    #[inline(always)]
    fn totals(self, sums: [[f32; 16]; 4]) -> [f32; 4] {
        self.0.totals(sums)
    }

    #[inline(always)]
    fn add_rows(self, sums: &mut [[f32; 16]; 2], first: &[u16; 32], second: &[u16; 32]) {
        // SAFETY: as above.
        unsafe {
            let [first, second] = [*first, *second].map(|row| transmute::<[u16; 32], __m512i>(row));
            // Of each pair, the instruction adds the second element first.
            let pairs = [_mm512_unpacklo_epi16(second, first), _mm512_unpackhi_epi16(second, first)];
            let ones = transmute::<[u16; 32], __m512bh>([0x3f80; 32]);
            for half in 0..2 {
                let sum = transmute::<[f32; 16], __m512>(sums[half]);
                let pairs = transmute::<__m512i, __m512bh>(pairs[half]);
                sums[half] = transmute::<__m512, [f32; 16]>(_mm512_dpbf16_ps(sum, pairs, ones));
            }
        }
    }

    #[inline(always)]
    fn places(self, elements: &[f32; 16], base: u32, to: &mut [u32; 16]) -> usize {
        self.0.places(elements, base, to)
    }

    #[inline(always)]
    fn nonzero(self, bytes: &[u8; 64]) -> u64 {
        self.0.nonzero(bytes)
    }

    #[inline(always)]
    fn prefetch<T>(self, memory: &[T]) {
        self.0.prefetch(memory);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub fn avx512_bf16<W: Work>(work: W) {
    work.run(Bf16(Avx512(())));
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub fn avx512<W: Work>(work: W) {
    work.run(Avx512(()));
}

#[target_feature(enable = "avx2,fma")]
pub fn avx2<W: Work>(work: W) {
    // SAFETY: as the attribute says.
    work.run(unsafe { Avx2::new() });
}
