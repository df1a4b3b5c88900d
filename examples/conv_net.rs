//! A convolutional network for small images.
//!
//! `cargo run --release --example conv_net`

use spiq::nn::softmax_cross_entropy_with_integer_labels;
use spiq::prelude::*;
use spiq::random::{lecun_normal, zeros};
use spiq::{ConvDims, Convolution};

/// The parameters.
#[derive(Debug, Tree)]
pub struct Net<T = Tensor> {
    conv: Vec<Layer<T>>,
    head: T,
}

/// The parameters of a layer.
#[derive(Debug, Tree)]
pub struct Layer<T = Tensor> {
    bias: T,
    kernel: T,
}

fn conv(x: &Tensor, layer: &Layer) -> Tensor {
    let dims = ConvDims::features_last(4);
    let conv = Convolution { strides: vec![2, 2], ..Convolution::new(dims, x.dtype()) };
    let conv = conv.same_padding(x.dims(), layer.kernel.dims());
    (x.convolution(&layer.kernel, &conv) + &layer.bias).relu()
}

fn loss(net: &Net, (x, labels): (Tensor, Tensor)) -> Tensor {
    let x = net.conv.iter().fold(x, |x, layer| conv(&x, layer));
    let logits = x.reduce_mean([1, 2]).dot(&net.head);
    softmax_cross_entropy_with_integer_labels(&logits, &labels).mean()
}

/// The weights of the last layer after 20 steps, and the loss before each.
pub fn run() -> spiq::Result<(Array, Vec<Array>)> {
    let keys = Key::new(0).split(5);
    let layer = |key, m, n| Layer { kernel: lecun_normal(key, &[3, 3, m, n]), bias: zeros(&[n]) };
    let net = Net { conv: vec![layer(keys[0], 1, 8), layer(keys[1], 8, 16)], head: lecun_normal(keys[2], &[16, 4]) };
    let batch = (keys[3].shaped([16, 12, 12, 1]).normal(), keys[4].shaped([16]).randint::<i32>(0, 4));
    let mut state = TrainState::new(&Client::cpu()?, &net, adam(3e-3), loss)?;
    let losses = (0..20).map(|_| state.step(&batch)).collect::<spiq::Result<Vec<_>>>()?;
    Ok((state.params()?.head, device_get(&losses)?))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
