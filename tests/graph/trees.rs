//! Trees through `jit`, optimizers, files, devices and `TrainState`, and structs with `#[derive(Tree)]`.

use std::cell::Cell;
use std::collections::BTreeMap;

use spiq::optim::{adam, apply_updates, global_norm};
use spiq::pjrt::Input;
use spiq::prelude::*;
use spiq::{Program, trace_tree};

#[derive(Clone, Debug, PartialEq, Tree)]
struct Model<const N: usize, T = Tensor> {
    layers: [Layer<T>; N],
    scale: Option<T>,
    r#type: Static<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Tree)]
struct Layer<T>(T, Vec<T>);

#[derive(Clone, Debug, PartialEq, Tree)]
struct Empty<T: spiq::Leaf> {
    none: [T; 0],
}

fn numbers(values: &[f32]) -> Array {
    Array::from(values.to_vec())
}

fn model(scale: Option<f32>) -> Model<2, Array> {
    let layer = |x: f32| Layer(numbers(&[x, 2.0 * x]), vec![numbers(&[x + 0.5, x - 0.5])]);
    Model { layers: [layer(1.0), layer(2.0)], scale: scale.map(Array::scalar), r#type: Static("sum") }
}

fn client() -> Client {
    Client::cpu().unwrap()
}

#[test]
fn a_struct_is_a_tree_of_its_fields() {
    let whole = model(Some(3.0));
    assert_eq!(whole.paths(), ["layers/0/0", "layers/0/1/0", "layers/1/0", "layers/1/1/0", "scale"]);
    let same = whole.with_leaves(whole.leaves()).unwrap();
    assert_eq!(same, whole);
    let types: Model<2, TensorType> = whole.map_to(|array| array.ty().clone());
    assert_eq!(types.scale, Some(TensorType::scalar(DType::F32)));
    assert_eq!(Empty { none: [] as [Array; 0] }.paths(), [""; 0]);
    let error = whole.structure().check(&model(None).structure(), "the first", "the second").unwrap_err();
    assert_eq!(error.to_string(), "the first has `scale`, which the second lacks");
}

/// The sum of all leaves, or their largest.
fn reduced(model: &Model<2>) -> Tensor {
    let leaves = model.leaves().into_iter().map(|leaf| leaf.sum());
    let leaves: Vec<Tensor> = leaves.collect();
    let all = stack(&leaves.iter().collect::<Vec<_>>(), 0);
    if *model.r#type == "sum" { all.sum() } else { all.reduce_max(0) }
}

#[test]
fn a_jitted_function_is_traced_once_for_each_structure_and_static_value() {
    let traced = Cell::new(0);
    let sum = jit(&client(), |model: Model<2>| {
        traced.set(traced.get() + 1);
        reduced(&model)
    });
    let value = |model: &Model<2, Array>| sum.call(model).unwrap().item::<f32>().unwrap();
    assert_eq!((value(&model(None)), traced.get()), (15.0, 1));
    assert_eq!((value(&model(None)), traced.get()), (15.0, 1));
    assert_eq!((value(&model(Some(7.0))), traced.get()), (22.0, 2));
    let largest = Model { r#type: Static("largest"), ..model(Some(7.0)) };
    assert_eq!((value(&largest), traced.get()), (7.0, 3));
    assert_eq!((value(&model(Some(8.0))), traced.get()), (23.0, 3));
    let mut longer = model(None);
    longer.layers[0].1.push(numbers(&[1.0]));
    assert_eq!((value(&longer), traced.get()), (16.0, 4));
    longer.layers[0].1[1] = numbers(&[1.0, 1.0]);
    assert_eq!((value(&longer), traced.get()), (17.0, 5));
}

#[test]
fn errors_of_a_jitted_function_are_returned() {
    let wrong = jit(&client(), |(a, b): (Tensor, Tensor)| a.dot(&b));
    let error = wrong.call(&(numbers(&[1.0]), numbers(&[1.0, 2.0]))).unwrap_err();
    assert!(error.to_string().contains("dot") && error.to_string().contains("trees.rs"), "{error}");
    let types = (TensorType::new(DType::F32, [2]), TensorType::new(DType::F32, [2]));
    let (function, ty) = trace_tree(&types, |(a, b): (Tensor, Tensor)| Some((a + b, Static(1)))).unwrap();
    assert_eq!((function.input_names(), ty), (&["0".to_owned(), "1".to_owned()][..], Some((types.0, Static(1)))));
}

#[test]
fn gradients_and_updates_of_a_struct_equal_those_of_a_map() {
    let optimizer = adam(0.1);
    let start = model(Some(0.5));
    let state = optimizer.init_tree(&start);
    let of_tree = jit(&client(), |(params, state): (Model<2>, OptState)| {
        let (value, grads) = value_and_grad(&params, |params| reduced(&zip_map(params, params, |a, b| a * b)));
        let (updates, state) = optimizer.update_tree(&grads, &state, &params);
        (apply_updates(&params, &updates), state, value)
    });
    let of_map = jit(&client(), |(params, state): (BTreeMap<String, Tensor>, OptState)| {
        let square = |t: &Tensor| (t * t).sum();
        let (value, grads) = value_and_grad(&params, |params| {
            stack(&params.values().map(square).collect::<Vec<_>>().iter().collect::<Vec<_>>(), 0).sum()
        });
        let (updates, state) = optimizer.update(&grads, &state, &params);
        (apply_updates(&params, &updates), state, value)
    });
    let map: BTreeMap<String, Array> = start.by_path().into_iter().map(|(path, array)| (path, array.clone())).collect();
    let (mut tree, mut map) = ((start, state.clone()), (map, state));
    for _ in 0..3 {
        let (params, state, value) = of_tree.call(&tree).unwrap();
        let (by_path, same, expected) = of_map.call(&map).unwrap();
        assert_eq!((&state, &value), (&same, &expected));
        assert_eq!(params.leaves(), by_path.values().cloned().collect::<Vec<_>>());
        (tree, map) = ((params, state), (by_path, same));
    }
    let norm = jit(&client(), |map: BTreeMap<String, Tensor>| global_norm(&map));
    assert!(norm.call(&map.0).unwrap().unwrap().item::<f32>().unwrap() > 0.0);
}

#[test]
fn trees_that_differ_are_errors_with_a_path() {
    let optimizer = adam(0.1);
    let params = vec![numbers(&[1.0]), numbers(&[2.0])];
    let update = jit(&client(), |(params, state): (Vec<Tensor>, OptState)| {
        optimizer.update_tree(&vec![params[0].clone(); 3], &state, &params).0
    });
    let error = update.call(&(params.clone(), optimizer.init_tree(&params))).unwrap_err().to_string();
    assert!(error.starts_with("adam: mu/2 is missing, for 2 of type f32[1] --> "), "{error}");
    let sum = jit(&client(), |v: Vec<Tensor>| zip_map(&v, &v[..1].to_vec(), |a, b| a + b));
    let error = sum.call(&params).unwrap_err().to_string();
    assert!(error.starts_with("zip_map: the first tree has `1`, which the second lacks --> "), "{error}");
}

#[test]
fn a_file_must_fit_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tree.safetensors");
    spiq::save(&file, &model(Some(1.0))).unwrap();
    assert_eq!(spiq::load(&file, &model(Some(9.0))).unwrap(), model(Some(1.0)));
    let refusal = |like: &Model<2, Array>| {
        let error = spiq::load(&file, like).unwrap_err().to_string();
        error.split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(refusal(&model(None)), "the file has `scale`, which the tree lacks");
    let mut longer = model(Some(1.0));
    longer.layers[1].1.push(numbers(&[1.0]));
    assert_eq!(refusal(&longer), "the file lacks `layers/1/1/1`, which the tree has");
    let integer = Model { scale: Some(Array::scalar(1i32)), ..model(None) };
    assert_eq!(refusal(&integer), "`scale` is f32[] in the file and s32[] in the tree");

    let nested = |a: &str, b: &str| BTreeMap::from([(a.to_owned(), BTreeMap::from([(b.to_owned(), numbers(&[1.0]))]))]);
    let mut twice = nested("a", "b/c");
    twice.extend(nested("a/b", "c"));
    let error = spiq::save(&folder.path().join("twice"), &twice).unwrap_err().to_string();
    assert!(error.ends_with(": two leaves have the path `a/b/c`"), "{error}");
    assert!(!folder.path().join("twice").exists());
}

fn squares(model: &Model<2>, scale: Tensor) -> Tensor {
    reduced(&zip_map(model, model, |a, b| a * b)) * scale
}

#[test]
fn a_restored_state_continues_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.safetensors");
    let (client, start, scale) = (client(), model(Some(0.25)), Array::scalar(0.5f32));
    let mut whole = TrainState::new(&client, &start, adam(0.1), squares).unwrap();
    let mut losses = Vec::new();
    for step in 0..6 {
        losses.push(whole.step(&scale).unwrap());
        if step == 2 {
            whole.save(&file).unwrap();
        }
    }
    let mut resumed = TrainState::new(&client, &model(Some(77.0)), adam(0.1), squares).unwrap();
    resumed.restore(&file).unwrap();
    assert_eq!(resumed.steps(), 3);
    let on_device = client.to_device(&scale).unwrap();
    let again: Vec<Buffer> = (0..3).map(|_| resumed.step_on_device(&on_device).unwrap()).collect();
    // Losses are read after all steps.
    assert_eq!(device_get(&again).unwrap(), device_get(&losses[3..].to_vec()).unwrap());
    assert_eq!(resumed.params().unwrap(), whole.params().unwrap());
    assert_eq!(resumed.optimizer_state().unwrap(), whole.optimizer_state().unwrap());
    assert_eq!((resumed.steps(), whole.steps()), (6, 6));

    let mut other = TrainState::new(&client, &model(None), adam(0.1), squares).unwrap();
    let error = other.restore(&file).unwrap_err().to_string();
    assert!(error.ends_with(": the file has `optimizer/mu/scale`, which the tree lacks"), "{error}");
    assert_eq!(other.params().unwrap(), model(None));
    let mut vector = TrainState::new(&client, &numbers(&[1.0, 2.0]), adam(0.1), |w: &Tensor, (): ()| w * 2.0).unwrap();
    let error = vector.step(&()).unwrap_err().to_string();
    assert!(error.starts_with("grad: requires a float scalar to differentiate, got f32[2]"), "{error}");
    assert_eq!(vector.params().unwrap(), numbers(&[1.0, 2.0]));
}

#[test]
fn a_step_returns_what_the_loss_returns() {
    let loss = |w: &Tensor, x: Tensor| {
        let y = w * &x;
        (y.sum(), (y.clone(), Some(w.identity())))
    };
    let (start, x) = (numbers(&[1.0, 2.0]), numbers(&[3.0, 4.0]));
    let mut state = TrainState::new(&client(), &start, sgd(0.5), loss).unwrap();
    let first = device_get(&state.step(&x).unwrap()).unwrap();
    assert_eq!(first, (Array::scalar(11.0f32), (numbers(&[3.0, 8.0]), Some(start))));
    let second = device_get(&state.step(&x).unwrap()).unwrap();
    assert_eq!(second.1.1, Some(numbers(&[-0.5, 0.0])));
}

#[test]
fn a_clone_of_a_donated_buffer_is_deleted_with_it() {
    let client = client();
    let types = [("x", TensorType::new(DType::F32, [2])), ("y", TensorType::new(DType::F32, [2]))];
    let add = spiq::trace(&types, |v| vec![&v[0] + &v[1]]).unwrap();
    let add = Program { donated: vec![(0, 0)], ..Program::named("add") }.compile(&client, &add).unwrap();
    let x = client.to_device(&numbers(&[1.0, 2.0])).unwrap();
    let error = add.execute(vec![Input::Donate(x.clone()), Input::Borrow(&x)]).unwrap_err().to_string();
    assert_eq!(error, "input 0 is donated and also another input; pass a copy");
    assert!(!x.is_deleted());
    let y = client.to_device(&numbers(&[3.0, 4.0])).unwrap();
    let sum = add.execute(vec![Input::Donate(x.clone()), Input::Borrow(&y)]).unwrap();
    assert_eq!(sum[0].to_array().unwrap(), numbers(&[4.0, 6.0]));
    assert!(x.is_deleted() && x.to_array().is_err() && !y.is_deleted());
}

#[test]
fn buffers_of_two_devices_do_not_mix() {
    let client = Client::cpu_devices(2).unwrap();
    let devices = client.devices();
    let sum = jit(&client, |v: [Tensor; 2]| &v[0] + &v[1]);
    let [a, b] = [0, 1].map(|i| client.device_put(&numbers(&[1.0, 2.0]), &devices[i]).unwrap());
    let error = sum.call_on_device(&[a.clone(), b.clone()]).unwrap_err().to_string();
    let ids = [devices[1].id(), devices[0].id()];
    assert_eq!(
        error,
        format!("`1` is on device {} and `0` on device {}; copy one with Buffer::copy_to", ids[0], ids[1])
    );
    let there = sum.call_on_device(&[a.copy_to(&devices[1]).unwrap(), b]).unwrap();
    assert_eq!(there.device().unwrap().id(), devices[1].id());
    assert_eq!(there.to_array().unwrap(), numbers(&[2.0, 4.0]));
}
