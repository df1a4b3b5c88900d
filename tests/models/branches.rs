//! Models with branches: equality with applying the layers one by one; their files; nested layers that see the whole sequence; random keys.

use std::collections::BTreeMap;

use super::layers::config;
use crate::evaluate::{check_close, evaluate};
use spiq::config::ModelConfig;
use spiq::nn::{self, Add, Axes, BatchNorm, Concatenate, Delay, Dropout, Layer, Lif, Linear, Run, Sequential, Source};
use spiq::random::{Key, Rngs};
use spiq::{Array, Tensor, TensorType, value_and_grad};
use spiq_hlo::{DType, concatenate};

/// A residual block around a delay, concatenated with the input.
const BRANCHES: &str = r#"
name = "core"

[[layers]]
type = "Linear"
in_features = 5
out_features = 6

[[layers]]
type = "BatchNorm"
num_features = 6

[[layers]]
type = "LIF"
name = "spikes"
hidden_shape = 6
threshold = 0.6

[[layers]]
type = "DelayedLinear"
name = "late"
in_features = 6
out_features = 6
max_delay = 3

[[layers]]
type = "LIF"
name = "early"
inputs = ["spikes"]
hidden_shape = 6
threshold = 0.4

[[layers]]
type = "Add"
inputs = ["late", "early", "spikes"]

[[layers]]
type = "LIF"
name = "sum"
hidden_shape = 6

[[layers]]
type = "Concatenate"
inputs = ["input", "sum"]

[[layers]]
type = "Linear"
in_features = 11
out_features = 3

[[layers]]
type = "LI"
layer_shape = 3
"#;

/// Applies layer `number` of a model alone, with its parameters.
fn alone(model: &ModelConfig, number: usize, params: &BTreeMap<String, Tensor>, x: &Tensor) -> Tensor {
    let layers = vec![model.layers[number].clone()];
    let one = Sequential::from(&ModelConfig::chain("core", layers));
    let own = params.iter().filter_map(|(path, tensor)| {
        let rest = path.strip_prefix(&format!("core/layers/{number}/"))?;
        Some((format!("core/layers/0/{rest}"), tensor.clone()))
    });
    let outcome = Run::new(&one, &own.collect()).training_without_key().on(&x.named("T B C"));
    outcome.traces.into_tensor()
}

/// The model above, applied one layer at a time.
fn by_hand(model: &ModelConfig, params: &BTreeMap<String, Tensor>, x: &Tensor) -> Tensor {
    let layer = |number, x: &Tensor| alone(model, number, params, x);
    let spikes = layer(2, &layer(1, &layer(0, x)));
    let (late, early) = (layer(3, &spikes), layer(4, &spikes));
    let sum = layer(6, &(late + early + &spikes));
    layer(9, &layer(8, &concatenate(&[x, &sum], -1)))
}

#[test]
fn branches_compute_what_their_layers_do_by_hand() {
    let config = config(BRANCHES);
    let model = Sequential::from(&config);
    assert_eq!((config.inputs(), config.outputs(), model.output(&[5])), (5, 3, Ok(vec![3])));
    let params = model.init(&mut Rngs::new(2));
    let x = Array::new([8, 3, 5], Key::new(1).normal(120)).expect("numbers");
    let weights = Array::new([8, 3, 3], Key::new(2).normal(72)).expect("numbers");
    let of = |run: &dyn Fn(&BTreeMap<String, Tensor>, &Tensor) -> Tensor| {
        let inputs: Vec<&Array> = params.values().chain([&x, &weights]).collect();
        evaluate(&inputs, |values| {
            let (own, rest) = values.split_at(params.len());
            let own: BTreeMap<String, Tensor> = params.keys().cloned().zip(own.iter().cloned()).collect();
            let ((_, traces), (grads, d_x)) = value_and_grad(&(own, rest[0].clone()), |(params, x)| {
                let traces = run(params, x);
                ((&traces * &rest[1]).sum(), traces)
            });
            [traces, d_x].into_iter().chain(grads.into_values()).collect()
        })
    };
    let run = |params: &BTreeMap<String, Tensor>, x: &Tensor| {
        Run::new(&model, params).training_without_key().on(&x.named("T B C")).traces.into_tensor()
    };
    let (got, want) = (of(&run), of(&|params, x| by_hand(&config, params, x)));
    let names = ["traces", "d_input"].into_iter().chain(params.keys().map(String::as_str));
    for ((got, want), name) in got.iter().zip(&want).zip(names) {
        check_close(name, got, want, 2e-5);
        // Every branch affects the output; running statistics have no gradient.
        let is_read = !["mean", "var", "sigma"].iter().any(|end| name.ends_with(end));
        assert_eq!(want.to_f64().iter().any(|v| *v != 0.0), is_read, "{name}");
    }
}

