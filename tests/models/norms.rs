//! GroupNorm, RMSNorm, Embed, and convolutions and pools over channels as a sequence: compared with flax; refusals.

use std::collections::BTreeMap;

use super::layers::{check_training, config, misfit, parameters_of, run_with_gradients, start_of, table};
use crate::evaluate::{check_close, evaluate};
use crate::reference::Reference;
use spiq::config::ModelConfig;
use spiq::network::Network;
use spiq::nn::{self, Axes, AxisList, GroupNorm, Layer, Reshape, Sequential};
use spiq::random::Rngs;
use spiq::{Array, DType, TensorType, trace};

const NORMS: &str = "norms";

/// An array as a single time step.
fn one_step(array: &Array) -> Array {
    evaluate(&[array], |x| vec![x[0].expand_dims(0)]).remove(0)
}

#[test]
fn norms_are_those_of_flax() {
    for case in Reference::load(NORMS).cases("layer") {
        let model = Sequential::from(&config(&table(&case)));
        let params = parameters_of(&case, &model);
        let (x, weights) = (one_step(case.array("input")), one_step(case.array("weights")));
        let got = run_with_gradients(&model, &params, &x, &weights);
        check_close(&format!("{} output", case.name), &got[0], &one_step(case.array("output")), 1e-5);
        check_close(&format!("{} d_input", case.name), &got[1], &one_step(case.array("d_input")), 1e-4);
        for (path, got) in params.keys().zip(&got[2..]) {
            let name = path.rsplit('/').next().expect("a path");
            check_close(&format!("{} d_{name}", case.name), got, case.array(&format!("d_{name}")), 1e-4);
        }
    }
}

#[test]
fn an_embedding_is_that_of_flax_and_drawn_as_there() {
    for case in Reference::load(NORMS).cases("embed") {
        let model = Sequential::from(&config(&table(&case)));
        let params = parameters_of(&case, &model);
        assert_eq!(model.init(&mut Rngs::new(case.int("seed"))), params, "{}", case.name);
        let (x, weights) = (one_step(case.array("input")), one_step(case.array("weights")));
        let got = run_with_gradients(&model, &params, &x, &weights);
        assert_eq!(got[0], one_step(case.array("output")), "{}", case.name);
        assert!(got[1].to_f64().iter().all(|slope| *slope == 0.0), "tokens have no gradient");
        check_close(&format!("{} d_embedding", case.name), &got[2], case.array("d_embedding"), 1e-6);
    }
}

