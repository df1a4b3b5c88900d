//! Weighted sums of slices of a list.

/// The type of a sum.
pub(super) trait Sum: Copy + Default + Send + Sync {
    /// The sum with a weighted number. Weights of integers are 1.
    fn plus(self, weight: f32, other: Self) -> Self;
}

impl Sum for f32 {
    #[inline(always)]
    fn plus(self, weight: f32, other: f32) -> f32 {
        other.mul_add(weight, self)
    }
}

impl Sum for i32 {
    #[inline(always)]
    fn plus(self, _: f32, other: i32) -> i32 {
        self + other
    }
}

/// Adds slices of a list, given by their starts, with weights.
#[inline(always)]
pub(super) fn add<S: Sum>(to: &mut [S], from: &[S], slices: &[(usize, f32)]) {
    let at = add_windows::<S, 32>(to, from, slices, 0);
    let at = add_windows::<S, 16>(to, from, slices, at);
    let at = add_windows::<S, 8>(to, from, slices, at);
    let at = add_windows::<S, 4>(to, from, slices, at);
    let at = add_windows::<S, 2>(to, from, slices, at);
    add_windows::<S, 1>(to, from, slices, at);
}

/// Adds the elements from `at` on, two windows of `N` at a time, until fewer than `N` are left; returns where these start. The last two windows may overlap.
#[inline(always)]
fn add_windows<S: Sum, const N: usize>(to: &mut [S], from: &[S], slices: &[(usize, f32)], mut at: usize) -> usize {
    while at + N <= to.len() {
        let second = (at + N).min(to.len() - N);
        add_two::<S, N>(to, from, slices, [at, second]);
        at = second + N;
    }
    at
}

/// Adds the elements of two windows, whose sums stay in registers. Where they overlap, both have the same sums.
#[inline(always)]
fn add_two<S: Sum, const N: usize>(to: &mut [S], from: &[S], slices: &[(usize, f32)], at: [usize; 2]) {
    let starts = at.map(|at| to[at..].first_chunk::<N>().copied());
    let [Some(mut one), Some(mut two)] = starts else { return };
    for (first, weight) in slices {
        let from = &from[*first..];
        let (Some(a), Some(b)) = (from[at[0]..].first_chunk::<N>(), from[at[1]..].first_chunk::<N>()) else { continue };
        for i in 0..N {
            one[i] = one[i].plus(*weight, a[i]);
            two[i] = two[i].plus(*weight, b[i]);
        }
    }
    to[at[0]..][..N].copy_from_slice(&one);
    to[at[1]..][..N].copy_from_slice(&two);
}