#[test]
fn a_model_in_branches_is_written_as_it_is_read() {
    let model = config(BRANCHES);
    let text = model.to_toml();
    let again = ModelConfig::parse(&text, "again").expect("what was written");
    assert_eq!((again.to_toml(), &again.wiring, &again.names), (text.clone(), &model.wiring, &model.names));
    assert_ne!(model.wiring, nn::Wiring::chain(10));
    for line in ["inputs = [\"late\", \"early\", \"spikes\"]", "inputs = [\"input\", \"sum\"]", "name = \"late\""] {
        assert_eq!(text.matches(line).count(), 1, "{line}: {text}");
    }
    assert_eq!(text.matches("inputs = ").count(), 3, "the others read the layer before: {text}");
}

/// A model built in code has no layer names; its file names the layers that others refer to.
#[test]
fn layers_without_a_name_get_one_where_others_read_them() {
    let layers: Vec<Box<dyn Layer>> =
        vec![Linear::new(4, 4).into(), Lif::new([4]).into(), Linear::new(4, 4).into(), Add::new().into()];
    let layers = layers.into_iter().map(std::sync::Arc::from).collect();
    let mut model = ModelConfig::chain("core", layers);
    model.wiring = model.wiring.with_inputs(3, [Source::Layer(0), Source::Layer(2)]);
    // A name that another layer already has.
    model.names[1] = Some("layer0".to_owned());
    let again = ModelConfig::parse(&model.to_toml(), "again").expect("what was written");
    assert_eq!(again.wiring, model.wiring, "{}", model.to_toml());
}