/// As in flax, whose tokens must be integers.
#[test]
fn what_is_no_token_becomes_nan_and_moves_no_row() {
    let model = Sequential::new("core", [nn::Embed::new(5, 2).into()]);
    let params = model.init(&mut Rngs::new(0));
    let unknown = [5.0, -6.0, 1.5, 1e30, f32::INFINITY, f32::NAN];
    let x = Array::new([1, 7, 1], [&unknown[..], &[4.0]].concat()).expect("numbers");
    let weights = Array::new([1, 7, 1, 2], vec![1f32; 14]).expect("weights");
    let got = run_with_gradients(&model, &params, &x, &weights);
    let (values, slopes) = (got[0].to_f64(), got[2].to_f64());
    assert!(values[..12].iter().all(|value| value.is_nan()), "{values:?}");
    assert_eq!(values[12..], params["core/layers/0/embedding"].to_f64()[8..]);
    assert_eq!(slopes, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn tokens_may_be_bytes_and_booleans() {
    let model = Sequential::new("core", [nn::Embed::new(5, 2).into()]);
    let params = model.init(&mut Rngs::new(0));
    let rows = params["core/layers/0/embedding"].to_f64();
    for (tokens, dtype) in [([0f32, 1.0], DType::Pred), ([3.0, -1.0], DType::S8)] {
        let tokens = Array::new([1, 2, 1], tokens).expect("tokens");
        let got = evaluate(&[&tokens], |x| {
            let x = if dtype == DType::Pred { x[0].ne(0.0) } else { x[0].convert(dtype) };
            let params = nn::constants(x.graph(), &params);
            vec![nn::run(&model, &params, &x.named("T B C")).0.into_tensor()]
        });
        let wanted = if dtype == DType::Pred { &rows[..4] } else { &[&rows[6..8], &rows[8..]].concat()[..] };
        assert_eq!(got[0].to_f64(), wanted, "{dtype}");
    }
}

/// Channels as a sequence of one feature, which a convolution of stride 2 halves, and a pool halves again.
const CHANNELS: &str = "
[[layers]]
type = 'Reshape'
shape = [-1, 1]
[[layers]]
type = 'Conv'
in_features = 1
out_features = 4
kernel_size = 5
strides = 2
use_bias = false
[[layers]]
type = 'GroupNorm'
num_features = 4
num_groups = 2
[[layers]]
type = 'LIF'
hidden_shape = [10, 4]
activation = { type = 'triangular' }
[[layers]]
type = 'AvgPool'
window_shape = 2
strides = 2
[[layers]]
type = 'RMSNorm'
num_features = 4
[[layers]]
type = 'Flatten'
[[layers]]
type = 'Linear'
in_features = 20
out_features = 3
[[layers]]
type = 'LI'
layer_shape = 3
";

const TOKENS: &str = "
[[layers]]
type = 'Embed'
num_embeddings = 11
features = 8
[[layers]]
type = 'Flatten'
[[layers]]
type = 'LIF'
hidden_shape = 16
activation = { type = 'triangular' }
[[layers]]
type = 'Linear'
in_features = 16
out_features = 3
[[layers]]
type = 'LI'
layer_shape = 3
";

/// Networks have the same initial values as in flax if neurons and layers are created in the same order, and train alike.
#[test]
fn networks_of_channels_and_of_tokens_train_as_with_flax() {
    for case in Reference::load(NORMS).cases("network") {
        let text = if case.get("name") == "channels" { CHANNELS } else { TOKENS };
        let network = Network::new(config(text), vec![]).expect("a network");
        assert_eq!(network.init(case.int("seed")), start_of(&case, &network), "{}", case.name);
        check_training(&case, &network);
    }
}

/// flax repeats the means along axis 1 whatever is reduced, which mixes the positions of an image. Here each position has its own
/// LayerNorm.
#[test]
fn a_group_norm_over_features_alone_is_one_of_each_place() {
    let norm = |axes: Option<Vec<i64>>, shape: &[usize]| {
        let layer = GroupNorm {
            num_groups: Some(3),
            reduction_axes: axes.map(AxisList),
            use_scale: false,
            use_bias: false,
            ..GroupNorm::new(6)
        };
        let model = Sequential::new("core", [layer.into()]);
        let x = Array::new(shape, spiq::random::Key::new(4).normal(2 * 5 * 6)).expect("numbers");
        let letters = if shape.len() == 3 { "T B C" } else { "T B W C" };
        evaluate(&[&x], |x| vec![nn::run(&model, &BTreeMap::new(), &x[0].named(letters)).0.into_tensor()])[0].to_f64()
    };
    let (places, apart) = (norm(Some(vec![-1]), &[1, 2, 5, 6]), norm(None, &[1, 10, 6]));
    let most = places.iter().zip(&apart).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(most < 1e-6, "{most}");
    let whole = norm(None, &[1, 2, 5, 6]);
    assert!(whole.iter().zip(&apart).any(|(a, b)| (a - b).abs() > 0.1));
}

#[test]
fn speech_channels_are_a_sequence_for_convolutions_and_pools() {
    let shapes = |pool: &str| {
        let text = format!(
            "layers = [{{ type = 'Reshape', shape = [-1, 1] }},
             {{ type = 'Conv', in_features = 1, out_features = 8, kernel_size = [5], strides = 2 }},
             {{ type = 'LIF', hidden_shape = [70, 8] }}, {pool},
             {{ type = 'Conv', in_features = 8, out_features = 16, kernel_size = 3, strides = 2, padding = 'VALID' }},
             {{ type = 'Flatten' }}, {{ type = 'Linear', in_features = 272, out_features = 20 }}]"
        );
        let model = config(&text);
        // 139 channels give the same number of positions; the smaller number is the inferred one.
        assert_eq!((model.outputs(), model.input_shape()), (20, vec![139]), "{pool}");
        let network = Network::new(model, vec![]).expect("a network");
        let forward = network.forward(&TensorType::new(DType::Pred, [10, 2, 140]), spiq::quant::Mode::Qat);
        forward.expect("a pass").function.result_types()[0].to_string()
    };
    for pool in [
        "{ type = 'SumPool', window_shape = 2, strides = 2, padding = 'VALID' }",
        "{ type = 'AvgPool', window_shape = [2], strides = [2] }",
        "{ type = 'MaxPool', window_shape = 2, strides = 2 }",
    ] {
        assert_eq!(shapes(pool), "f32[10,2,20]", "{pool}");
    }
    // One axis with two features: sums, means and maxima of neighbours.
    let x = Array::new([1, 1, 4, 2], [1f32, 0.0, 0.0, 2.0, 1.0, 1.0, 5.0, -1.0]).expect("a sequence");
    let pooled = |layer: Box<dyn Layer>| {
        let model = Sequential::new("core", [layer]);
        evaluate(&[&x], |x| vec![nn::run(&model, &BTreeMap::new(), &x[0].named("T B W C")).0.into_tensor()])[0].to_f64()
    };
    assert_eq!(pooled(nn::SumPool::new([2], [2], nn::Padding::Valid).into()), [1.0, 2.0, 6.0, 0.0]);
    assert_eq!(pooled(nn::AvgPool { strides: vec![2], ..nn::AvgPool::new([2]) }.into()), [0.5, 1.0, 3.0, 0.0]);
    assert_eq!(pooled(nn::MaxPool { strides: vec![2], ..nn::MaxPool::new([2]) }.into()), [1.0, 2.0, 5.0, 1.0]);
}

/// A convolution over channels of one feature, by hand.
#[test]
fn a_convolution_over_channels_is_a_sum_of_neighbours() {
    let layers = "layers = [{ type = 'Reshape', shape = [-1, 1] }, { type = 'Conv', in_features = 1, out_features = 1,
        kernel_size = 3, strides = 2, padding = 'VALID', use_bias = false }, { type = 'Flatten' }]";
    let model = Sequential::from(&config(layers));
    let (x, kernel) = ([1f32, 0.0, 2.0, 3.0, 1.0, 0.0, 0.0], [10f32, 1.0, 0.1]);
    let arrays = [Array::new([1, 1, 7], x).expect("channels"), Array::new([3, 1, 1], kernel).expect("a kernel")];
    let got = evaluate(&[&arrays[0], &arrays[1]], |x| {
        let params = BTreeMap::from([("core/layers/1/kernel".to_owned(), x[1].clone())]);
        vec![nn::run(&model, &params, &x[0].named("T B C")).0.into_tensor()]
    });
    let wanted = Array::new([1, 1, 3], [10.2f32, 23.1, 10.0]).expect("three places");
    check_close("neighbours", &got[0], &wanted, 1e-6);
}

