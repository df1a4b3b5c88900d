//! Sequences that are not stored in memory: elements of a dense product, computed where a loop needs them.

use std::borrow::Cow;
use std::ops::Range;

use super::dots::{Element, dots};
use super::memory::Read;
use crate::vector::InstructionSet;

/// A product whose rows a loop reads as a sequence but needs only in part.
#[derive(Debug)]
pub struct Sampled<'a> {
    factors: Typed<'a>,
    /// The instruction whose result decides which elements are needed.
    pub(super) needed: usize,
}

#[derive(Debug)]
enum Typed<'a> {
    F32(Factors<'a, f32>),
    Bf16(Factors<'a, u16>),
}

/// The factors of a product: its elements are dot products of their rows.
#[derive(Debug)]
struct Factors<'a, E: Clone> {
    left: &'a [E],
    /// Rows of `padded` elements.
    right: Cow<'a, [E]>,
    /// Elements of a row, with and without the zeros that fill the last chunk.
    inner: usize,
    padded: usize,
    width: usize,
}

/// Bytes of right rows that stay in the L2 cache.
const CACHED: usize = 1 << 19;

/// Right rows that are multiplied at once.
const TOGETHER: usize = 4;

/// Left rows that are multiplied at once, if all elements are computed. With four right rows, their sums fill 24 of 32 registers.
const LEFT: usize = 6;

/// Fraction of needed elements above which all elements are computed: then rows are multiplied in blocks, which is
/// faster for each element.
const DENSE: f64 = 0.35;

impl<'a> Sampled<'a> {
    /// A product of matrices with rows of `columns` elements. `None`: their sizes and types do not match each other, or `lanes` and `steps`.
    pub(super) fn new(
        factors: [Read<'a>; 2],
        [columns, width]: [usize; 2],
        [steps, lanes]: [usize; 2],
        needed: usize,
    ) -> Option<Sampled<'a>> {
        let rows = steps.checked_mul(lanes.checked_div(width)?)?;
        let fits = columns > 0
            && lanes.is_multiple_of(width)
            && Some(factors[0].len()) == rows.checked_mul(columns)
            && Some(factors[1].len()) == width.checked_mul(columns);
        let factors = match factors {
            [Read::F32(left), Read::F32(right)] if fits => Typed::F32(Factors::new(left, right, columns, width)),
            [Read::Bf16(left), Read::Bf16(right)] if fits => Typed::Bf16(Factors::new(left, right, columns, width)),
            _ => return None,
        };
        Some(Sampled { factors, needed })
    }

    /// Lanes per row.
    pub(super) fn width(&self) -> usize {
        match &self.factors {
            Typed::F32(factors) => factors.width,
            Typed::Bf16(factors) => factors.width,
        }
    }

    /// Prepares to compute the values that these lanes read in `steps` steps at once.
    pub(super) fn part(&self, lanes: &Range<usize>, steps: usize) -> Part<'_> {
        let lists = Lists { width: self.width(), start: lanes.start, lanes: lanes.len(), ..Lists::default() };
        Part { factors: &self.factors, lists, values: vec![0.0; steps * lanes.len()], all: Vec::new() }
    }
}

