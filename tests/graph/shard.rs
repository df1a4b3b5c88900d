//! Functions and training steps on several devices against the same on one.

use std::sync::LazyLock;

use spiq::compile::{Destination, Sharding, Stage};
use spiq::config::ModelConfig;
use spiq::network::Network;
use spiq::pjrt::{Buffer, Client, ClientOptions, Input, Mesh, Platform};
use spiq::quant::{Mode, linear_only_rules};
use spiq::{Array, Program};
use spiq_hlo::{DType, Function, Gathered, Sample, Tensor, TensorType, samples, scan, trace, value_and_grad, vjp};

use crate::graph::ops::{Draw, input_types, traced};

/// A client with four devices, which share the processor's cores.
fn client() -> &'static Client {
    static FOUR: LazyLock<Client> = LazyLock::new(|| {
        let options = ClientOptions { cpu_devices: 4, ..ClientOptions::default() };
        Client::open_with(Platform::Cpu, &options, &mut |_| {}).unwrap_or_else(|e| panic!("four devices: {e}"))
    });
    &FOUR
}

/// The results of a function on this many devices, which divide each input along an axis or not at all: those of every device, and what is
/// gathered.
fn on_devices(
    function: &Function,
    inputs: &[Array],
    devices: usize,
    axes: &[Option<usize>],
) -> Result<(Vec<Vec<Array>>, Vec<Gathered>), String> {
    let mesh = Mesh::new(client(), devices).map_err(|e| e.to_string())?;
    let sharded = function.shard(devices, axes).map_err(|e| e.to_string())?;
    sharded.function.verify()?;
    let mut program = Program::named("sharded");
    program.options.replicas = devices;
    program.options.cache = false;
    let destination = Destination::of(client());
    let text =
        program.pipeline(&sharded.function, destination).text(Stage::Stablehlo, false).map_err(|e| e.to_string())?;
    let compiled = program.compile(client(), &sharded.function).map_err(|e| format!("{e}\n{text}"))?;
    let mut lists: Vec<Vec<Input<'_>>> = (0..devices).map(|_| Vec::new()).collect();
    for (array, axis) in inputs.iter().zip(axes) {
        let parts = match axis {
            Some(axis) => mesh.split(array, *axis),
            None => mesh.replicate(array),
        };
        let parts = parts.map_err(|e| e.to_string())?;
        lists.iter_mut().zip(parts).for_each(|(list, part)| list.push(Input::Donate(part)));
    }
    let outputs = compiled.execute_on_each(lists).map_err(|e| e.to_string())?;
    let arrays = |outputs: &Vec<spiq::pjrt::Buffer>| {
        outputs.iter().map(|one| one.to_array().map_err(|e| e.to_string())).collect()
    };
    Ok((outputs.iter().map(arrays).collect::<Result<_, String>>()?, sharded.gathered))
}

/// Compares a function on several devices with itself on one: each device returns the same, to within `tolerance` of one device's, relative
/// to the larger of an element and 1. Returns what is gathered.
fn compared(
    function: &Function,
    inputs: &[Array],
    devices: usize,
    axes: &[Option<usize>],
    tolerance: f64,
) -> Result<Vec<Gathered>, String> {
    let whole = Program::named("whole").compile(client(), function).map_err(|e| e.to_string())?;
    let wanted = client().run(&whole, inputs).map_err(|e| e.to_string())?;
    let (got, gathered) = on_devices(function, inputs, devices, axes)?;
    for (device, results) in got.iter().enumerate() {
        for (i, (got, wanted)) in results.iter().zip(&wanted).enumerate() {
            // Infinities have no distance.
            let is_far = |(g, w): (&f64, &f64)| {
                // NaN is not near.
                let is_near = (g - w).abs() <= tolerance * w.abs().max(1.0);
                g != w && !is_near
            };
            let far = got.to_f64().iter().zip(&wanted.to_f64()).any(is_far);
            let exact = wanted.dtype().is_float() || got == wanted;
            if got.ty() != wanted.ty() || far || !exact {
                return Err(format!("result {i} on device {device} is {got:?}, not {wanted:?}"));
            }
        }
    }
    Ok(gathered)
}

#[track_caller]
fn check(what: &str, function: &Function, inputs: &[Array], devices: usize, axes: &[Option<usize>]) -> Vec<Gathered> {
    compared(function, inputs, devices, axes, 1e-5).unwrap_or_else(|e| panic!("{what} over {devices} by {axes:?}: {e}"))
}

/// The most ways of dividing the inputs of one function along different axes.
const MIXED: usize = 12;