#[test]
fn arguments_that_make_no_norm_or_shape_are_refused() {
    let refused =
        |layer: &str| ModelConfig::parse(&format!("[[layers]]\n{layer}"), "m.toml").expect_err("a refusal").to_string();
    let wanted = [
        (
            "type = 'GroupNorm'\nnum_features = 12",
            "`num_groups` of core/layers/0 (GroupNorm) is 32, but must divide num_features (12)",
        ),
        (
            "type = 'GroupNorm'\nnum_features = 12\ngroup_size = 5",
            "`group_size` of core/layers/0 (GroupNorm) is 5, but must divide num_features (12)",
        ),
        (
            "type = 'GroupNorm'\nnum_features = 12\nnum_groups = 4\ngroup_size = 3",
            "`group_size` of core/layers/0 (GroupNorm) is given together with num_groups",
        ),
        (
            "type = 'RMSNorm'\nnum_features = 12\nepsilon = -1",
            "`epsilon` of core/layers/0 (RMSNorm) is -1, but must be 0 or more",
        ),
        (
            "type = 'RMSNorm'\nnum_features = 2\nuse_scale = false\nfeature_axes = -2",
            "`feature_axes` of core/layers/0 (RMSNorm) applies to the scale",
        ),
        (
            "type = 'Reshape'\nshape = [-1, -1]",
            "`shape` of core/layers/0 (Reshape) is [-1, -1], but must be sizes from 1 up, at most one of them -1",
        ),
        ("type = 'Reshape'\nshape = [0, 3]", "`shape` of core/layers/0 (Reshape) is [0, 3]"),
        ("type = 'Reshape'\nshape = []", "`shape` of core/layers/0 (Reshape) is []"),
    ];
    for (layer, wanted) in wanted {
        let message = refused(layer);
        assert!(message.contains(wanted), "{message}\nfor {layer}");
    }
    let reshape = "[[layers]]\ntype = 'Reshape'\nshape = [-1, 3]";
    assert!(misfit(reshape, &[7]).contains("Reshape takes a multiple of 3 elements, got [7]"));
    // Its number of axes is known without a sample, so the file is refused.
    let groups = refused("type = 'GroupNorm'\nnum_features = 12\nnum_groups = 3\nreduction_axes = [-1, -2]");
    assert!(
        groups.ends_with("takes samples that have the axes [-1, -2]: each once, without the batch, features last"),
        "{groups}"
    );
    assert_eq!(Reshape::new([28, 28]).output(&[0]), Ok(vec![28, 28]));
    let errors = trace(&[("x", TensorType::new(DType::F32, [2, 1, 5]))], |x| {
        let model = Sequential::new("core", [Reshape::new([2, 3]).into()]);
        vec![nn::run(&model, &BTreeMap::new(), &x[0].named("T B C")).0.into_tensor()]
    });
    assert!(errors.expect_err("a misfit").to_string().contains("Reshape takes 6 elements, got [5]"));
}

#[test]
fn a_file_that_names_these_layers_is_written_and_read_again() {
    let model = config(CHANNELS);
    let again = config(&model.to_toml());
    assert_eq!(again.to_toml(), model.to_toml());
    assert!(model.to_toml().contains("num_groups = 2\nepsilon"), "{}", model.to_toml());
}
