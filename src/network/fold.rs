//! Folds normalization into the preceding weights, as deployed networks do with BatchNorm.

use std::collections::BTreeMap;
use std::sync::Arc;

use spiq_hlo::Array;

use crate::config::ModelConfig;
use crate::nn::{Identity, Source};

/// A model with normalization folded into weights where possible.
#[derive(Clone, Debug)]
pub struct Folded {
    /// The model: an [`Identity`] replaces each folded layer, so that all paths stay the same.
    pub model: ModelConfig,
    /// Its parameters and running statistics by path.
    pub params: BTreeMap<String, Array>,
    /// The paths of the folded layers, each with that of the layer it was folded into.
    pub pairs: Vec<(String, String)>,
}

/// Folds each layer that is `x * factor + summand` after training, such as [`BatchNorm`](crate::nn::BatchNorm), into the kernel and bias of
/// the layer before it, if that is its only input and has no other reader.
///
/// The outputs are the same up to rounding. Weights quantized with a scale per output channel keep their integers: the factor goes into the
/// scale.
pub fn fold(model: &ModelConfig, params: &BTreeMap<String, Array>) -> Folded {
    let mut folded = Folded { model: model.clone(), params: params.clone(), pairs: Vec::new() };
    for layer in 0..model.layers.len() {
        if let [Source::Layer(before)] = *model.wiring.inputs(layer) {
            take_in(&mut folded, before, layer);
        }
    }
    folded
}

/// Folds a layer into the one before it, if possible.
fn take_in(folded: &mut Folded, before: usize, layer: usize) -> Option<()> {
    let model = &folded.model;
    let path = |layer: usize| format!("{}/layers/{layer}", model.name);
    let (own, into) = (path(layer), path(before));
    let readers = (0..model.layers.len()).filter(|&at| model.wiring.inputs(at).contains(&Source::Layer(before)));
    if readers.count() != 1 {
        return None;
    }
    let values = |path: &str| folded.params.get(path).and_then(|array| array.to_vec::<f32>().ok());
    let [factor, summand] = model.layers[layer].affine(&|name| values(&format!("{own}/{name}")))?;
    let with_bias = model.layers[before].with_bias()?;
    let (kernel, bias) = (format!("{into}/kernel"), format!("{into}/bias"));
    let dims = folded.params.get(&kernel)?.dims().to_vec();
    let features = *dims.last().filter(|last| **last == factor.len())?;
    let scaled: Vec<f32> = values(&kernel)?.iter().zip(factor.iter().cycle()).map(|(w, f)| w * f).collect();
    let given = values(&bias).unwrap_or_else(|| vec![0.0; features]);
    let moved: Vec<f32> = given.iter().zip(&factor).zip(&summand).map(|((b, f), s)| b * f + s).collect();
    folded.params.insert(kernel, Array::new(dims, scaled).ok()?);
    folded.params.insert(bias, Array::new([features], moved).ok()?);
    let gone = format!("{own}/");
    folded.params.retain(|path, _| !path.starts_with(&gone));
    folded.model.layers[before] = with_bias;
    folded.model.layers[layer] = Arc::new(Identity::new());
    folded.pairs.push((own, into));
    Some(())
}