/// The ways of dividing one input of these types along one of its axes, all inputs that have an axis alike, and some of all others.
fn ways(types: &[TensorType], devices: usize) -> Vec<Vec<Option<usize>>> {
    let divides = |ty: &TensorType, axis: usize| ty.dims.get(axis).is_some_and(|size| *size > 0 && size % devices == 0);
    let mut ways = Vec::new();
    for (input, ty) in types.iter().enumerate() {
        for axis in (0..ty.rank()).filter(|&axis| divides(ty, axis)) {
            let alone = (0..types.len()).map(|i| (i == input).then_some(axis)).collect();
            ways.push(alone);
            ways.push(types.iter().map(|ty| divides(ty, axis).then_some(axis)).collect());
        }
    }
    let mut mixed: Vec<Vec<Option<usize>>> = vec![Vec::new()];
    for ty in types {
        let axes: Vec<Option<usize>> =
            (0..ty.rank()).filter(|&axis| divides(ty, axis)).map(Some).chain([None]).collect();
        mixed = mixed.iter().flat_map(|way| axes.iter().map(|&axis| [&way[..], &[axis]].concat())).collect();
    }
    let step = mixed.len().div_ceil(MIXED);
    ways.extend(mixed.into_iter().step_by(step).filter(|way| way.iter().flatten().count() > 1));
    ways.sort();
    ways.dedup();
    ways
}

fn with_gradient(sample: &Sample) -> Result<Function, String> {
    traced(&input_types(sample), |x| {
        let y = (sample.build)(x);
        let floats = |t: &&Tensor| t.dtype() == DType::F64;
        let cts: Vec<Option<Tensor>> = y.iter().map(|y| floats(&y).then(|| y.sin())).collect();
        let wrt: Vec<Tensor> = x.iter().filter(floats).cloned().collect();
        let grads = if sample.differentiable { vjp(&y, &cts, &wrt) } else { Vec::new() };
        [y, grads].concat()
    })
}

/// Every operation, with its gradient, gives on two devices what it gives on one, however its inputs are divided.
#[test]
fn every_sample_is_the_same_on_two_devices() {
    let (mut checked, mut failures) = (0, Vec::new());
    for sample in samples().iter().filter(|sample| !sample.name.starts_with("all_") && sample.name != "replica_id") {
        let (function, types) =
            (with_gradient(sample).unwrap_or_else(|e| panic!("{}: {e}", sample.name)), input_types(sample));
        let inputs = Draw(3).inputs(sample);
        for axes in ways(&types, 2) {
            let outcome = compared(&function, &inputs, 2, &axes, 1e-9);
            failures.extend(outcome.err().map(|e| format!("{} by {axes:?}: {e}", sample.name)));
            checked += 1;
        }
    }
    assert!(failures.is_empty(), "{} of {checked} fail\n{}", failures.len(), failures.join("\n\n"));
    assert!(checked > 100, "{checked} ways");
}

fn ty(dims: &[usize]) -> TensorType {
    TensorType::new(DType::F32, dims)
}

fn numbers(dims: &[usize], seed: usize) -> Array {
    let count = dims.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|i| ((i * 7919 + seed * 31) % 23) as f32 / 16.0 - 0.7).collect();
    Array::new(dims, values).expect("a value for each element")
}

/// Two layers, their loss and its gradient: the batch is divided, and nothing is gathered.
#[test]
fn a_perceptron_trains_on_parts_of_the_batch() {
    let function = trace(&[("x", ty(&[8, 3])), ("v", ty(&[3, 5])), ("w", ty(&[5, 2])), ("y", ty(&[8, 2]))], |a| {
        let at = (a[1].clone(), a[2].clone());
        let (loss, (dv, dw)) = value_and_grad(&at, |(v, w)| {
            let error = a[0].dot(v).tanh().dot(w) - &a[3];
            (&error * &error).mean()
        });
        vec![loss, dv, dw]
    })
    .expect("sound");
    let inputs = [numbers(&[8, 3], 1), numbers(&[3, 5], 2), numbers(&[5, 2], 3), numbers(&[8, 2], 4)];
    for devices in [2, 4] {
        let axes = [Some(0), None, None, Some(0)];
        let gathered = check("perceptron", &function, &inputs, devices, &axes);
        assert_eq!(gathered, []);
        let text = function.shard(devices, &axes).expect("sound").function.stablehlo("p", &Default::default());
        // The loss and two gradients.
        assert_eq!(text.matches("all_reduce").count(), 3, "{text}");
    }
}

