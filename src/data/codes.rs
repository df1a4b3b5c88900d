//! Spike codes inside the compiled step: turns values into spikes over time.

use spiq_hlo::{Array, DType, Tensor, TensorType};

use super::encoder::Code;
use crate::random::GraphKey;

/// snnTorch's margin between values and the threshold, where the logarithm is infinite.
const EPSILON: f64 = 1e-7;

impl Code {
    /// Spikes [T, …] of values from 0 to 1, f32; codes with several neurons per value append an axis of neurons.
    #[track_caller]
    pub(super) fn spikes(self, key: &GraphKey, values: &Tensor, steps: usize) -> Tensor {
        let x = values.clamp(0.0, 1.0);
        match self {
            Code::Rate { max_r } => {
                let p = if max_r == 1.0 { values.clone() } else { values * max_r };
                key.bernoulli(&[&[steps], x.dims()].concat(), &p)
            }
            Code::Latency { clip, threshold, .. } => {
                let spikes = at_steps(&self.latency(&x, steps), steps);
                // As in snnTorch, only `clip` distinguishes a value at the threshold from those below it.
                if clip { spikes.and(x.ge(threshold)) } else { spikes }
            }
            Code::Angle { neuron_count, min_val, max_val } => {
                let hot = one_hot(values, neuron_count, (min_val as f32, max_val as f32));
                hot.broadcast_to(&[&[steps], hot.dims()].concat())
            }
            Code::Population { threshold, latency, .. } => {
                let activation = self.activation(values);
                if !latency {
                    return key.bernoulli(&[&[steps], activation.dims()].concat(), &activation);
                }
                let times = (1.0 - &activation) * (steps - 1) as f64;
                at_steps(&times, steps).and(activation.ge(threshold))
            }
            Code::Delta { .. } => unreachable!("refused for values that do not change"),
        }
    }

    /// Spikes [B, T, …] of values [B, T, …], f32.
    #[track_caller]
    pub(super) fn over_time(self, values: &Tensor) -> Tensor {
        match self {
            Code::Angle { neuron_count, min_val, max_val } => {
                one_hot(values, neuron_count, (min_val as f32, max_val as f32))
            }
            Code::Delta { threshold, padding, off_spike } => {
                let first = values.slice_axis(1, 0, 1);
                let before = if padding { first } else { first.zeros_like() };
                let steps = values.dims()[1];
                let before = spiq_hlo::concatenate(&[&before, &values.slice_axis(1, 0, steps - 1)], 1);
                let change = values - before;
                let on = change.ge(threshold);
                if !off_spike {
                    return on;
                }
                on.convert(DType::S8) - change.le(-threshold).convert(DType::S8)
            }
            Code::Rate { .. } | Code::Latency { .. } | Code::Population { .. } => {
                unreachable!("refused for values over time")
            }
        }
    }

    /// The step of each value's spike, before rounding, f32.
    fn latency(self, x: &Tensor, steps: usize) -> Tensor {
        let Code::Latency { tau, threshold, first_spike_time, normalize, linear, .. } = self else {
            unreachable!("a latency code")
        };
        let first = first_spike_time as f64;
        let room = (steps - 1) as f64 - first;
        if linear {
            let tau = if normalize { room } else { tau };
            let last = -tau * (threshold - 1.0);
            return ((x - 1.0) * -tau).minimum(last) + first;
        }
        let after = |x: &Tensor| (x / (x - threshold)).log() * tau;
        let time = after(&x.maximum(threshold + EPSILON));
        if !normalize {
            return time + first;
        }
        // snnTorch divides by the latest time in the batch. This divides by the time of a value below the threshold, so that the spikes of
        // a sample do not depend on the rest of the batch.
        let latest = after(&x.graph().scalar(DType::F32, threshold + EPSILON));
        time * room / latest + first
    }

