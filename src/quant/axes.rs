//! Resolves axes given by number in a rule.

/// Resolves the axes that a field of a rule names in a tensor of this rank; negative numbers count from the end.
///
/// # Errors
/// One sentence about an axis that the tensor does not have, or that is named twice.
pub(super) fn named_axes(field: &str, numbers: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let mut axes = Vec::new();
    for &number in numbers {
        let counted = if number < 0 { number + rank as i64 } else { number };
        let axis = usize::try_from(counted).ok().filter(|axis| *axis < rank);
        let axis = axis.ok_or_else(|| format!("{field} names axis {number}, but the tensor has rank {rank}"))?;
        if axes.contains(&axis) {
            return Err(format!("{field} names axis {axis} twice"));
        }
        axes.push(axis);
    }
    Ok(axes)
}
