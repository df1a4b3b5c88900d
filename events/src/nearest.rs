//! The nearest known word to a misspelt one.

/// The candidate with the smallest edit distance to `word`, if at most half of it changes. Upper and lower case count as equal, but
/// break ties.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let small = word.to_lowercase();
    let scored = candidates.into_iter().map(|candidate| (distance(&small, &candidate.to_lowercase()), candidate));
    let (edits, best) = scored.min_by_key(|(edits, candidate)| (*edits, distance(word, candidate)))?;
    (edits * 2 <= word.chars().count().max(best.chars().count())).then_some(best)
}

/// The Levenshtein distance: insertions, deletions and substitutions.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distances_are_edits() {
        for (a, b, edits) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("beta", "beta", 0), ("äb", "ab", 1)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn a_word_that_is_far_from_all_has_no_nearest() {
        let keys = ["type", "hidden_shape", "threshold", "beta"];
        assert_eq!(nearest("treshold", keys), Some("threshold"));
        assert_eq!(nearest("momentum", keys), None);
    }
}
