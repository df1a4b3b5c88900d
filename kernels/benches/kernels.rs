//! The CPU kernels alone, on two threads: the loops and products of a training step of the network L (`spiq bench --shape
//! 96,128,700,1024,20`) in int8 with bf16 gradients, and the convolutions of the network `conv` (`benches/compare/networks.py`), without a plugin.
//!
//! ```sh
//! cargo bench -p spiq-kernels
//! ```
//!
//! Arguments select the lines that contain all of them. Prints the shortest of some runs in milliseconds, and the memory of operands and results over that time.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use spiq_kernels::run::{Pool, Read, Task, Write, run_convolution, run_product, run_scan};
use spiq_kernels::{Convolved, FusedProduct, LaneProgram, Left, MaskedProduct, SparseConvolution};

const STEPS: usize = 96;
const BATCH: usize = 128;
const INPUTS: usize = 700;
const HIDDEN: usize = 1024;
const CLASSES: usize = 20;
const LANES: usize = BATCH * HIDDEN;

/// Threads that are started for each call.
struct Threads(usize);

impl Pool for Threads {
    fn workers(&self) -> usize {
        self.0
    }

    fn run_all(&self, tasks: Vec<Task<'_>>) -> bool {
        let tasks = std::sync::Mutex::new(tasks.into_iter());
        let next = || tasks.lock().expect("no task panics").next();
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    while let Some(task) = next() {
                        task();
                    }
                });
            }
        });
        true
    }
}

/// Reproducible noise between 0 and 1.
fn noise(i: usize) -> f32 {
    let mixed = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1 << 24) as f32
}

/// Memory that starts at a cache line, as XLA's does.
struct Aligned<T> {
    all: Vec<T>,
    first: usize,
}

impl<T: Copy + Default> Aligned<T> {
    fn new(count: usize, value: impl Fn(usize) -> T) -> Aligned<T> {
        const LINE: usize = 64;
        let mut all = vec![T::default(); count + LINE];
        let first = all.as_ptr().align_offset(LINE);
        (0..count).for_each(|i| all[first + i] = value(i));
        all.truncate(first + count);
        Aligned { all, first }
    }

    fn zeros(count: usize) -> Aligned<T> {
        Aligned::new(count, |_| T::default())
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.all[self.first..]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.all[self.first..]
    }
}

fn mask(count: usize, rate: f32) -> Aligned<u8> {
    Aligned::new(count, |i| u8::from(noise(i) < rate))
}

fn bf16(count: usize) -> Aligned<u16> {
    Aligned::new(count, |i| ((noise(i) - 0.5).to_bits() >> 16) as u16)
}

fn shortest(name: &str, bytes: usize, mut run: impl FnMut()) {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if !wanted.iter().all(|part| name.contains(part)) {
        return;
    }
    let (start, mut shortest) = (Instant::now(), Duration::MAX);
    while start.elapsed() < Duration::from_secs(1) {
        let start = Instant::now();
        run();
        shortest = shortest.min(start.elapsed());
    }
    let seconds = shortest.as_secs_f64();
    println!("{:8.2} ms  {:5.1} GB/s  {name}", seconds * 1e3, bytes as f64 / seconds / 1e9);
}

/// A neuron's forward pass with its masked product.
fn forward(name: &str, columns: usize, rate: f32) {
    let text = format!(
        "loop of {STEPS} steps, {LANES} lanes, forward
  const c0: f32
  const c1: f32
  slice x0: s32
  r0 = multiply(x0, c0)
  r1 = subtract(s0, 1.0)
  r2 = greater(r1, 0.0)
  r3 = multiply_add(c1, s0, r0)
  r4 = subtract(r3, r2)
  r5 = truncate_s8(r2)
  carry s0 = r4
  write y0: f32 = s0
  write y1: s8 = r5"
    );
    let program: LaneProgram = text.parse().expect("a program");
    let products = FusedProduct::encode(&[FusedProduct { slice: 0, columns, width: HIDDEN, left: Left::Mask }]);
    let (ones, start) = (Aligned::new(LANES, |_| 0.01f32), Aligned::<f32>::zeros(LANES));
    let mask = mask(STEPS * BATCH * columns, rate);
    let weights = Aligned::new(columns * HIDDEN, |i| (noise(i) * 255.0 - 127.0) as i8);
    let (mut last, mut v) = (Aligned::zeros(LANES), Aligned::zeros(STEPS * LANES));
    let mut spikes = Aligned::zeros(STEPS * LANES);
    let words = program.encode();
    shortest(name, mask.len() + weights.len() + 5 * STEPS * LANES, || {
        let inputs = [Read::F32(&ones), Read::F32(&ones), Read::F32(&start), Read::Pred(&mask), Read::S8(&weights)];
        let outputs = vec![Write::F32(&mut last), Write::F32(&mut v), Write::S8(&mut spikes)];
        run_scan(&words, &products, inputs.to_vec(), outputs, &Threads(2)).expect("it fits");
    });
}

