//! Every pair of quantized types, for every kind of operand, compared with a simple f64 model of quantization: values on a grid,
//! scales, sums. Forward in training, afterwards from stored weights, and the gradient.
//!
//! If a scaled value is so close to the midpoint between two of a type's values that f32 may round either way, the model allows both:
//! it uses interval arithmetic.

use super::model::{Interval, Matrix, Model};
use crate::evaluate::execute;
use spiq::config::RuleConfig;
use spiq::quant::{Mode, Numerics, QType, Quantized, Rules, quantize, split_stored};
use spiq::random::Key;
use spiq::{Array, ConvDims, Convolution, DType, Function, Tensor, trace, vjp};

/// Rows of the activations, inner dimension, columns of the weights. The inner dimension is a multiple of every type's tile.
const SHAPES: [[usize; 3]; 2] = [[3, 32, 4], [1, 1, 2]];

/// A kind of operand: its storage type, its values, and the integer range that follows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// 0 or 1, from a comparison.
    Spikes,
    /// 0 to 3, and 0 to 7: sums of spikes.
    Counts(usize),
    /// Any byte.
    Bytes,
    /// -1, 0 or 1.
    Signs,
    Reals,
    /// Zeros of unknown range.
    Zeros,
    /// Zeros that are known to be zero.
    NoSpikes,
    /// The same number everywhere.
    OneValue,
    Negative,
}

const KINDS: [Kind; 10] = [
    Kind::Spikes,
    Kind::Counts(3),
    Kind::Counts(7),
    Kind::Bytes,
    Kind::Signs,
    Kind::Reals,
    Kind::Zeros,
    Kind::NoSpikes,
    Kind::OneValue,
    Kind::Negative,
];

/// Kinds of weights, which never have a known range.
const WEIGHTS: [Kind; 4] = [Kind::Reals, Kind::Zeros, Kind::OneValue, Kind::Negative];

impl Kind {
    /// The program's input.
    fn given(self, rows: usize, columns: usize, seed: i64) -> Array {
        let key = Key::new(seed);
        let numbers = |low, high| key.uniform(rows * columns, low, high);
        let floats = |values: Vec<f32>| Array::new([rows, columns], values).expect("a matrix");
        match self {
            Kind::Spikes => floats(numbers(-1.0, 1.0)),
            Kind::Counts(most) => {
                Array::new([most, rows, columns], key.uniform(most * rows * columns, -1.0, 1.0)).expect("layers")
            }
            Kind::Bytes => {
                let bytes: Vec<i8> = numbers(-128.0, 128.0).iter().map(|x| x.floor() as i8).collect();
                Array::new([rows, columns], bytes).expect("a matrix")
            }
            Kind::Signs => floats(numbers(-3.0, 3.0).iter().map(|x| if x.abs() < 1.0 { 0.0 } else { *x }).collect()),
            Kind::Reals => floats(numbers(-1.7, 1.7)),
            Kind::Zeros | Kind::NoSpikes => floats(vec![0.0; rows * columns]),
            Kind::OneValue => floats(vec![0.37; rows * columns]),
            Kind::Negative => floats(numbers(-2.1, -0.1)),
        }
    }

    /// Computes the operand from the given array, in a program.
    fn made(self, given: &Tensor) -> Tensor {
        match self {
            Kind::Spikes => given.gt(0.0).convert(DType::F32),
            Kind::Counts(_) => given.gt(0.0).convert(DType::F32).reduce_sum([0]),
            Kind::Bytes => given.convert(DType::F32),
            Kind::Signs => given.gt(0.0).convert(DType::F32) - given.lt(0.0).convert(DType::F32),
            Kind::NoSpikes => given.zeros_like(),
            Kind::Reals | Kind::Zeros | Kind::OneValue | Kind::Negative => given.clone(),
        }
    }

    /// The same on the host.
    fn values(self, given: &Array, rows: usize, columns: usize) -> Matrix {
        let given = given.to_f64();
        let spike = |x: f64| f64::from(u8::from(x > 0.0));
        let value = |i: usize| match self {
            Kind::Spikes => spike(given[i]),
            Kind::Counts(most) => (0..most).map(|layer| spike(given[layer * rows * columns + i])).sum(),
            Kind::Signs => spike(given[i]) - spike(-given[i]),
            _ => given[i],
        };
        Matrix { rows, columns, values: (0..rows * columns).map(value).collect() }
    }