    /// Each neuron's activation by each value, from 0 to 1, by distance from the neuron's centre: [..., neurons].
    fn activation(self, values: &Tensor) -> Tensor {
        let Code::Population { neuron_count, beta, min_val, max_val, .. } = self else {
            unreachable!("a population code")
        };
        let unit = (max_val - min_val) / (neuron_count - 2) as f64;
        // Neurons are numbered from 1; the first and last centres lie half a unit outside the range.
        let centre = |i: usize| (min_val + (2.0 * i as f64 - 3.0) / 2.0 * unit) as f32;
        let away = (beside(values) - neurons(values, (1..=neuron_count).map(centre).collect())) * (beta / unit);
        (&away * &away * -0.5).exp()
    }
}

/// Spikes of each element at the step nearest to its time, ties to even; no spike for times past the last step. [T, …]
#[track_caller]
fn at_steps(times: &Tensor, steps: usize) -> Tensor {
    let dims = [&[steps], times.dims()].concat();
    let step = times.graph().iota(TensorType::new(DType::F32, dims), 0);
    step.eq(times.round_nearest_even())
}

/// One-hot encoding of the part of a range, of `count`, that each value lies in; the last part begins at the end of the range. [..., count]
#[track_caller]
fn one_hot(values: &Tensor, count: usize, (low, high): (f32, f32)) -> Tensor {
    // Like `jnp.linspace`.
    let start = |i: usize| {
        let part = i as f32 / (count - 1) as f32;
        if i + 1 == count { high } else { low * (1.0 - part) + high * part }
    };
    let starts = neurons(values, (0..count).map(start).collect());
    let begun = beside(values).ge(&starts);
    // The last part that has begun; clamped to the first part below the range and to the last part above it.
    let rank = values.rank();
    let part = (begun.convert(DType::S32).reduce_sum([rank]) - 1.0).maximum(0.0);
    let number = values.graph().iota(TensorType::new(DType::S32, begun.dims()), rank);
    beside(&part).eq(&number)
}

/// With a trailing axis of size 1.
#[track_caller]
fn beside(values: &Tensor) -> Tensor {
    values.expand_dims(-1)
}

