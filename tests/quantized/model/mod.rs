//! A simple f64 model of quantization: a type is a list of numbers, a scale maps values onto them, and the nearest is chosen. Shares no
//! code with the implementation.

use spiq::quant::QType;

/// The values that f32 rounding may produce for a number.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    pub fn of(value: f64) -> Interval {
        Interval { low: value, high: value }
    }

    fn times(self, other: Interval) -> Interval {
        let all = [self.low * other.low, self.low * other.high, self.high * other.low, self.high * other.high];
        Interval {
            low: all.iter().copied().fold(f64::MAX, f64::min),
            high: all.iter().copied().fold(f64::MIN, f64::max),
        }
    }
}

/// A row-major matrix.
#[derive(Clone, Debug)]
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f64>,
}

impl Matrix {
    pub fn transposed(&self) -> Matrix {
        let value = |i: usize| self.values[(i % self.rows) * self.columns + i / self.rows];
        Matrix { rows: self.columns, columns: self.rows, values: (0..self.values.len()).map(value).collect() }
    }

    pub fn times(&self, other: &Matrix) -> Matrix {
        let at = |i: usize, j: usize| {
            (0..self.columns).map(|k| self.values[i * self.columns + k] * other.values[k * other.columns + j]).sum()
        };
        let values = (0..self.rows).flat_map(|i| (0..other.columns).map(move |j| (i, j))).map(|(i, j)| at(i, j));
        Matrix { rows: self.rows, columns: other.columns, values: values.collect() }
    }
}

/// The numbers of a type, in order.
pub fn numbers(qtype: QType) -> Vec<f64> {
    match qtype {
        QType::Int(bits) => (-(1 << (bits - 1))..1 << (bits - 1)).map(f64::from).collect(),
        QType::Ternary => vec![-1.0, 0.0, 1.0],
        QType::Int1 => vec![-1.0, 1.0],
        QType::Binary => vec![0.0, 1.0],
        // bitsandbytes' table.
        QType::Nf4 => vec![
            -1.0,
            -0.6961928009986877,
            -0.5250730514526367,
            -0.39491748809814453,
            -0.28444138169288635,
            -0.18477343022823334,
            -0.09105003625154495,
            0.0,
            0.07958029955625534,
            0.16093020141124725,
            0.24611230194568634,
            0.33791524171829224,
            0.44070982933044434,
            0.5626170039176941,
            0.7229568362236023,
            1.0,
        ],
        QType::E4m3fn | QType::Mxfp8 => floats(4, 3, 448.0),
        QType::E5m2 => floats(5, 2, 57344.0),
        QType::Mxfp4 | QType::Nvfp4 => floats(2, 1, 6.0),
    }
}

/// The floats with these numbers of exponent and mantissa bits, up to the largest.
fn floats(exponent: i32, mantissa: i32, largest: f64) -> Vec<f64> {
    let (bias, steps) = ((1 << (exponent - 1)) - 1, 1 << mantissa);
    let value = |code: i32| {
        let (power, part) = (code / steps, f64::from(code % steps) / f64::from(steps));
        if power == 0 { part * 2f64.powi(1 - bias) } else { (1.0 + part) * 2f64.powi(power - bias) }
    };
    let up: Vec<f64> = (1..steps << exponent).map(value).filter(|v| *v <= largest).collect();
    up.iter().rev().map(|v| -v).chain([0.0]).chain(up.iter().copied()).collect()
}

/// The nearest of the numbers to a value; both if there is a tie.
fn nearest(numbers: &[f64], value: f64) -> Interval {
    let distance = |n: &f64| (n - value).abs();
    let least = numbers.iter().map(distance).fold(f64::MAX, f64::min);
    let near = |n: &&f64| distance(n) <= least + 2e-6 * value.abs();
    let all: Vec<f64> = numbers.iter().filter(near).copied().collect();
    Interval { low: all[0], high: all[all.len() - 1] }
}

/// A pair of types.
pub struct Model {
    weight: QType,
    act: Option<QType>,
}

impl Model {
    pub fn of(weight: QType, act: Option<QType>) -> Model {
        Model { weight, act }
    }

    /// The product of activations (with this known integer range) and weights, and the magnitude to which errors are relative.
    pub fn product(&self, x: &Matrix, known: Option<(i64, i64)>, w: &Matrix) -> Product {
        let tile = self.act.and_then(QType::tile).or(self.weight.tile());
        let columns = w.transposed();
        let left = match self.act {
            Some(act) if !known.is_some_and(|known| holds(act, known)) => rounded(x, act, tile),
            _ => x.values.iter().map(|&v| Interval::of(v)).collect(),
        };
        let right = rounded(&columns, self.weight, tile);
        products(x.rows, w.columns, x.columns, |i, j, k| left[i * x.columns + k].times(right[j * x.columns + k]))
    }
}

/// An operand of a product as the gradient uses it: levels, and for each row the scale that the gradient adopts.
struct Residual {
    levels: Vec<Interval>,
    scales: Vec<f64>,
}