/// The error of a file with these layers, one per line.
#[track_caller]
fn refused(layers: &[&str]) -> String {
    let text = format!("layers = [\n    {},\n]", layers.join(",\n    "));
    let error = ModelConfig::parse(&text, "m.toml").expect_err("a refusal").to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

#[test]
fn inputs_that_are_wrong_are_refused_in_one_sentence() {
    let linear = "{ type = 'Linear', in_features = 4, out_features = 4, name = 'first' }";
    let wide = "{ type = 'Linear', in_features = 4, out_features = 5, name = 'wide', inputs = ['input'] }";
    let cases: [(&[&str], &str); 14] = [
        (
            &[linear, "{ type = 'Add', inputs = ['frist', 'input'] }"],
            "m.toml:3: core/layers/1: `inputs` names \"frist\", but no layer has that `name`; did you mean \"first\"?",
        ),
        (
            &[linear, "{ type = 'Add', inputs = ['first', 'imput'] }"],
            "m.toml:3: core/layers/1: `inputs` names \"imput\", but no layer has that `name`; did you mean \"input\"?",
        ),
        (
            &[linear, "{ type = 'Add', inputs = ['zzzzzz'] }"],
            "m.toml:3: core/layers/1: `inputs` names \"zzzzzz\", but no layer has that `name`",
        ),
        (
            &["{ type = 'Add', inputs = ['input', 'first'] }", linear],
            "m.toml:2: core/layers/0 (Add) reads a layer that comes after it; move it after all layers that it reads",
        ),
        (
            &[linear, "{ type = 'Add', name = 'own', inputs = ['first', 'own'] }"],
            "m.toml:3: core/layers/1 (Add) reads its own output; a layer reads what comes before it",
        ),
        (
            &[linear, "{ type = 'LIF', name = 'first', hidden_shape = 4 }"],
            "m.toml:3: core/layers/1: core/layers/0 is already called \"first\"",
        ),
        (
            &[linear, "{ type = 'LIF', hidden_shape = 4, inputs = ['input'] }"],
            "m.toml:2: core/layers/0: no layer reads its output; name it in the `inputs` of one that should, or remove it",
        ),
        (
            &[linear, "{ type = 'LIF', hidden_shape = 4, inputs = ['first', 'input'] }"],
            "m.toml:3: core/layers/1 (LIF) takes one input, but core/layers/0 (Linear) gives [4] and the model's input is [4]",
        ),
        (
            &[linear, "{ type = 'BatchNorm', num_features = 4, inputs = ['first', 'first'] }"],
            "m.toml:3: core/layers/1 (BatchNorm) takes one input, but core/layers/0 (Linear) gives [4] and core/layers/0 (Linear) gives [4]",
        ),
        (
            &[linear, wide, "{ type = 'Add', inputs = ['first', 'wide'] }"],
            "m.toml:4: core/layers/2 (Add) takes inputs of one shape, such as [4], but core/layers/0 (Linear) gives [4] and core/layers/1 (Linear) \
             gives [5]",
        ),
        (
            &[
                linear,
                "{ type = 'Linear', in_features = 7, out_features = 2, inputs = ['input'] }",
                "{ type = 'Add', inputs = ['first', 'first'] }",
            ],
            "m.toml:3: core/layers/1: no layer reads its output; name it in the `inputs` of one that should, or remove it",
        ),
        (
            &[linear, "{ type = 'LI', layer_shape = 4, name = 'input' }"],
            "m.toml:3: `name` of core/layers/1 (LI) is \"input\", but must be another name; \"input\" refers to the model's input",
        ),
        (
            &[linear, "{ type = 'LI', layer_shape = 4, inputs = [] }"],
            "m.toml:3: `inputs` of core/layers/1 (LI) is empty; name the layers that it reads, or remove it",
        ),
        (
            &[linear, "{ type = 'LI', layer_shape = 4, inputs = 'first' }"],
            "m.toml:3: `inputs` of core/layers/1 (LI) is \"first\", but must be a list of strings",
        ),
    ];
    for (layers, message) in cases {
        assert_eq!(refused(layers), message);
    }
    let other = "{ type = 'Linear', in_features = 7, out_features = 4, name = 'other', inputs = ['input'] }";
    assert_eq!(
        refused(&[linear, other, "{ type = 'Add', inputs = ['first', 'other'] }"]),
        "m.toml:3: core/layers/1 (Linear) takes 7 features, but the model's input is [4]"
    );
    let images = "{ type = 'Conv', in_features = 1, out_features = 2, kernel_size = [3, 3], name = 'images' }";
    let pooled = "{ type = 'SumPool', window_shape = 2, strides = 2, padding = 'SAME', name = 'pooled' }";
    let error =
        refused(&[images, "{ type = 'Flatten' }", "{ type = 'Concatenate', inputs = ['images', 'layer'] }", pooled]);
    assert!(
        error.starts_with("m.toml:4: core/layers/2: `inputs` names \"layer\", but no layer has that `name`"),
        "{error}"
    );
}

/// A layer that is itself a model, containing layers that see the whole sequence.
#[test]
fn a_model_inside_of_a_model_has_its_statistics() {
    let inner = || -> Vec<Box<dyn Layer>> {
        vec![BatchNorm::new(6).into(), Lif::new([6]).into(), Delay::new(6, 2).into(), Dropout::new(0.3).into()]
    };
    let (first, last) = (Linear::new(5, 6), Linear::new(6, 2));
    let nested =
        Sequential::new("core", [first.clone().into(), Sequential::new("inner", inner()).into(), last.clone().into()]);
    let flat = Sequential::new(
        "core",
        [first.into()].into_iter().chain(inner()).chain([last.into()]).collect::<Vec<Box<dyn Layer>>>(),
    );
    let params = nested.init(&mut Rngs::new(0));
    assert_eq!(
        nested.statistic_types().into_keys().collect::<Vec<_>>(),
        ["core/layers/1/layers/0/mean", "core/layers/1/layers/0/var"]
    );
    let renamed = |path: &str| match path.strip_prefix("core/layers/1/layers/") {
        Some(rest) => {
            let (number, name) = rest.split_once('/').expect("a path");
            format!("core/layers/{}/{name}", number.parse::<usize>().expect("a number") + 1)
        }
        None => path.replace("core/layers/2/", "core/layers/5/"),
    };
    let of_flat: BTreeMap<String, Array> = params.iter().map(|(path, a)| (renamed(path), a.clone())).collect();
    assert_eq!(of_flat.keys().collect::<Vec<_>>(), flat.init(&mut Rngs::new(0)).keys().collect::<Vec<_>>());
    let x = Array::new([7, 4, 5], Key::new(3).normal(140)).expect("numbers");
    let key = Key::new(9).to_array();
    let run = |model: &Sequential, params: &BTreeMap<String, Array>| {
        evaluate(&[&x, &key], |x| {
            let params = nn::constants(x[0].graph(), params);
            let outcome =
                Run::new(model, &params).training(&x[1]).with_spike_rates().with_broken().on(&x[0].named("T B C"));
            assert_eq!((outcome.statistics.len(), outcome.spike_rates.len()), (2, 1));
            let all = outcome.statistics.into_values().chain(outcome.spike_rates.into_values());
            std::iter::once(outcome.traces.into_tensor()).chain(all).chain(outcome.state.into_values()).collect()
        })
    };
    let (nested, flat) = (run(&nested, &params), run(&flat, &of_flat));
    for (place, (got, want)) in nested.iter().zip(&flat).enumerate() {
        check_close(&format!("result {place}"), got, want, 1e-6);
    }
}

/// A layer that sees the whole sequence splits the loop; the random draws on both sides equal those of a single loop.
#[test]
fn what_is_drawn_does_not_depend_on_how_layers_are_grouped() {
    let of = |layers: Vec<Box<dyn Layer>>| {
        let model = Sequential::new("core", layers);
        let params = model.init(&mut Rngs::new(0));
        let (x, key) = (Array::new([6, 2, 40], vec![1f32; 480]).expect("ones"), Key::new(5).to_array());
        evaluate(&[&x, &key], |x| {
            let params = nn::constants(x[0].graph(), &params);
            vec![Run::new(&model, &params).training(&x[1]).on(&x[0].named("T B C")).traces.into_tensor()]
        })
    };
    let dropout = || Box::<dyn Layer>::from(Dropout::new(0.4));
    // With zero delay it is the identity.
    let still = || Box::<dyn Layer>::from(Delay { initial: Some(0.0), ..Delay::new(40, 3) });
    let plain = of(vec![dropout(), dropout(), dropout()]);
    assert_eq!(of(vec![dropout(), still(), dropout(), still(), dropout()]), plain);
    assert_eq!(of(vec![still(), dropout(), dropout(), dropout()]), plain);
    assert_ne!(of(vec![dropout(), dropout()]), plain);
}

#[test]
fn concatenations_and_sums_refuse_what_does_not_fit_in_code() {
    let model = Sequential::new("core", [Linear::new(4, 3).into(), Concatenate::new().into(), Add::new().into()]);
    let concatenated = model.clone().wired(1, [Source::Input, Source::Layer(0)]).wired(2, [Source::Layer(1)]);
    assert_eq!(concatenated.output(&[4]), Ok(vec![7]));
    let sum = model.clone().wired(2, [Source::Layer(0), Source::Input]);
    assert_eq!(
        sum.output(&[4]),
        Err("layers/2: Add takes inputs of one shape, such as [3], got [3] and [4]".to_owned())
    );
    let late = model.wired(0, [Source::Layer(2)]);
    let errors = spiq::trace(&[("x", TensorType::new(DType::F32, [2, 1, 4]))], |x| {
        let params = nn::constants(x[0].graph(), &late.init(&mut Rngs::new(0)));
        vec![nn::run(&late, &params, &x[0].named("T B C")).0.into_tensor()]
    });
    let error = errors.expect_err("a refusal").to_string();
    assert!(error.contains("layers/0: Linear reads a layer that comes after it"), "{error}");
}