    /// The operand's integer range, if the program can prove it.
    fn known(self) -> Option<(i64, i64)> {
        match self {
            Kind::Spikes => Some((0, 1)),
            Kind::Counts(most) => Some((0, most as i64)),
            Kind::Bytes => Some((-128, 127)),
            Kind::Signs => Some((-1, 1)),
            Kind::NoSpikes => Some((0, 0)),
            _ => None,
        }
    }

    fn is_differentiable(self) -> bool {
        self.known().is_none()
    }
}

/// Activations, weights, and a cotangent of their product.
struct Case {
    shape: [usize; 3],
    x: Kind,
    w: Kind,
    /// Whether the product is a convolution over single-pixel images: the same numbers with the same scales.
    conv: bool,
    /// The gradient type.
    bwd: Option<QType>,
    given: [Array; 3],
}

impl Case {
    fn new(shape: [usize; 3], x: Kind, w: Kind) -> Case {
        let [rows, inner, columns] = shape;
        let given = [x.given(rows, inner, 1), w.given(inner, columns, 2), Kind::Reals.given(rows, columns, 3)];
        Case { shape, x, w, conv: false, bwd: None, given }
    }

    /// The products of a weight's type with each activation type, each under its own name.
    fn program(&self, count: usize) -> Function {
        let inputs = [("x", self.given[0].ty().clone()), ("w", self.given[1].ty().clone())];
        let product = |a: &[Tensor], i: usize| {
            let x = self.x.made(&a[0]);
            a[0].graph().scope(&format!("act{i}"), || if self.conv { convolved(&x, &a[1]) } else { x.dot(&a[1]) })
        };
        trace(&inputs, |a| (0..count).map(|i| product(a, i)).collect()).expect("products")
    }

    fn quantized(&self, weight: QType, acts: &[Option<QType>], mode: Mode, numerics: Numerics) -> Quantized {
        let rule = |(i, act): (usize, &Option<QType>)| RuleConfig {
            module_path: format!("act{i}"),
            weight_qtype: Some(weight.to_string()),
            act_qtype: act.map(|act| act.to_string()),
            bwd_qtype: self.bwd.map(|bwd| bwd.to_string()),
            ..RuleConfig::default()
        };
        let rules: Vec<RuleConfig> = acts.iter().enumerate().map(rule).collect();
        let rules = Rules::new(&rules).expect("rules");
        quantize(&self.program(acts.len()), &rules, mode, numerics, |name| name == "w").expect("quantizes")
    }

    /// The products, then for each the gradient of the weights and, if it has one, of the activations.
    fn with_gradients(&self, function: &Function) -> Function {
        let [x, w, ct] = ["x", "w", "ct"];
        let inputs = [x, w, ct].into_iter().zip(self.given.iter().map(|a| a.ty().clone())).collect::<Vec<_>>();
        let traced = trace(&inputs, |a| {
            let ys = function.call(a[0].graph(), &a[..2]);
            let wrt: Vec<Tensor> =
                if self.x.is_differentiable() { vec![a[1].clone(), a[0].clone()] } else { vec![a[1].clone()] };
            let grads = ys.iter().flat_map(|y| vjp(std::slice::from_ref(y), &[Some(a[2].clone())], &wrt)).collect();
            [ys.clone(), grads].concat()
        });
        traced.expect("a gradient")
    }

    /// Whether stored weights are also compared: they do not depend on how the activations were made.
    fn is_stored(&self) -> bool {
        self.bwd.is_none() && matches!(self.x, Kind::Spikes | Kind::Reals)
    }

    fn name(&self, weight: QType, act: Option<QType>, numerics: Numerics) -> String {
        let act = act.map_or("f32".to_owned(), |act| act.to_string());
        let bwd = self.bwd.map_or(String::new(), |bwd| format!(", gradients {bwd}"));
        let op = if self.conv { "convolved with" } else { "x" };
        format!("{:?} {act} {op} {:?} {weight}, {:?}, {numerics}{bwd}", self.x, self.w, self.shape)
    }
}

/// A matrix product as a convolution.
fn convolved(x: &Tensor, w: &Tensor) -> Tensor {
    let ([rows, inner], columns) = ([x.dims()[0], x.dims()[1]], w.dims()[1]);
    let conv = Convolution::new(ConvDims::features_last(3), DType::F32);
    let y = x.reshape(&[rows, 1, inner]).convolution(&w.reshape(&[1, inner, columns]), &conv);
    y.reshape(&[rows, columns])
}