/// A neuron's backward pass with the gradient of its spikes, of which the fraction `share` is needed.
fn backward(name: &str, columns: usize, share: f32) {
    let text = format!(
        "loop of {STEPS} steps, {LANES} lanes, backward
  const c0: f32
  slice x0: f32
  slice x1: f32
  r0 = subtract(x0, 1.0)
  r1 = multiply(2.0, r0)
  r2 = abs(r1)
  r3 = subtract(1.0, r2)
  r4 = maximum(r3, 0.0)
  r5 = negate(s0)
  r6 = add(x1, r5)
  r7 = multiply(r6, r4)
  r8 = multiply_add(s0, c0, r7)
  r9 = multiply_add(s0, x0, s1)
  r10 = round_bf16(s0)
  carry s0 = r8
  carry s1 = r9
  write y0: bf16 = r10"
    );
    let program: LaneProgram = text.parse().expect("a program");
    let products = FusedProduct::encode(&[FusedProduct { slice: 1, columns, width: HIDDEN, left: Left::Sampled(4) }]);
    let (ones, start) = (Aligned::new(LANES, |_| 0.01f32), Aligned::<f32>::zeros(LANES));
    let v = Aligned::new(STEPS * LANES, |i| if noise(i) < share { 1.2f32 } else { 0.0 });
    let (gradients, weights) = (bf16(STEPS * BATCH * columns), bf16(HIDDEN * columns));
    let (mut last, mut other) = (Aligned::zeros(LANES), Aligned::zeros(LANES));
    let mut out = Aligned::zeros(STEPS * LANES);
    let words = program.encode();
    shortest(name, 6 * STEPS * LANES + 2 * gradients.len() + 2 * weights.len(), || {
        let inputs = [Read::F32(&ones), Read::F32(&start), Read::F32(&start), Read::F32(&v)];
        let inputs = [&inputs[..], &[Read::Bf16(&gradients), Read::Bf16(&weights)]].concat();
        let outputs = vec![Write::F32(&mut last), Write::F32(&mut other), Write::Bf16(&mut out)];
        run_scan(&words, &products, inputs, outputs, &Threads(2)).expect("it fits");
    });
}

/// The backward pass of 128 recurrent neurons over 128 steps of 64 samples.
fn recurrent(name: &str) {
    let [steps, batch, hidden] = [128, 64, 128];
    let lanes = batch * hidden;
    let text = format!(
        "loop of {steps} steps, {lanes} lanes, backward
  const c0: f32
  slice x0: f32
  slice x1: f32
  slice x2: f32
  r0 = copy(s0)
  r1 = subtract(x0, 1.0)
  r2 = abs(r1)
  r3 = subtract(0.5, r2)
  r4 = maximum(r3, 0.0)
  r5 = subtract(x1, s0)
  r6 = add(r5, x2)
  r7 = multiply(r6, r4)
  r8 = multiply_add(s0, c0, r7)
  r9 = multiply_add(s0, x0, s1)
  carry s0 = r8
  carry s1 = r9
  write y0: f32 = s0"
    );
    let program: LaneProgram = text.parse().expect("a program");
    let product = FusedProduct { slice: 2, columns: hidden, width: hidden, left: Left::Results(0) };
    let products = FusedProduct::encode(&[product]);
    let (decay, start) = (Aligned::new(lanes, |_| 0.9f32), Aligned::<f32>::zeros(lanes));
    let v = Aligned::new(steps * lanes, |i| if noise(i) < 0.5 { 1.2f32 } else { 0.0 });
    let from = Aligned::new(steps * lanes, |i| noise(i + 7) - 0.5);
    let weights = Aligned::new(hidden * hidden, |i| (noise(i) - 0.5) * 0.1);
    let (mut last, mut other) = (Aligned::zeros(lanes), Aligned::zeros(lanes));
    let mut out = Aligned::zeros(steps * lanes);
    let words = program.encode();
    shortest(name, 12 * steps * lanes + 4 * weights.len(), || {
        let inputs = [Read::F32(&decay), Read::F32(&start), Read::F32(&start), Read::F32(&v), Read::F32(&from)];
        let inputs = [&inputs[..], &[Read::F32(&weights)]].concat();
        let outputs = vec![Write::F32(&mut last), Write::F32(&mut other), Write::F32(&mut out)];
        run_scan(&words, &products, inputs, outputs, &Threads(2)).expect("it fits");
    });
}

