//! Random numbers inside a graph, bit for bit those of the host.

use spiq_hlo::{DType, Tensor, TensorType};

/// Booleans of shape `dims` that are true with probability `p`, broadcast to that shape.
#[track_caller]
pub fn bernoulli(key: &Tensor, p: &Tensor, dims: &[usize]) -> Tensor {
    uniform(key, dims).lt(p)
}

fn uniform(key: &Tensor, dims: &[usize]) -> Tensor {
    let mantissa = bits(key, dims).shift_right_logical(9.0).or(f64::from(0x3F80_0000u32));
    mantissa.bitcast_convert(DType::F32) - 1.0
}

fn bits(key: &Tensor, dims: &[usize]) -> Tensor {
    let count = dims.iter().product();
    let low = key.graph().iota(TensorType::new(DType::U32, [count]), 0);
    let (a, b) = threefry(key, low.zeros_like(), low);
    a.xor(&b).reshape(dims)
}

fn threefry(key: &Tensor, a: Tensor, b: Tensor) -> (Tensor, Tensor) {
    let word = |i: usize| key.index_axis(0, i).broadcast_to(a.dims());
    let keys = [word(0), word(1), word(0).xor(&word(1)).xor(f64::from(0x1BD1_1BDAu32))];
    let rotations = [[13.0, 15.0, 26.0, 6.0], [17.0, 29.0, 16.0, 24.0]];
    let (mut a, mut b) = (a + &keys[0], b + &keys[1]);
    for round in 0..5usize {
        for r in rotations[round % 2] {
            a = &a + &b;
            b = b.shift_left(r).or(&b.shift_right_logical(32.0 - r)).xor(&a);
        }
        a = a + &keys[(round + 1) % 3];
        b = b + &keys[(round + 2) % 3] + (round + 1) as f64;
    }
    (a, b)
}