impl<'a, E: Element> Factors<'a, E> {
    fn new(left: &'a [E], right: &'a [E], inner: usize, width: usize) -> Factors<'a, E> {
        let padded = inner.next_multiple_of(E::CHUNK);
        let right = if padded == inner { Cow::Borrowed(right) } else { Cow::Owned(with_zeros(right, inner, padded)) };
        Factors { left, right, inner, padded, width }
    }

    /// A row of the left factor; with zeros, it is copied to `space`.
    #[inline(always)]
    fn left<'s>(&'s self, row: usize, space: &'s mut [E]) -> &'s [E] {
        let from = &self.left[row * self.inner..][..self.inner];
        if self.inner == self.padded {
            return from;
        }
        space[..self.inner].copy_from_slice(from);
        &space[..self.padded]
    }

    #[inline(always)]
    fn right(&self, row: usize) -> &[E] {
        &self.right[row * self.padded..][..self.padded]
    }

    /// Computes the listed elements.
    #[inline(always)]
    fn listed(&self, set: impl InstructionSet, lists: &Lists, to: &mut [f32]) {
        let mut space = vec![E::default(); self.padded];
        let mut done: Vec<usize> = lists.rows.iter().map(|row| row.list.start).collect();
        // The right rows of a block stay in the cache while all left rows are multiplied by them.
        for columns in self.blocks() {
            for (row, done) in lists.rows.iter().zip(&mut done) {
                let rest = &lists.columns[*done..row.list.end];
                let list = &rest[..rest.partition_point(|column| (*column as usize) < columns.end)];
                *done += list.len();
                if !list.is_empty() {
                    let left = self.left(row.row, &mut space);
                    // Its products are 0, as all values are at first. Gradients are 0 where no later neuron was in its window.
                    if left.iter().any(|element| *element != E::default()) {
                        self.row(set, left, list, row.first, &mut to[row.to..]);
                    }
                }
            }
        }
    }

    /// Computes the listed columns of a row of the product; `to` starts with column `first`.
    #[inline(always)]
    fn row(&self, set: impl InstructionSet, left: &[E], list: &[u32], first: usize, to: &mut [f32]) {
        let (groups, rest) = list.as_chunks::<TOGETHER>();
        for columns in groups {
            let [sums] = dots(set, [left], columns.map(|column| self.right(column as usize)));
            for i in 0..TOGETHER {
                to[columns[i] as usize - first] = sums[i];
            }
        }
        for column in rest {
            let [[sum]] = dots(set, [left], [self.right(*column as usize)]);
            to[*column as usize - first] = sum;
        }
    }

    /// The columns of the product in blocks, whose right rows stay in the cache.
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<E> {
        let (width, size) = (self.width, (CACHED / (self.padded * size_of::<E>())).max(TOGETHER));
        (0..width).step_by(size).map(move |first| first..width.min(first + size))
    }

    /// Computes all elements of the listed rows, which are whole.
    #[inline(always)]
    fn whole(&self, set: impl InstructionSet, lists: &Lists, to: &mut [f32]) {
        let mut spaces = vec![E::default(); LEFT * self.padded];
        for columns in self.blocks() {
            for rows in lists.rows.chunks(LEFT) {
                let mut space = spaces.chunks_exact_mut(self.padded);
                let mut left = [&[] as &[E]; LEFT];
                for (i, left) in left.iter_mut().enumerate() {
                    // A missing row repeats the last one.
                    let row = rows[i.min(rows.len() - 1)].row;
                    *left = self.left(row, space.next().expect("one for each row"));
                }
                self.block(set, left, columns.clone(), rows, to);
            }
        }
    }

    /// Computes some columns of these rows of the product.
    #[inline(always)]
    fn block(&self, set: impl InstructionSet, left: [&[E]; LEFT], columns: Range<usize>, rows: &[Row], to: &mut [f32]) {
        let whole = columns.start + columns.len() / TOGETHER * TOGETHER;
        for column in (columns.start..whole).step_by(TOGETHER) {
            let sums = dots(set, left, [0, 1, 2, 3].map(|i| self.right(column + i)));
            for (row, sums) in rows.iter().zip(&sums) {
                to[row.to + column..][..TOGETHER].copy_from_slice(sums);
            }
        }
        for column in whole..columns.end {
            let sums = dots(set, left, [self.right(column)]);
            for (row, [sum]) in rows.iter().zip(&sums) {
                to[row.to + column] = *sum;
            }
        }
    }
}

fn with_zeros<E: Element>(rows: &[E], inner: usize, padded: usize) -> Vec<E> {
    let mut all = Vec::with_capacity(rows.len() / inner * padded);
    for row in rows.chunks_exact(inner) {
        all.extend_from_slice(row);
        all.resize(all.len() + padded - inner, E::default());
    }
    all
}

/// The needed elements, row by row.
#[derive(Debug, Default)]
struct Lists {
    /// Columns of the product.
    width: usize,
    /// The first lane, and their number.
    start: usize,
    lanes: usize,
    /// One after the other, in ascending order within a row; only the first `count` count.
    columns: Vec<u32>,
    count: usize,
    rows: Vec<Row>,
}