/// One number per neuron, along an axis after those of the values.
#[track_caller]
fn neurons(values: &Tensor, numbers: Vec<f32>) -> Tensor {
    let mut dims = vec![1; values.rank()];
    dims.push(numbers.len());
    values.graph().constant(&Array::new(dims, numbers).expect("one number per neuron"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use spiq_hlo::trace;

    use super::*;
    use crate::compile::Program;
    use crate::data::{ArrayFile, Coding, Encoding, Inputs};
    use crate::pjrt::Client;
    use crate::random::Key;

    fn reference() -> ArrayFile {
        ArrayFile::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/encoders.safetensors")).unwrap()
    }

    /// Samples of a file as the network sees them, [T, N, …].
    #[track_caller]
    fn encoded(name: &str, samples: Array, code: &str, steps: usize) -> Array {
        let arrays = [(name.to_owned(), samples)].into();
        let file = ArrayFile { arrays, ..ArrayFile::default() };
        let inputs = Inputs::from_file(&file, "test").unwrap().encoded(Code::parse(code).unwrap()).unwrap();
        let coding = inputs.coding();
        assert_eq!(Coding::from_name(&coding.to_string()), Some(coding));
        let encoding = Encoding::coded(&inputs, coding, steps).shaped(inputs.encoded_features());
        let count = inputs.count();
        let given = [("key", TensorType::new(DType::U32, [2])), ("stored", encoding.stored_type(count))];
        let function = trace(&given, |v| vec![encoding.encode(&v[0], &v[1])]).unwrap();
        assert_eq!(function.result_types(), [encoding.x_type(count)]);
        let client = Client::cpu().unwrap();
        let program = Program::named("encode").compile(&client, &function).unwrap();
        let key = Array::new([2], Key::new(4).words()).unwrap();
        client.run(&program, [&key, inputs.samples()]).unwrap().remove(0)
    }

    /// Images of bytes and values over time give exactly the spikes of snnTorch and Spyx.
    #[test]
    fn codes_give_the_numbers_of_snntorch_and_spyx() {
        let file = reference();
        let mut count = 0;
        for (name, theirs) in &file.arrays {
            let Some((kind, code)) = name.split_once('/') else { continue };
            let stored = if kind == "x" { "images" } else { "inputs" };
            let samples = file.arrays[if kind == "x" { "images" } else { "values" }].clone();
            let code = match code {
                // Spyx is silent at exactly the threshold, which no byte hits.
                "spyx latency_code" => "Latency(linear = true, normalize = true, clip = true)",
                code => code,
            };
            let (ours, theirs) = (encoded(stored, samples, code, 20).to_f64(), theirs.to_f64());
            let theirs = match ours.len() / theirs.len() {
                1 => theirs,
                // Spyx returns a single step.
                steps => theirs.repeat(steps),
            };
            let wrong: Vec<usize> = (0..ours.len()).filter(|i| ours[*i] != theirs[*i]).collect();
            assert!(wrong.is_empty(), "{name}: {} of {}, the first at {}", wrong.len(), ours.len(), wrong[0]);
            count += 1;
        }
        assert_eq!(count, 16);
    }

    /// snnTorch divides by the latest time in the batch: without a dark pixel, the other pixels would spike later.
    #[test]
    fn a_samples_latencies_do_not_depend_on_the_others() {
        let bright = Array::new([1, 2], [200u8, 100]).unwrap();
        let both = Array::new([2, 2], [200u8, 100, 0, 255]).unwrap();
        let code = "Latency(normalize = true, threshold = 0.3)";
        let (alone, with) = (encoded("images", bright, code, 20).to_f64(), encoded("images", both, code, 20).to_f64());
        let of_first: Vec<f64> = with.chunks(4).flat_map(|step| step[..2].to_vec()).collect();
        assert_eq!(alone, of_first);
    }

    #[test]
    fn a_population_answers_around_its_centres() {
        let samples = Array::new([1, 3], [0u8, 127, 255]).unwrap();
        // Centres of 5 neurons from 0 to 1: -1/6, 1/6, 1/2, 5/6, 7/6; Gaussian with standard deviation 1/3 / 1.5.
        let activation = |x: f64, i: usize| {
            let away = (x / 255.0 - (2.0 * i as f64 - 1.0) / 6.0) * 4.5;
            (-away * away / 2.0).exp()
        };
        let spikes = encoded("images", samples.clone(), "Population(neuron_count = 5)", 10).to_f64();
        for (v, x) in [0.0, 127.0, 255.0].into_iter().enumerate() {
            for i in 0..5 {
                let train: Vec<f64> = (0..10).map(|t| spikes[(t * 3 + v) * 5 + i]).collect();
                let a = activation(x, i);
                let expected = if a < 0.1 { None } else { Some(((1.0 - a) * 9.0).round_ties_even() as usize) };
                assert_eq!(train.iter().position(|s| *s == 1.0), expected, "{x} {i}");
                assert_eq!(train.iter().sum::<f64>(), f64::from(u8::from(expected.is_some())));
            }
        }
        let rates = encoded("images", samples, "Population(neuron_count = 5, latency = false)", 4000).to_f64();
        for i in 0..5 {
            let rate = (0..4000).map(|t| rates[(t * 3 + 1) * 5 + i]).sum::<f64>() / 4000.0;
            assert!((rate - activation(127.0, i)).abs() < 0.04, "{i}: {rate}");
        }
    }

    #[test]
    fn rates_are_the_part_that_is_asked_for() {
        let samples = Array::new([1, 2], [255u8, 51]).unwrap();
        let spikes = encoded("images", samples, "Rate(max_r = 0.75)", 4000).to_f64();
        let rate = |place: usize| spikes.iter().skip(place).step_by(2).sum::<f64>() / 4000.0;
        assert!((rate(0) - 0.75).abs() < 0.03 && (rate(1) - 0.15).abs() < 0.03, "{} {}", rate(0), rate(1));
    }
}