/// The activation types that can be combined with a weight's type: they must share its tile.
fn partners(weight: QType, inner: usize) -> Vec<Option<QType>> {
    let tile = |qtype: QType| qtype.tile();
    let fits = |act: &QType| {
        let tiles: Vec<usize> = [tile(weight), tile(*act)].into_iter().flatten().collect();
        tiles.windows(2).all(|pair| pair[0] == pair[1]) && tiles.iter().all(|tile| inner.is_multiple_of(*tile))
    };
    let all = QType::ALL.into_iter().filter(fits).map(Some);
    std::iter::once(None).filter(|_| tile(weight).is_none_or(|tile| inner.is_multiple_of(tile))).chain(all).collect()
}

/// The numbers of compared pairs, of results, and of results for which the model allows only one value.
#[derive(Default)]
struct Tally {
    pairs: usize,
    numbers: usize,
    sharp: usize,
}

impl Tally {
    #[track_caller]
    fn compare(&mut self, what: &str, got: &[f64], wanted: &[Interval], size: f64) {
        assert_eq!(got.len(), wanted.len(), "{what}");
        let slack = 2e-5 * size + 1e-30;
        for (i, (got, want)) in got.iter().zip(wanted).enumerate() {
            let inside = want.low - slack <= *got && *got <= want.high + slack;
            assert!(inside, "{what}[{i}]: {got}, want {} to {} ({slack})", want.low, want.high);
            self.numbers += 1;
            self.sharp += usize::from(want.high - want.low <= slack);
        }
    }
}

/// The products after training, computed from stored weights by splitting off their quantization.
fn from_stored(case: &Case, weight: QType, acts: &[Option<QType>], numerics: Numerics) -> Vec<Array> {
    let after = case.quantized(weight, acts, Mode::Ptq, numerics);
    let stored = split_stored(&after.function);
    let prepared = execute(&stored.prepare, &[&case.given[1]]);
    let (mut parts, mut rest) = (Vec::new(), prepared.as_slice());
    for weight in &stored.weights {
        // The original, then its parts.
        let own = stored.parts.iter().filter(|(name, _)| name.starts_with(&format!("{}/", weight.path))).count();
        parts.extend(&rest[1..=own]);
        rest = &rest[1 + own..];
    }
    let x = stored.run.input_names().iter().filter(|name| *name == "x").map(|_| &case.given[0]);
    execute(&stored.run, &x.chain(parts).collect::<Vec<_>>())
}

fn check(case: &Case, weight: QType, numerics: Numerics, tally: &mut Tally) {
    let [rows, inner, columns] = case.shape;
    let mut acts = partners(weight, inner);
    // A convolution has no axis to split into tiles.
    acts.retain(|act| !case.conv || act.iter().chain([&weight]).all(|qtype| qtype.tile().is_none()));
    if acts.is_empty() {
        return;
    }
    let trained = case.quantized(weight, &acts, Mode::Qat, numerics);
    let results = execute(&case.with_gradients(&trained.function), &case.given.each_ref());
    let (ys, grads) = results.split_at(acts.len());

    let from_stored = case.is_stored().then(|| from_stored(case, weight, &acts, numerics));
    let (x, w) = (case.x.values(&case.given[0], rows, inner), case.w.values(&case.given[1], inner, columns));
    let ct = Kind::Reals.values(&case.given[2], rows, columns);
    let each = grads.len() / acts.len();
    for (i, act) in acts.iter().enumerate() {
        let name = case.name(weight, *act, numerics);
        let stored = from_stored.as_ref().map(|results| &results[i]);
        assert!(stored.is_none_or(|y| y.bytes() == ys[i].bytes()), "{name}: other bits from stored weights");
        let model = Model::of(weight, *act);
        let known = case.x.known().filter(|_| numerics == Numerics::Exact);
        let (y, size) = model.product(&x, known, &w);
        tally.compare(&name, &ys[i].to_f64(), &y, size);
        let gradients = match case.bwd {
            Some(bwd) => model.gradients(bwd, &x, known, &w, &ct),
            // Straight-through: the gradients of the product of the unrounded operands.
            None => [x.transposed().times(&ct), ct.times(&w.transposed())].map(|plain| {
                let size = plain.values.iter().fold(0f64, |m, v| m.max(v.abs()));
                (plain.values.iter().map(|&v| Interval::of(v)).collect(), size)
            }),
        };
        for (gradient, (want, size)) in grads[each * i..each * (i + 1)].iter().zip(gradients) {
            tally.compare(&format!("{name}, gradient"), &gradient.to_f64(), &want, size);
        }
        tally.pairs += 1;
    }
}

