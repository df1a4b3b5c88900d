//! The layers that a file may name. Knows nothing of what they compute.

use super::arguments::Kind;
use super::{
    ActivityRegularization, Alif, AvgPool, Conv, CuBaLif, Dropout, Flatten, If, LayerNorm, Li, Lif, Linear, MaxPool,
    PopulationCode, PsuLif, RCuBaLif, Rif, Rlif, SumPool,
};

/// Every kind of layer, in the order in which a message lists them.
pub(crate) const KINDS: [Kind; 20] = [
    Linear::KIND,
    Conv::KIND,
    SumPool::KIND,
    AvgPool::KIND,
    MaxPool::KIND,
    Flatten::KIND,
    LayerNorm::KIND,
    Dropout::KIND,
    ActivityRegularization::KIND,
    PopulationCode::KIND,
    Lif::KIND,
    If::KIND,
    Li::KIND,
    Alif::KIND,
    CuBaLif::KIND,
    Rif::KIND,
    Rlif::KIND,
    RCuBaLif::KIND,
    PsuLif::KIND,
    // Spyx's other name for the same neuron.
    Kind { name: "AssociativeLIF", ..PsuLif::KIND },
];
