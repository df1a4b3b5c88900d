//! Runs every sample of every operation: its values, its gradient compared with central differences, and its mapping compared with one
//! run per slice.

use crate::run::Program;
use spiq::{Array, DType, TensorType};
use spiq_hlo::{ConvDims, Convolution, Function, Sample, Tensor, samples, trace, vjp, vmap};

type Check = Result<(), String>;

/// Checks all selected samples and reports every failure.
#[track_caller]
fn each(chosen: impl Fn(&Sample) -> bool, check: impl Fn(&Sample) -> Check) {
    let failures: Vec<String> = samples()
        .iter()
        .filter(|sample| chosen(sample))
        .filter_map(|sample| check(sample).err().map(|e| format!("{}: {e}", sample.name)))
        .collect();
    assert!(failures.is_empty(), "{} samples fail\n{}", failures.len(), failures.join("\n\n"));
}

/// A portable random generator (Knuth's MMIX constants); numbers in [0, 1).
pub(super) struct Draw(pub(super) u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn array(&mut self, ty: &TensorType, low: f64, high: f64) -> Array {
        let scale =
            |u: f64| if ty.dtype.is_float() { low + u * (high - low) } else { (low + u * (high - low)).round() };
        let values: Vec<f64> = (0..ty.count()).map(|_| scale(self.next())).collect();
        Array::from_f64(ty.clone(), &values).expect("as many values as elements")
    }

    pub(super) fn inputs(&mut self, sample: &Sample) -> Vec<Array> {
        sample.inputs.iter().map(|(ty, domain)| self.array(ty, domain.low, domain.high)).collect()
    }
}