fn check_all(numerics: Numerics, shape: [usize; 3], xs: &[Kind], ws: &[Kind]) -> Tally {
    let mut tally = Tally::default();
    for &x in xs {
        for &w in ws {
            let case = Case::new(shape, x, w);
            for weight in QType::ALL.into_iter().filter(|weight| *weight != QType::Binary) {
                check(&case, weight, numerics, &mut tally);
            }
        }
    }
    println!("{numerics} {shape:?}: {} pairs, {} numbers, {} of them sharp", tally.pairs, tally.numbers, tally.sharp);
    tally
}

#[test]
fn spikes_and_counts() {
    let tally = check_all(Numerics::Exact, SHAPES[0], &KINDS[..5], &WEIGHTS[..1]);
    assert!(tally.pairs > 1000 && tally.sharp * 10 > tally.numbers * 9);
}

#[test]
fn reals_and_constants() {
    let tally = check_all(Numerics::Exact, SHAPES[0], &KINDS[5..], &WEIGHTS[..1]);
    assert!(tally.pairs > 1000 && tally.sharp * 10 > tally.numbers * 7);
}

#[test]
fn every_kind_of_weight() {
    check_all(Numerics::Exact, SHAPES[0], &[Kind::Reals], &WEIGHTS[1..]);
}

/// One element per scale, on both sides.
#[test]
fn one_element() {
    check_all(Numerics::Exact, SHAPES[1], &[Kind::Spikes, Kind::Reals, Kind::Negative], &[Kind::Reals, Kind::Negative]);
}

/// With qwix numerics, spikes are rounded like other numbers.
#[test]
fn in_qwix_numerics() {
    check_all(Numerics::Qwix, SHAPES[0], &[Kind::Spikes, Kind::Counts(7)], &WEIGHTS[..1]);
}

#[test]
fn convolutions() {
    let mut tally = Tally::default();
    for (shape, x) in [(SHAPES[0], Kind::Spikes), (SHAPES[0], Kind::Counts(7)), (SHAPES[1], Kind::Negative)] {
        for weight in QType::ALL.into_iter().filter(|weight| *weight != QType::Binary) {
            let case = Case { conv: true, ..Case::new(shape, x, Kind::Reals) };
            check(&case, weight, Numerics::Exact, &mut tally);
        }
    }
    println!("convolutions: {} pairs, {} numbers, {} of them sharp", tally.pairs, tally.numbers, tally.sharp);
    assert!(tally.pairs > 400 && tally.sharp * 10 > tally.numbers * 7);
}

/// Gradients in each possible type, for each activation type; and in int8, for each weight type.
#[test]
fn gradients_in_a_type() {
    let bwds = QType::ALL.into_iter().filter(|bwd| bwd.tile().is_none() && *bwd != QType::Binary);
    let of_gradients: Vec<(QType, QType)> = bwds.map(|bwd| (bwd, QType::Int(8))).collect();
    let weights = QType::ALL.into_iter().filter(|weight| *weight != QType::Binary);
    let of_weights: Vec<(QType, QType)> = weights.map(|weight| (QType::Int(8), weight)).collect();
    let mut tally = Tally::default();
    for (pairs, shape, x) in [
        (&of_gradients, SHAPES[0], Kind::Spikes),
        (&of_weights, SHAPES[0], Kind::Reals),
        (&of_gradients, SHAPES[1], Kind::Negative),
    ] {
        for &(bwd, weight) in pairs {
            let case = Case { bwd: Some(bwd), ..Case::new(shape, x, Kind::Reals) };
            check(&case, weight, Numerics::Exact, &mut tally);
        }
    }
    println!("gradients: {} pairs, {} numbers, {} of them sharp", tally.pairs, tally.numbers, tally.sharp);
    // The most negative number of a row lies between two integers, which gives many sums two possible results.
    assert!(tally.pairs > 500 && tally.sharp * 2 > tally.numbers);
}