/// A loop over time with a learned decay: its state is divided, and gradients are summed after the loop.
#[test]
fn a_loop_over_time_divides_its_state() {
    let function = trace(&[("x", ty(&[6, 4, 3])), ("w", ty(&[3, 5])), ("beta", ty(&[5]))], |a| {
        let at = (a[1].clone(), a[2].clone());
        let (loss, (dw, db)) = value_and_grad(&at, |(w, beta)| {
            let start = a[0].graph().zeros(ty(&[4, 5]));
            let (_, trace) = scan(&start, &a[0].dot(w), |v, x| {
                let v = v * beta.broadcast_to(&[4, 5]) + x;
                (v.clone(), v.tanh())
            });
            (&trace * &trace).mean()
        });
        vec![loss, dw, db]
    })
    .expect("sound");
    let inputs = [numbers(&[6, 4, 3], 1), numbers(&[3, 5], 2), numbers(&[5], 3)];
    let axes = [Some(1), None, None];
    for devices in [2, 4] {
        assert_eq!(check("loop", &function, &inputs, devices, &axes), []);
    }
    let sharded = function.shard(2, &axes).expect("sound").function;
    sharded.each_node(&mut |node, operands| {
        let bodies = node.op.regions(operands);
        let inside = bodies
            .iter()
            .any(|body| node.op.name() == "scan" && body.nodes().iter().any(|n| n.op.name() == "all_reduce"));
        assert!(!inside, "a sum over devices in each step");
    });
}

#[test]
fn an_axis_that_devices_cannot_share_is_refused() {
    let function = trace(&[("x", ty(&[6, 2]))], |x| vec![x[0].sum()]).expect("sound");
    let refused = |devices, axis| function.shard(devices, &[Some(axis)]).expect_err("a refusal").to_string();
    assert!(
        refused(4, 0).contains("input `x`: axis 0 of f32[6,2] has 6 elements, which 4 devices cannot divide evenly")
    );
    assert!(refused(2, 3).contains("input `x`: axis 3 is not an axis of f32[6,2]"));
}

const LAYERS: &str = r#"
layers = [
    { type = "Linear", in_features = 24, out_features = 32 },
    { type = "LIF", hidden_shape = 32, activation = { type = "triangular" } },
    { type = "Linear", in_features = 32, out_features = 64, name = "wide" },
    { type = "LIF", hidden_shape = 64, activation = { type = "triangular" } },
    { type = "Linear", in_features = 64, out_features = 4, use_bias = false },
    { type = "LI", layer_shape = 4 },
]
"#;

/// The parameters, their momenta and the inputs of a training step with gradient descent: the new parameters, momenta, and the loss.
fn descent(network: &Network) -> Function {
    let x = TensorType::new(DType::Pred, [6, 8, 24]);
    let pass = network.forward(&x, Mode::Qat).expect("a forward pass").function;
    let parameters: Vec<(String, TensorType)> = network.parameter_types().into_iter().collect();
    let named = |prefix: &str| parameters.iter().map(|(name, ty)| (format!("{prefix}{name}"), ty.clone())).collect();
    let inputs: [Vec<(String, TensorType)>; 3] =
        [named(""), named("momentum "), vec![("x".to_owned(), x), ("target".to_owned(), ty(&[8, 4]))]];
    let inputs = inputs.concat();
    let inputs: Vec<(&str, TensorType)> = inputs.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
    let count = parameters.len();
    trace(&inputs, |values| {
        let (x, target) = (&values[2 * count], &values[2 * count + 1]);
        let (loss, slopes) = value_and_grad(&values[..count].to_vec(), |parameters| {
            let operands = [&parameters[..], std::slice::from_ref(x)].concat();
            let traces = pass.call(x.graph(), &operands).swap_remove(0);
            let error = traces.reduce_sum([0]) - target;
            (&error * &error).mean()
        });
        let momenta: Vec<Tensor> =
            values[count..2 * count].iter().zip(slopes).map(|(momentum, slope)| momentum * 0.9 + slope).collect();
        let moved = values[..count].iter().zip(&momenta).map(|(value, momentum)| value - momentum * 0.05).collect();
        [moved, momenta, vec![loss]].concat()
    })
    .expect("a step")
}