pub(super) fn traced(types: &[TensorType], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Result<Function, String> {
    let inputs: Vec<_> = types.iter().map(|ty| ("x", ty.clone())).collect();
    trace(&inputs, f).map_err(|e| e.to_string())
}

pub(super) fn input_types(sample: &Sample) -> Vec<TensorType> {
    sample.inputs.iter().map(|(ty, _)| ty.clone()).collect()
}

fn forward(sample: &Sample) -> Result<(Function, Program), String> {
    let function = traced(&input_types(sample), |x| (sample.build)(x))?;
    let program = Program::shared(&function)?;
    Ok((function, program))
}

/// Reverse-mode gradients of a program with respect to its f64 inputs, given a cotangent per f64 output.
fn reversed(
    inputs: &[TensorType],
    outputs: &[TensorType],
    build: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
) -> Result<Function, String> {
    let cts = outputs.iter().filter(|ty| ty.dtype == DType::F64);
    let types: Vec<TensorType> = inputs.iter().chain(cts).cloned().collect();
    traced(&types, |x| {
        let (x, cts) = x.split_at(inputs.len());
        let mut cts = cts.iter().cloned();
        let y = build(x);
        let cts: Vec<Option<Tensor>> =
            y.iter().map(|y| if y.dtype() == DType::F64 { cts.next() } else { None }).collect();
        let wrt: Vec<Tensor> = x.iter().filter(|x| x.dtype() == DType::F64).cloned().collect();
        vjp(&y, &cts, &wrt)
    })
}

fn reverse(sample: &Sample, outputs: &[TensorType]) -> Result<Function, String> {
    reversed(&input_types(sample), outputs, |x| (sample.build)(x))
}

fn gradient_of(function: &Function) -> Result<Function, String> {
    reversed(&function.input_types(), &function.result_types(), |x| function.call(x[0].graph(), x))
}

/// The inner product of the f64 outputs with their cotangents, whose gradient reverse mode computes.
fn projected(outputs: &[Array], cts: &[Array]) -> f64 {
    let floats = outputs.iter().filter(|y| y.dtype() == DType::F64);
    floats.zip(cts).map(|(y, ct)| y.to_f64().iter().zip(ct.to_f64()).map(|(y, c)| y * c).sum::<f64>()).sum()
}

fn nudged(inputs: &[Array], input: usize, element: usize, by: f64) -> Vec<Array> {
    let mut values = inputs[input].to_f64();
    values[element] += by;
    let mut inputs = inputs.to_vec();
    inputs[input] = Array::from_f64(inputs[input].ty().clone(), &values).expect("the same shape");
    inputs
}

/// Compares the gradient of `outputs · cts` with central differences of `program`.
fn check_differences(inputs: &[Array], cts: &[Array], program: &Program, grads: &[Array]) -> Check {
    const STEP: f64 = 1e-5;
    let wrt = (0..inputs.len()).filter(|&i| inputs[i].dtype() == DType::F64);
    for (input, grad) in wrt.zip(grads) {
        for (element, got) in grad.to_f64().into_iter().enumerate() {
            let at = |by| Ok::<_, String>(projected(&program.run(&nudged(inputs, input, element, by))?, cts));
            let wanted = (at(STEP)? - at(-STEP)?) / (2.0 * STEP);
            if (got - wanted).abs() > 1e-7 * (1.0 + wanted.abs()) {
                return Err(format!("d/dx[{input}][{element}] is {wanted}, got {got}; inputs {inputs:?}"));
            }
        }
    }
    Ok(())
}

/// Random cotangents for the f64 outputs.
fn draw_cotangents(draw: &mut Draw, outputs: &[TensorType]) -> Vec<Array> {
    let floats = outputs.iter().filter(|ty| ty.dtype == DType::F64);
    floats.map(|ty| draw.array(ty, -1.0, 1.0)).collect()
}

fn check_gradient(sample: &Sample) -> Check {
    let mut draw = Draw(1);
    let (function, program) = forward(sample)?;
    let outputs = function.result_types();
    let inputs = draw.inputs(sample);
    let cts = draw_cotangents(&mut draw, &outputs);
    let grads = Program::shared(&reverse(sample, &outputs)?)?.run(&[&inputs[..], &cts].concat())?;
    check_differences(&inputs, &cts, &program, &grads)
}

/// The second gradient, which also depends on the cotangents of the first backward pass.
fn check_second_gradient(sample: &Sample) -> Check {
    let mut draw = Draw(5);
    let outputs = traced(&input_types(sample), |x| (sample.build)(x))?.result_types();
    let first = reverse(sample, &outputs)?;
    let inputs = [draw.inputs(sample), draw_cotangents(&mut draw, &outputs)].concat();
    let seconds = draw_cotangents(&mut draw, &first.result_types());
    let second = Program::unoptimized(&gradient_of(&first)?)?;
    let grads = second.run(&[&inputs[..], &seconds].concat())?;
    check_differences(&inputs, &seconds, &Program::shared(&first)?, &grads)
}

/// The slices of an array along axis 0.
fn slices(array: &Array) -> Vec<Array> {
    let ty = array.ty().with_dims(&array.dims()[1..]);
    let bytes = ty.count() * ty.dtype.host_bytes();
    array.bytes().chunks_exact(bytes).map(|b| Array::from_bytes(ty.clone(), b).expect("one slice")).collect()
}

/// Whether two arrays are equal up to rounding.
fn close(a: &[f64], b: &[f64]) -> bool {
    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-12 * (1.0 + b.abs());
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// The mapped size.
const SIZE: usize = 3;

/// A sample mapped over some of its inputs; the others are shared by all slices.
fn mapped_over(sample: &Sample, x: &[Tensor], mapped: &[bool]) -> Vec<Tensor> {
    let chosen: Vec<Tensor> = x.iter().zip(mapped).filter(|(_, m)| **m).map(|(x, _)| x.clone()).collect();
    vmap(&chosen, |slices: Vec<Tensor>| {
        let mut slices = slices.into_iter();
        let pick = |(x, m): (&Tensor, &bool)| if *m { slices.next().expect("one each") } else { x.clone() };
        (sample.build)(&x.iter().zip(mapped).map(pick).collect::<Vec<_>>())
    })
}

/// Maps over several subsets of the inputs (in one program, compiled once), and compares with runs per slice.
fn check_mappings(sample: &Sample, program: &Program, ways: &[Vec<bool>]) -> Check {
    let count = sample.inputs.len();
    let widen = |(ty, mapped): (TensorType, &bool)| match mapped {
        true => ty.with_dims([&[SIZE], &ty.dims[..]].concat()),
        false => ty,
    };
    let types = |mapped: &Vec<bool>| input_types(sample).into_iter().zip(mapped).map(widen).collect::<Vec<_>>();
    let wide = traced(&ways.iter().flat_map(types).collect::<Vec<_>>(), |x| {
        let each = ways.iter().enumerate();
        each.flat_map(|(i, mapped)| mapped_over(sample, &x[i * count..][..count], mapped)).collect()
    })?;
    let drawn = |mapped: &Vec<bool>| {
        let (mut draw, domains) = (Draw(2), sample.inputs.iter().map(|(_, domain)| domain));
        types(mapped).iter().zip(domains).map(|(ty, d)| draw.array(ty, d.low, d.high)).collect::<Vec<_>>()
    };
    let inputs: Vec<Vec<Array>> = ways.iter().map(drawn).collect();
    let results = Program::unoptimized(&wide)?.run(&inputs.concat())?;
    let got = results.chunks(results.len() / ways.len());
    for ((mapped, inputs), got) in ways.iter().zip(&inputs).zip(got) {
        check_slices(program, mapped, inputs, got)?;
    }
    Ok(())
}

/// Compares the results of a mapping with one run per slice.
fn check_slices(program: &Program, mapped: &[bool], inputs: &[Array], got: &[Array]) -> Check {
    let got: Vec<Vec<Array>> = got.iter().map(slices).collect();
    for i in 0..SIZE {
        let pick = |(x, m): (&Array, &bool)| if *m { slices(x).swap_remove(i) } else { x.clone() };
        let wanted = program.run(&inputs.iter().zip(mapped).map(pick).collect::<Vec<_>>())?;
        if wanted.len() != got.len() {
            return Err(format!("{mapped:?}: {} outputs, not {}", got.len(), wanted.len()));
        }
        for (output, wanted) in wanted.iter().enumerate() {
            let got = &got[output][i];
            if got.ty() != wanted.ty() || !close(&got.to_f64(), &wanted.to_f64()) {
                return Err(format!("{mapped:?}: slice {i} of output {output} is {got:?}, not {wanted:?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn every_gradient_is_that_of_central_differences() {
    each(|sample| sample.differentiable, check_gradient);
}

#[test]
fn every_second_gradient_is_that_of_central_differences() {
    each(|sample| sample.differentiable, check_second_gradient);
}

#[test]
fn every_mapping_is_one_run_per_slice() {
    each(
        // Collectives come after all transforms.
        |sample| !["replica_id", "all_reduce", "all_gather"].contains(&sample.name.as_str()),
        |sample| {
            let (n, (_, program)) = (sample.inputs.len(), forward(sample)?);
            // All inputs, and each input alone with the others shared.
            let alone = (0..n).filter(|_| n > 1).map(|i| (0..n).map(|j| i == j).collect());
            check_mappings(sample, &program, &std::iter::once(vec![true; n]).chain(alone).collect::<Vec<_>>())
        },
    );
}

/// The host implementation of an elementwise operation.
fn host(name: &str) -> Option<fn(f64, f64) -> f64> {
    Some(match name {
        "abs" => |x, _| x.abs(),
        "negate" => |x, _| -x,
        "sign" => |x, _| x.signum(),
        "exponential" => |x, _| x.exp(),
        "exponential_minus_one" => |x, _| x.exp_m1(),
        "log" => |x, _| x.ln(),
        "log_plus_one" => |x, _| x.ln_1p(),
        "logistic" => |x, _| 1.0 / (1.0 + (-x).exp()),
        "tanh" => |x, _| x.tanh(),
        "sqrt" => |x, _| x.sqrt(),
        "rsqrt" => |x, _| 1.0 / x.sqrt(),
        "cbrt" => |x, _| x.cbrt(),
        "sine" => |x, _| x.sin(),
        "cosine" => |x, _| x.cos(),
        "tan" => |x, _| x.tan(),
        "floor" => |x, _| x.floor(),
        "ceil" => |x, _| x.ceil(),
        "round_nearest_even" => |x, _| x.round_ties_even(),
        "round_nearest_afz" => |x, _| x.round(),
        "not" => |x, _| f64::from(!(x as i32)),
        "popcnt" => |x, _| f64::from((x as i32).count_ones()),
        "count_leading_zeros" => |x, _| f64::from((x as i32).leading_zeros()),
        "add" => |a, b| a + b,
        "subtract" => |a, b| a - b,
        "multiply" => |a, b| a * b,
        "divide" => |a, b| a / b,
        "maximum" => f64::max,
        "minimum" => f64::min,
        "power" => f64::powf,
        "remainder" => |a, b| a % b,
        "atan2" => f64::atan2,
        "and" => |a, b| f64::from(a as i32 & b as i32),
        "or" => |a, b| f64::from(a as i32 | b as i32),
        "xor" => |a, b| f64::from(a as i32 ^ b as i32),
        "shift_left" => |a, b| f64::from((a as i32) << b as u32),
        "shift_right_logical" => |a, b| f64::from((a as u32) >> b as u32),
        "shift_right_arithmetic" => |a, b| f64::from((a as i32) >> b as u32),
        _ => return None,
    })
}

#[test]
fn every_elementwise_sample_gives_what_the_host_gives() {
    let check = |sample: &Sample| -> Check {
        let f = host(&sample.name).expect("chosen for it");
        let inputs = Draw(4).inputs(sample);
        let got = forward(sample)?.1.run(&inputs)?[0].to_f64();
        // The second operand is broadcast along the first axis.
        let (a, b) = (inputs[0].to_f64(), inputs.last().expect("an input").to_f64());
        let wanted: Vec<f64> = a.iter().enumerate().map(|(i, &a)| f(a, b[i % b.len()])).collect();
        if close(&got, &wanted) { Ok(()) } else { Err(format!("{inputs:?}: got {got:?}, not {wanted:?}")) }
    };
    each(|sample| host(&sample.name).is_some(), check);
    assert_eq!(samples().iter().filter(|s| host(&s.name).is_some()).count(), 37);
}

/// Runs a function of constants once.
#[track_caller]
fn check_values(f: impl FnOnce(&[Tensor]) -> Tensor, inputs: &[Array], wanted: &[f64]) {
    let types: Vec<TensorType> = inputs.iter().map(|x| x.ty().clone()).collect();
    let program = Program::unoptimized(&traced(&types, |x| vec![f(x)]).unwrap()).unwrap();
    assert_eq!(program.run(inputs).unwrap()[0].to_f64(), wanted);
}

fn ints(dims: &[usize], values: &[i32]) -> Array {
    Array::new(dims, values).expect("as many values as elements")
}

/// The compiler folds comparisons of constants: it must know which ones are signed.
#[test]
fn comparisons_of_constants_are_signed() {
    let compared = |x: &[Tensor]| {
        let negative = x[0].graph().constant(&ints(&[4], &[0, -1, 3, -6]));
        let below = negative.lt(0).select(&(&negative + 10), &negative);
        &x[0] + below.convert(DType::F32) + below.ge(9).convert(DType::F32)
    };
    let zeros = Array::new([4], [0f32; 4]).unwrap();
    check_values(compared, &[zeros], &[0.0, 10.0, 3.0, 4.0]);
}

#[test]
fn take_moves_indices_inside() {
    let table = ints(&[3, 2], &[1, 2, 3, 4, 5, 6]);
    check_values(|x| x[0].take_clipped(&x[1], 0), &[table.clone(), ints(&[2], &[2, 0])], &[5.0, 6.0, 1.0, 2.0]);
    check_values(|x| x[0].take_clipped(&x[1], 0), &[table.clone(), ints(&[2], &[-1, 7])], &[1.0, 2.0, 5.0, 6.0]);
    check_values(|x| x[0].take_clipped(&x[1], -1), &[table, ints(&[], &[1])], &[2.0, 4.0, 6.0]);
}

#[test]
fn sorting_is_stable_and_puts_nan_last() {
    let x = Array::new([6], [2.0, f64::NAN, -1.0, 2.0, f64::NEG_INFINITY, -1.0]).unwrap();
    check_values(|x| x[0].argsort(0), &[x], &[4.0, 2.0, 5.0, 0.0, 3.0, 1.0]);
    check_values(|x| x[0].sort(0), &[ints(&[2, 2], &[3, 1, -2, 5])], &[-2.0, 1.0, 3.0, 5.0]);
}

#[test]
fn convolutions_slide_an_unreversed_kernel() {
    let dims = ConvDims::features_last(3);
    let plain = Convolution::new(dims, DType::S32);
    let (x, kernel) = (ints(&[1, 4, 1], &[1, 2, 3, 4]), ints(&[2, 1, 1], &[1, 10]));
    let inputs = [x, kernel];
    check_values(|x| x[0].convolution(&x[1], &plain), &inputs, &[21.0, 32.0, 43.0]);
    let same = plain.clone().same_padding(&[1, 4, 1], &[2, 1, 1]);
    check_values(|x| x[0].convolution(&x[1], &same), &inputs, &[21.0, 32.0, 43.0, 4.0]);
    let strided = Convolution { strides: vec![2], ..plain.clone() };
    check_values(|x| x[0].convolution(&x[1], &strided), &inputs, &[21.0, 43.0]);
    let wide = Convolution { kernel_dilation: vec![3], ..plain.clone() };
    check_values(|x| x[0].convolution(&x[1], &wide), &inputs, &[41.0]);
    let spread = Convolution { input_dilation: vec![2], ..plain };
    check_values(|x| x[0].convolution(&x[1], &spread), &inputs, &[1.0, 20.0, 2.0, 30.0, 3.0, 40.0]);
}

#[test]
fn sums_and_bitwise_ors_of_the_same_integers_differ() {
    let both = |x: &[Tensor]| x[0].reduce_sum([0]) * 100.0 + x[0].reduce_or([0]);
    check_values(both, &[ints(&[3], &[1, 3, 2])], &[603.0]);
}

/// Every element type, with values that are easily printed incorrectly.
#[test]
fn constants_arrive_as_they_are() {
    let failures: Vec<String> = DType::ALL.iter().filter_map(|&dtype| constant_arrives(dtype).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn constant_arrives(dtype: DType) -> Check {
    let values = match dtype.integer_range() {
        None => [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, 0.1, -2.5, 448.0, 1e-3],
        Some((low, high)) => [low as f64, high as f64, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0],
    };
    let array = Array::from_f64(TensorType::new(dtype, [8]), &values).expect("eight values");
    // The plugin does not return sub-byte floats, but f32 represents them exactly.
    let shown = if dtype.is_float() && dtype.bits() < 8 { DType::F32 } else { dtype };
    let function = traced(&[TensorType::scalar(DType::F32)], |x| vec![x[0].graph().constant(&array).convert(shown)])?;
    let got = Program::unoptimized(&function)?.run(&[Array::scalar(0f32)])?.swap_remove(0);
    let (got, wanted) = (got.to_f64(), array.to_f64());
    let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    if got.iter().zip(&wanted).all(same) { Ok(()) } else { Err(format!("{dtype}: {got:?}, not {wanted:?}")) }
}