impl Model {
    /// The gradients of weights and activations in their own type: the cotangent adopts the scale of the operand it is multiplied with,
    /// and is rounded with a scale for each row or column that the product keeps.
    pub fn gradients(
        &self,
        bwd: QType,
        x: &Matrix,
        known: Option<(i64, i64)>,
        w: &Matrix,
        ct: &Matrix,
    ) -> [Product; 2] {
        let left = self.residual(x, self.act.filter(|act| !known.is_some_and(|known| holds(*act, known))));
        let right = self.residual(&w.transposed(), Some(self.weight));
        let scaled = |scale: &dyn Fn(usize, usize) -> f64| {
            let values = ct.values.iter().enumerate();
            let values = values.map(|(at, value)| value * scale(at / ct.columns, at % ct.columns)).collect();
            Matrix { values, ..ct.clone() }
        };
        let by_column = rounded(&scaled(&|i, _| left.scales[i]).transposed(), bwd, None);
        let by_row = rounded(&scaled(&|_, j| right.scales[j]), bwd, None);
        let [rows, inner, columns] = [x.rows, x.columns, w.columns];
        let of_weights =
            products(inner, columns, rows, |k, j, i| left.levels[i * inner + k].times(by_column[j * rows + i]));
        let of_activations =
            products(rows, inner, columns, |i, k, j| by_row[i * columns + j].times(right.levels[j * inner + k]));
        [of_weights, of_activations]
    }

    /// Rows in a type; unrounded if there is no type, or if scales lie along an axis that the gradient lacks.
    fn residual(&self, matrix: &Matrix, qtype: Option<QType>) -> Residual {
        let tile = self.act.and_then(QType::tile).or(self.weight.tile());
        let whole = tile.is_none_or(|tile| tile == matrix.columns);
        match qtype.filter(|qtype| whole && qtype.tile().is_none()) {
            Some(qtype) => {
                let rows = matrix.values.chunks(matrix.columns);
                let scales: Vec<f64> = rows.clone().map(|row| scale(row, qtype)).collect();
                let levels = rows.zip(&scales).flat_map(|(row, scale)| levels(row, *scale, qtype)).collect();
                Residual { levels, scales }
            }
            None => Residual {
                levels: matrix.values.iter().map(|&value| Interval::of(value)).collect(),
                scales: vec![1.0; matrix.rows],
            },
        }
    }
}

/// A product's elements, and the magnitude to which errors are relative.
pub type Product = (Vec<Interval>, f64);

fn products(rows: usize, columns: usize, inner: usize, term: impl Fn(usize, usize, usize) -> Interval) -> Product {
    let (mut all, mut size) = (Vec::new(), 0f64);
    for i in 0..rows {
        for j in 0..columns {
            let terms: Vec<Interval> = (0..inner).map(|k| term(i, j, k)).collect();
            size = size.max(terms.iter().map(|t| t.low.abs().max(t.high.abs())).sum());
            all.push(Interval { low: terms.iter().map(|t| t.low).sum(), high: terms.iter().map(|t| t.high).sum() });
        }
    }
    (all, size)
}

/// Whether a type contains all integers of a range, so that they stay exact. The one-bit type also holds 0 and 1.
fn holds(qtype: QType, (low, high): (i64, i64)) -> bool {
    let numbers = if qtype == QType::Int1 { vec![0.0, 1.0] } else { numbers(qtype) };
    (low..=high).all(|integer| numbers.contains(&(integer as f64)))
}

/// Each row in a type, with a scale per tile.
fn rounded(matrix: &Matrix, qtype: QType, tile: Option<usize>) -> Vec<Interval> {
    let tile = tile.unwrap_or(matrix.columns);
    matrix.values.chunks(tile).flat_map(|values| of_one_scale(values, qtype)).collect()
}

fn of_one_scale(values: &[f64], qtype: QType) -> Vec<Interval> {
    let scale = scale(values, qtype);
    let scaled = |level: Interval| Interval { low: level.low * scale, high: level.high * scale };
    levels(values, scale, qtype).into_iter().map(scaled).collect()
}

fn levels(values: &[f64], scale: f64, qtype: QType) -> Vec<Interval> {
    let numbers = numbers(qtype);
    let level = |&value: &f64| match qtype {
        // The sign, without a division.
        QType::Int1 => Interval::of(if value >= 0.0 { 1.0 } else { -1.0 }),
        _ => nearest(&numbers, value / scale),
    };
    values.iter().map(level).collect()
}

/// The value of level 1.
fn scale(values: &[f64], qtype: QType) -> f64 {
    let largest = values.iter().fold(0f64, |m, v| m.max(v.abs()));
    let mean = values.iter().map(|v| v.abs()).sum::<f64>() / values.len() as f64;
    let usable = |scale: f64| if scale < 1e-19 { 1.0 } else { scale };
    match qtype {
        // The outermost bucket ends half a step beyond the largest level.
        QType::Int(bits) => usable(largest / (2f64.powi(i32::from(bits) - 1) - 0.5)),
        QType::Nf4 => usable(largest),
        QType::E4m3fn => usable(largest / 448.0),
        QType::E5m2 => usable(largest / 57344.0),
        QType::Mxfp8 => usable(largest / 448.0).log2().ceil().exp2(),
        QType::Mxfp4 => usable(largest / 6.0).log2().ceil().exp2(),
        // Its scale is an 8-bit float, and not 0.
        QType::Nvfp4 => nearest(&floats(4, 3, 448.0), usable(largest / 6.0)).low.max(2f64.powi(-9)),
        QType::Ternary => usable(mean),
        QType::Int1 => mean,
        QType::Binary => 1.0,
    }
}
