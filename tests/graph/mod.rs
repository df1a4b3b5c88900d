//! Operations and transforms: values, gradients, batching, errors.

mod adapted;
mod array_functions;
mod differential;
mod edges;
mod einsum;
mod mapped_gradients;
mod nest;
mod nests;
mod ops;
mod promotion;
mod random;
mod random_graph;
mod reducers;
mod scans;
mod shard;
mod special_values;
mod trees;
