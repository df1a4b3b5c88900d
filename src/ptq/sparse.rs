//! Compresses mostly zero elements: stores the nonzero ones and the number of zeros before each.

/// Returns the nonzero elements, one byte each, and the number of zeros before each; 255 means 255 zeros without an element. Trailing zeros
/// are omitted.
pub(super) fn compress(elements: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut kept, mut gaps, mut zeros) = (Vec::new(), Vec::new(), 0usize);
    for &element in elements {
        if element == 0 {
            zeros += 1;
            continue;
        }
        gaps.extend(std::iter::repeat_n(ONLY_ZEROS, zeros / usize::from(ONLY_ZEROS)));
        gaps.push((zeros % usize::from(ONLY_ZEROS)) as u8);
        kept.push(element);
        zeros = 0;
    }
    (kept, gaps)
}

/// A gap without a following element.
const ONLY_ZEROS: u8 = u8::MAX;

/// The number of elements that follow these gaps.
pub(super) fn followed(gaps: &[u8]) -> usize {
    gaps.iter().filter(|gap| **gap != ONLY_ZEROS).count()
}

/// Restores `count` elements; `None` if there are more, or if gaps and elements do not match.
pub(super) fn expand(kept: &[u8], gaps: &[u8], count: usize) -> Option<Vec<u8>> {
    let (mut elements, mut kept) = (vec![0; count], kept.iter());
    let mut at = 0usize;
    for &gap in gaps {
        at += usize::from(gap);
        if gap != ONLY_ZEROS {
            *elements.get_mut(at)? = *kept.next()?;
            at += 1;
        }
    }
    kept.next().is_none().then_some(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_expanded_again() {
        let mut elements = vec![0u8; 1200];
        for (place, value) in [(0, 3), (1, 255), (256, 1), (512, 9), (1023, 7)] {
            elements[place] = value;
        }
        let (kept, gaps) = compress(&elements);
        assert_eq!(
            (kept.len(), followed(&gaps), gaps.len()),
            (5, 5, 8),
            "254 zeros are one gap, 255 are two, 510 three"
        );
        assert_eq!(expand(&kept, &gaps, 1200), Some(elements));
        assert_eq!(expand(&kept, &gaps, 1023), None, "too many elements");
        assert_eq!(expand(&kept[1..], &gaps, 1200), None, "too few elements");
        assert_eq!(compress(&[0; 9]), (vec![], vec![]));
    }
}