/// Training steps of a network whose widest layer is divided by columns over four devices, with its momenta. Batches are whole, or divided
/// as well.
#[test]
fn a_layer_is_divided_by_columns() {
    for (rules, divides_batch) in [(vec![], false), (vec![], true), (linear_only_rules("int8", "int8"), false)] {
        let network = Network::new(ModelConfig::parse(LAYERS, "test").expect("a model"), rules).expect("a network");
        let step = descent(&network);
        let values = network.parameter_types().len() * 2;
        let donated = (0..values).map(|at| (at, at)).collect();
        let one = Program { donated, ..Program::named("step") };
        let names: Vec<String> = step.input_names().iter().map(ToString::to_string).collect();
        let wide: Vec<&String> =
            names.iter().zip(step.input_types()).filter(|(_, ty)| ty.dims == [32, 64]).map(|(name, _)| name).collect();
        assert_eq!(wide.len(), 2, "{names:?}");
        let mut sharding = wide.iter().fold(Sharding::over(4), |all, name| all.dividing(name.as_str(), 1));
        if divides_batch {
            sharding = sharding.dividing("x", 1).dividing("target", 0);
        }
        let four = Program { sharding, ..one.clone() };
        let sharded = four.sharding.apply(&step, &four.donated).expect("a program");
        assert_eq!(sharded.function.input_types().iter().filter(|ty| ty.dims == [32, 16]).count(), 2);
        // With whole batches, each device computes its columns; with divided ones, it gathers the weights first.
        assert_eq!(sharded.gathered.is_empty(), !divides_batch, "{:?}", sharded.gathered);
        let arrays = arrays_of(&network);
        let (one, four) = (trained(&one, &step, &arrays), trained(&four, &step, &arrays));
        for (at, (one, four)) in one.iter().zip(&four).enumerate() {
            let apart = one.to_f64().iter().zip(four.to_f64()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let apart = apart / one.to_f64().into_iter().map(f64::abs).fold(1e-3, f64::max);
            assert!(one.ty() == four.ty() && apart < 1e-5, "batch divided: {divides_batch}, result {at}: {apart}");
        }
        let moves = |at: &usize| one[*at] != arrays[*at];
        assert_eq!((0..values).filter(|at| !moves(at)).count(), 0, "all layers must spike, so that all values change");
    }
}

/// The first inputs of [`descent`].
fn arrays_of(network: &Network) -> Vec<Array> {
    // With larger weights than usual, all layers spike within a few steps.
    let larger = |array: Array| {
        let values = array
            .to_vec::<f32>()
            .expect("floats")
            .into_iter()
            .map(|x| if array.dims().len() == 2 { 4.0 * x } else { x });
        Array::new(array.dims(), values.collect::<Vec<f32>>()).expect("as many")
    };
    let parameters: Vec<Array> = network.init(0).into_values().map(larger).collect();
    let momenta: Vec<Array> = parameters.iter().map(|array| Array::zeros(array.ty().clone())).collect();
    let spikes: Vec<bool> = (0..6 * 8 * 24).map(|i| (i * 7919) % 11 < 4).collect();
    let data = vec![Array::new([6, 8, 24], spikes).expect("spikes"), numbers(&[8, 4], 5)];
    [parameters, momenta, data].concat()
}

/// The results of two steps on the program's devices. Divided values are joined.
fn trained(program: &Program, step: &Function, arrays: &[Array]) -> Vec<Array> {
    let mesh = Mesh::new(client(), program.sharding.devices).expect("devices");
    let kernels = program.pipeline(step, Destination::of(client())).text(Stage::Kernels, false).expect("a text");
    assert!(kernels.contains("spiq_elementwise_scan"), "no kernels:\n{kernels}");
    let compiled = program.compile(client(), step).expect("a program");
    let axis = |at: usize| program.sharding.axes.get(&step.input_names()[at]).copied();
    let place = |(at, array): (usize, &Array)| match axis(at) {
        Some(axis) => mesh.split(array, axis).expect("parts"),
        None => mesh.replicate(array).expect("copies"),
    };
    let mut values: Vec<Vec<Buffer>> = arrays.iter().enumerate().map(place).collect();
    let data = values.split_off(program.donated.len());
    for _ in 0..2 {
        values.truncate(program.donated.len());
        let mut lists: Vec<Vec<Input<'_>>> = mesh.local().iter().map(|_| Vec::new()).collect();
        let donated = values.drain(..).map(|parts| parts.into_iter().map(Input::Donate).collect());
        let borrowed = data.iter().map(|parts| parts.iter().map(Input::Borrow).collect());
        for parts in donated.chain(borrowed) {
            let parts: Vec<Input<'_>> = parts;
            lists.iter_mut().zip(parts).for_each(|(list, part)| list.push(part));
        }
        for outputs in compiled.execute_on_each(lists).expect("a step") {
            values.resize_with(outputs.len(), Vec::new);
            values.iter_mut().zip(outputs).for_each(|(value, part)| value.push(part));
        }
    }
    let whole = |(at, parts): (usize, &Vec<Buffer>)| {
        let arrays: Vec<Array> = parts.iter().map(|part| part.to_array().expect("an array")).collect();
        match axis(at).filter(|_| at < program.donated.len()) {
            Some(axis) => joined(&arrays, axis),
            None => arrays[0].clone(),
        }
    };
    values.iter().enumerate().map(whole).collect()
}

/// Matrices side by side.
fn joined(parts: &[Array], axis: usize) -> Array {
    let [rows, columns] = parts[0].dims()[..] else { panic!("a matrix") };
    assert_eq!(axis, 1);
    let values: Vec<Vec<f32>> = parts.iter().map(|part| part.to_vec().expect("floats")).collect();
    let row = |row: usize| values.iter().flat_map(move |part| &part[row * columns..(row + 1) * columns]).copied();
    Array::new([rows, columns * parts.len()], (0..rows).flat_map(row).collect::<Vec<f32>>()).expect("a matrix")
}
