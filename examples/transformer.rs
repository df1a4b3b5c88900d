//! A transformer of two blocks that learns to repeat a sequence of tokens.
//!
//! `cargo run --release --example transformer`

use spiq::nn::softmax_cross_entropy_with_integer_labels;
use spiq::prelude::*;
use spiq::random::lecun_normal;
use spiq::{concatenate, einsum, keepdims};

const HEADS: usize = 2;
const WIDTH: usize = 16;
const LENGTH: usize = 12;
const TOKENS: usize = 11;

/// The parameters of a block.
#[derive(Debug, Tree)]
pub struct Block<T = Tensor> {
    down: T,
    out: T,
    qkv: T,
    up: T,
}

/// The parameters.
#[derive(Debug, Tree)]
pub struct Transformer<T = Tensor> {
    blocks: [Block<T>; 2],
    embed: T,
    position: T,
}

fn norm(x: &Tensor) -> Tensor {
    let variance = x.var(keepdims(-1), 0);
    (x - x.reduce_mean(keepdims(-1))) * (variance + 1e-5).rsqrt()
}

fn attention(block: &Block, x: &Tensor) -> Tensor {
    let heads = |y: &Tensor| y.reshape(&[y.dims()[0], LENGTH, HEADS, WIDTH / HEADS]).swap_axes(1, 2);
    let parts = x.dot(&block.qkv).split(3, -1);
    let (q, k, v) = (heads(&parts[0]), heads(&parts[1]), heads(&parts[2]));
    let scores = einsum("bhqd,bhkd->bhqk", &q, &k) * ((WIDTH / HEADS) as f64).powf(-0.5);
    let causal = scores.full_like(1.0).tril(0).gt(0.0);
    let y = einsum("bhqk,bhkd->bhqd", &causal.select(&scores, &scores.full_like(-1e9)).softmax(-1), &v);
    y.swap_axes(1, 2).reshape(x.dims()).dot(&block.out)
}

fn loss(params: &Transformer, tokens: Tensor) -> Tensor {
    let (inputs, next) = (tokens.slice_axis(1, 0, LENGTH), tokens.slice_axis(1, 1, LENGTH + 1));
    let x = params.embed.take(&inputs, 0) + &params.position;
    let x = params.blocks.iter().fold(x, |x, block| {
        let x = &x + attention(block, &norm(&x));
        &x + norm(&x).dot(&block.up).gelu().dot(&block.down)
    });
    softmax_cross_entropy_with_integer_labels(&norm(&x).dot(&params.embed.t()), &next).mean()
}

fn init(key: Key) -> (Transformer<Array>, Key) {
    let keys = key.split(5);
    let block = |key: Key| {
        let keys = key.split(4);
        let w = |i: usize, dims: [usize; 2]| lecun_normal(keys[i], &dims);
        let (down, out) = (w(0, [4 * WIDTH, WIDTH]), w(1, [WIDTH, WIDTH]));
        Block { down, out, qkv: w(2, [WIDTH, 3 * WIDTH]), up: w(3, [WIDTH, 4 * WIDTH]) }
    };
    let (embed, position) = (lecun_normal(keys[0], &[TOKENS, WIDTH]), lecun_normal(keys[1], &[LENGTH, WIDTH]));
    (Transformer { blocks: [block(keys[2]), block(keys[3])], embed, position }, keys[4])
}

/// The position embedding after 20 steps, and the loss before each.
pub fn run() -> spiq::Result<(Array, Vec<Array>)> {
    let (client, (params, key)) = (Client::cpu()?, init(Key::new(0)));
    let half = key.shaped([8, 7]).randint::<i32>(0, TOKENS as i128);
    let twice = |half: Tensor| concatenate(&[&half, &half], 1).slice_axis(1, 0, LENGTH + 1);
    let tokens = jit(&client, twice).call(&half)?;
    let mut state = TrainState::new(&client, &params, adamw(3e-3), loss)?;
    let losses = (0..20).map(|_| state.step(&tokens)).collect::<spiq::Result<Vec<_>>>()?;
    Ok((state.params()?.position, device_get(&losses)?))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