/// The part of a row of the product that is among the lanes.
#[derive(Debug)]
struct Row {
    row: usize,
    /// The first column of the part.
    first: usize,
    /// The place of the part among the values.
    to: usize,
    /// Its needed columns.
    list: Range<usize>,
}

impl Lists {
    /// Lists the needed ones of `W` lanes: those whose factor is not 0. `own` is the place of the first lane among the lanes, `at` its
    /// element in the sequence, `step` the number of steps before in this turn. A step's lanes come in order.
    #[inline(always)]
    fn add<const W: usize>(
        &mut self,
        set: impl InstructionSet,
        step: usize,
        [own, at]: [usize; 2],
        factors: &[f32; W],
    ) {
        let mut start = 0;
        while start < W {
            let (row, first) = ((at + start) / self.width, (at + start) % self.width);
            let end = W.min(start + self.width - first);
            if own + start == 0 || first == 0 {
                let list = self.count..self.count;
                self.rows.push(Row { row, first, to: step * self.lanes + own + start, list });
            }
            self.append(set, first, &factors[start..end]);
            self.rows.last_mut().expect("the first lane starts a row").list.end = self.count;
            start = end;
        }
    }

    /// Appends the columns from `first` on whose factor is not 0.
    #[inline(always)]
    fn append(&mut self, set: impl InstructionSet, first: usize, factors: &[f32]) {
        // Space for one column of each factor, and for what is written behind the last one.
        let most = self.count + factors.len() + 16;
        if self.columns.len() < most {
            self.columns.resize(2 * most, 0);
        }
        let (groups, rest) = factors.as_chunks::<16>();
        for (group, factors) in groups.iter().enumerate() {
            let Some(to) = self.columns[self.count..].first_chunk_mut() else { return };
            self.count += set.places(factors, (first + 16 * group) as u32, to);
        }
        let before = 16 * groups.len();
        for (i, factor) in rest.iter().enumerate() {
            self.columns[self.count] = (first + before + i) as u32;
            self.count += usize::from(*factor != 0.0);
        }
    }

    fn are_whole_rows(&self) -> bool {
        self.start.is_multiple_of(self.width) && self.lanes.is_multiple_of(self.width)
    }

    /// Copies the listed ones of all values.
    fn copy(&self, all: &[f32], to: &mut [f32]) {
        for row in &self.rows {
            for column in &self.columns[row.list.clone()] {
                let at = row.to + *column as usize - row.first;
                to[at] = all[at];
            }
        }
    }
}

/// The values that a range of lanes reads in some steps.
#[derive(Debug)]
pub(super) struct Part<'a> {
    factors: &'a Typed<'a>,
    lists: Lists,
    values: Vec<f32>,
    /// Space for all values, if most are needed.
    all: Vec<f32>,
}

impl Part<'_> {
    /// Forgets the steps before.
    pub(super) fn clear(&mut self) {
        self.lists.count = 0;
        self.lists.rows.clear();
    }

    /// Lists the needed ones of `W` lanes: see [`Lists::add`].
    #[inline(always)]
    pub(super) fn list<const W: usize>(
        &mut self,
        set: impl InstructionSet,
        step: usize,
        at: [usize; 2],
        factors: &[f32; W],
    ) {
        self.lists.add(set, step, at, factors);
    }

    /// Computes the listed values; the others are 0.
    #[inline(always)]
    pub(super) fn compute(&mut self, set: impl InstructionSet) {
        let Part { factors, lists, values, all } = self;
        let dense = lists.count as f64 > DENSE * values.len() as f64 && lists.are_whole_rows();
        values.fill(0.0);
        if dense {
            all.resize(values.len(), 0.0);
            match factors {
                Typed::F32(factors) => factors.whole(set, lists, all),
                Typed::Bf16(factors) => factors.whole(set, lists, all),
            }
            lists.copy(all, values);
            return;
        }
        match factors {
            Typed::F32(factors) => factors.listed(set, lists, values),
            Typed::Bf16(factors) => factors.listed(set, lists, values),
        }
    }

    /// The values of a step, from a lane on.
    #[inline(always)]
    pub(super) fn values(&self, step: usize, own: usize) -> &[f32] {
        &self.values[step * self.lists.lanes + own..]
    }
}