/// The gradient of weights.
fn weights(name: &str, columns: usize, rate: f32) {
    let rows = STEPS * BATCH;
    let words = MaskedProduct { rows, columns, width: HIDDEN, over_rows: true }.encode();
    let (mask, gradients) = (mask(rows * columns, rate), bf16(rows * HIDDEN));
    let mut out = Aligned::zeros(columns * HIDDEN);
    shortest(name, mask.len() + 2 * gradients.len() + 4 * out.len(), || {
        let outputs = &mut [Write::F32(&mut out)];
        run_product(&words, &[Read::Pred(&mask), Read::Bf16(&gradients)], outputs, &Threads(2)).expect("it fits");
    });
}

/// The gradient of the second convolution's input, with this share of the output's gradient different from 0.
fn convolution_gradient(share: f32) {
    let sizes = SparseConvolution {
        images: 64 * 16,
        input: [11, 11],
        window: [5, 5],
        output: [15, 15],
        features: [32, 12],
        input_dilation: [1, 1],
        strides: [1, 1],
        dilation: [1, 1],
        padding: [4, 4],
        result: Convolved::Output,
    };
    let [images, kernel, outputs] = sizes.counts().expect("it fits into memory");
    let (words, input) =
        (sizes.encode(), Aligned::new(images, |i| if noise(i) < share { noise(i + 1) - 0.5 } else { 0.0 }));
    let (factor, mut out) = (Aligned::new(kernel, |i| noise(i) - 0.5), Aligned::zeros(outputs));
    shortest(&format!("convolution, gradient of its input, share {share}"), 4 * (images + outputs), || {
        let outputs = &mut [Write::F32(&mut out)];
        run_convolution(&words, &[Read::F32(&input), Read::F32(&factor)], outputs, &Threads(2)).expect("it fits");
    });
}

/// A convolution of the network `conv` (64 steps of 16 images, windows of 5 x 5), or the gradient of its kernel.
fn convolution(name: &str, size: usize, features: [usize; 2], rate: f32, result: Convolved) {
    let output = size - 4;
    let sizes = SparseConvolution {
        images: 64 * 16,
        input: [size, size],
        window: [5, 5],
        output: [output, output],
        features,
        input_dilation: [1, 1],
        strides: [1, 1],
        dilation: [1, 1],
        padding: [0, 0],
        result,
    };
    let [images, kernel, outputs] = sizes.counts().expect("it fits into memory");
    let (given, computed) = if result == Convolved::Output { (kernel, outputs) } else { (outputs, kernel) };
    let (words, mask) = (sizes.encode(), mask(images, rate));
    let (factor, mut out) = (Aligned::new(given, |i| noise(i) - 0.5), Aligned::zeros(computed));
    shortest(name, images + 4 * given + 4 * computed, || {
        let outputs = &mut [Write::F32(&mut out)];
        run_convolution(&words, &[Read::Pred(&mask), Read::F32(&factor)], outputs, &Threads(2)).expect("it fits");
    });
}

fn main() {
    forward("forward, 700 inputs at a rate of 0.1", INPUTS, 0.1);
    forward("forward, 1024 silent inputs", HIDDEN, 0.0);
    forward("forward, 1024 inputs at a rate of 0.1", HIDDEN, 0.1);
    for share in [0.0, 0.1, 0.3, 0.5, 1.0] {
        backward(&format!("backward, product of 1024, needed: {share}"), HIDDEN, share);
    }
    for share in [0.0, 0.1, 1.0] {
        backward(&format!("backward, product of 20, needed: {share}"), CLASSES, share);
    }
    recurrent("recurrent backward");
    weights("weights, 700 inputs at a rate of 0.1", INPUTS, 0.1);
    weights("weights, 1024 silent inputs", HIDDEN, 0.0);
    weights("weights, 1024 inputs at a rate of 0.1", HIDDEN, 0.1);
    for share in [0.1, 0.3, 1.0] {
        convolution_gradient(share);
    }
    for (what, result) in [("output", Convolved::Output), ("gradient", Convolved::KernelGradient)] {
        convolution(&format!("convolution, {what}, 34 x 34 x 2 at a rate of 0.1"), 34, [2, 12], 0.1, result);
        convolution(&format!("convolution, {what}, 15 x 15 x 12 at a rate of 0.01"), 15, [12, 32], 0.01, result);
        convolution(&format!("convolution, {what}, 15 x 15 x 12 at a rate of 0.1"), 15, [12, 32], 0.1, result);
    }
}
