//! Packs elements of fewer than eight bits into bytes.

use crate::quant::QType;

/// Bits per element of this type in a file, if fewer than eight: two's complement, a level index (nf4), or float4_e2m1fn.
pub(super) fn packed_bits(qtype: QType) -> Option<usize> {
    match qtype {
        QType::Binary => Some(1),
        QType::Int(2) | QType::Ternary | QType::Int1 => Some(2),
        QType::Int(3 | 4) | QType::Nf4 | QType::Mxfp4 | QType::Nvfp4 => Some(4),
        QType::Int(_) | QType::E4m3fn | QType::E5m2 | QType::Mxfp8 => None,
    }
}

/// The number of bytes for `count` elements.
pub(super) fn packed_len(count: usize, bits: usize) -> usize {
    count.div_ceil(8 / bits)
}

/// Packs the low bits of each byte, the first element in the lowest bits.
pub(super) fn pack(bytes: &[u8], bits: usize) -> Vec<u8> {
    let mask = (1u8 << bits) - 1;
    let joined = |part: &[u8]| part.iter().enumerate().fold(0, |sum, (i, byte)| sum | (byte & mask) << (i * bits));
    bytes.chunks(8 / bits).map(joined).collect()
}

/// Unpacks the first `count` elements, one per byte; signed ones are sign-extended.
pub(super) fn unpack(bytes: &[u8], bits: usize, count: usize, signed: bool) -> Vec<u8> {
    let (per_byte, spare) = (8 / bits, 8 - bits);
    let element = |i: usize| {
        let high = bytes[i / per_byte] >> (i % per_byte * bits) << spare;
        if signed { (high as i8 >> spare) as u8 } else { high >> spare }
    };
    (0..count).map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_again() {
        let signed: Vec<u8> = (-8i8..8).chain([3]).map(|v| v as u8).collect();
        let packed = pack(&signed, 4);
        assert_eq!((packed.len(), packed[0]), (packed_len(17, 4), 0x98), "-8 in the low half, -7 in the high one");
        assert_eq!(unpack(&packed, 4, 17, true), signed);
        let codes: Vec<u8> = (0..16).collect();
        assert_eq!(unpack(&pack(&codes, 4), 4, 16, false), codes);
        let pairs: Vec<u8> = [-2i8, -1, 0, 1, 1, -2, 0].map(|v| v as u8).to_vec();
        assert_eq!(unpack(&pack(&pairs, 2), 2, 7, true), pairs);
    }
}
