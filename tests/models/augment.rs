//! Augmentation in a compiled program: the effect of each transform on spikes, counts and numbers, and its frequency.

use spiq::augment::{Augmentation, Layout};
use spiq::pjrt::Client;
use spiq::random::Key;
use spiq::{Array, DType, Program, TensorType, trace};

/// Augments a batch in a program, as in training.
#[track_caller]
fn changed_of(text: &str, x: &Array, classes: &[i32], seed: i64) -> Array {
    let augmentation = Augmentation::parse(text).unwrap();
    let layout = Layout::of(&x.dims()[2..]).unwrap();
    augmentation.check_for(x.dims()[1], layout).unwrap();
    let labels = Array::new([classes.len()], classes).unwrap();
    let inputs = [("key", TensorType::new(DType::U32, [2])), ("x", x.ty().clone()), ("labels", labels.ty().clone())];
    let function = trace(&inputs, |v| vec![augmentation.apply(&v[0], layout, &v[1], &v[2])]).unwrap();
    let client = Client::cpu().unwrap();
    let program = Program::named("augment").compile(&client, &function).unwrap();
    let key = Array::new([2], Key::new(seed).words()).unwrap();
    let changed = client.run(&program, [&key, x, &labels]).unwrap().remove(0);
    assert_eq!(changed.ty(), x.ty());
    changed
}

#[track_caller]
fn changed(text: &str, x: &Array) -> Array {
    changed_of(text, x, &vec![0; x.dims()[0]], 3)
}

fn array(dtype: DType, dims: &[usize], of: impl Fn(&[usize]) -> f64) -> Array {
    let count = dims.iter().product();
    let place = |mut i: usize| {
        let mut place = vec![0; dims.len()];
        for axis in (0..dims.len()).rev() {
            (place[axis], i) = (i % dims[axis], i / dims[axis]);
        }
        of(&place)
    };
    let values: Vec<f64> = (0..count).map(place).collect();
    match dtype {
        DType::Pred => Array::new(dims, values.iter().map(|x| *x != 0.0).collect::<Vec<bool>>()).unwrap(),
        DType::S8 => Array::new(dims, values.iter().map(|x| *x as i8).collect::<Vec<i8>>()).unwrap(),
        _ => Array::new(dims, values.iter().map(|x| *x as f32).collect::<Vec<f32>>()).unwrap(),
    }
}

/// Samples [T·…] of a batch.
fn samples(x: &Array) -> Vec<Vec<f64>> {
    let all = x.to_f64();
    all.chunks(all.len() / x.dims()[0]).map(<[f64]>::to_vec).collect()
}

/// A pattern without symmetries.
fn pattern(place: &[usize]) -> f64 {
    f64::from(u8::from((place[1] * 5 + place[2] * 3 + place[1] * place[2]).is_multiple_of(4)))
}

const TYPES: [DType; 3] = [DType::Pred, DType::S8, DType::F32];

/// Checks that each sample is the pattern shifted along an axis by one of `-max..=max`, and that each shift occurs.
#[track_caller]
fn moves(text: &str, axis: usize, max: i64) {
    for dtype in TYPES {
        let dims = [60, 9, 7];
        let x = array(dtype, &dims, pattern);
        let shifted = |by: i64| {
            samples(&array(dtype, &[1, 9, 7], |place| {
                let mut from = [0, place[1] as i64, place[2] as i64];
                from[axis] -= by;
                let inside = (0..dims[axis] as i64).contains(&from[axis]);
                if inside { pattern(&from.map(|i| i as usize)) } else { 0.0 }
            }))
            .remove(0)
        };
        let all: Vec<Vec<f64>> = (-max..=max).map(shifted).collect();
        let mut seen = vec![0; all.len()];
        for sample in samples(&changed(text, &x)) {
            seen[all.iter().position(|one| *one == sample).expect("a move of the pattern")] += 1;
        }
        assert!(seen.iter().all(|count| *count > 0), "{text} {dtype}: {seen:?}");
    }
}

#[test]
fn samples_are_moved_each_by_its_own_distance() {
    moves("TimeShift(max = 3)", 1, 3);
    moves("ChannelShift(max = 2)", 2, 2);
}

#[test]
fn a_sensor_is_moved_along_both_axes() {
    let x = array(DType::Pred, &[200, 2, 5, 5, 2], |place| f64::from(u8::from(place[2..] == [2, 2, 1])));
    let mut seen = std::collections::BTreeSet::new();
    for sample in samples(&changed("SpatialShift(max = 1)", &x)) {
        let places: Vec<usize> = (0..sample.len()).filter(|i| sample[*i] != 0.0).collect();
        assert_eq!((places.len(), places[1] - places[0]), (2, 50), "one a step, at the same place");
        let (row, column, polarity) = (places[0] / 10, places[0] / 2 % 5, places[0] % 2);
        assert!((1..=3).contains(&row) && (1..=3).contains(&column) && polarity == 1);
        seen.insert((row, column));
    }
    assert_eq!(seen.len(), 9);
}

/// Mean and variance of numbers.
fn moments(x: &[f64]) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    (mean, x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64)
}

#[test]
fn each_event_of_a_count_is_lost_by_itself() {
    for n in [1.0, 6.0, 127.0] {
        let x = array(DType::S8, &[20, 50, 40], |_| n);
        for p in [0.1, 0.5, 0.97] {
            let left = changed(&format!("DropEvent(p = {p})"), &x).to_f64();
            assert!(left.iter().all(|left| (0.0..=n).contains(left)));
            let ((mean, variance), count) = (moments(&left), left.len() as f64);
            let (aim, spread) = (n * (1.0 - p), n * p * (1.0 - p));
            assert!((mean - aim).abs() < 5.0 * (spread / count).sqrt(), "{n} {p}: mean {mean}, not {aim}");
            // The variance of a sample variance, for a nearly normal distribution.
            assert!((variance / spread - 1.0).abs() < 0.05, "{n} {p}: variance {variance}, not {spread}");
        }
        assert_eq!(changed("DropEvent(p = 0)", &x), x);
        assert_eq!(changed("DropEvent(p = 1)", &x), Array::zeros(x.ty().clone()));
    }
}

#[test]
fn spikes_and_numbers_are_lost_as_a_whole() {
    for (dtype, value) in [(DType::Pred, 1.0), (DType::F32, -2.5)] {
        let left = changed("DropEvent(p = 0.25)", &array(dtype, &[20, 50, 40], |_| value)).to_f64();
        assert!(left.iter().all(|x| *x == 0.0 || *x == value));
        let lost = left.iter().filter(|x| **x == 0.0).count() as f64 / left.len() as f64;
        assert!((lost - 0.25).abs() < 0.01, "{lost}");
    }
    // Each sample has its own probability.
    let x = array(DType::Pred, &[40, 50, 40], |_| 1.0);
    let rates: Vec<f64> =
        samples(&changed("DropEvent(p = [0.2, 0.6])", &x)).iter().map(|x| 1.0 - moments(x).0).collect();
    let (low, high) = rates.iter().fold((1.0, 0.0), |(low, high): (f64, f64), x| (low.min(*x), high.max(*x)));
    assert!((0.17..0.26).contains(&low) && (0.54..0.63).contains(&high), "{low} {high}");
}

#[test]
fn a_span_of_time_or_a_block_of_pixels_is_emptied() {
    let x = array(DType::Pred, &[80, 10, 4], |_| 1.0);
    let mut starts = std::collections::BTreeSet::new();
    for sample in samples(&changed("DropEventByTime(duration_ratio = 0.3)", &x)) {
        let empty: Vec<usize> = (0..10).filter(|t| sample[t * 4..][..4] == [0.0; 4]).collect();
        assert_eq!(empty, (empty[0]..empty[0] + 3).collect::<Vec<_>>());
        assert_eq!(sample.iter().sum::<f64>(), 28.0);
        starts.insert(empty[0]);
    }
    assert_eq!(starts, (0..=7).collect());
    let x = array(DType::Pred, &[60, 2, 4, 10, 2], |_| 1.0);
    for sample in samples(&changed("DropEventByArea(area_ratio = 0.5)", &x)) {
        let empty: Vec<(usize, usize)> =
            (0..40).filter(|pixel| sample[pixel * 2] == 0.0).map(|pixel| (pixel / 10, pixel % 10)).collect();
        let (row, column) = empty[0];
        let block: Vec<_> =
            (row..row + 2).flat_map(|row| (column..column + 5).map(move |column| (row, column))).collect();
        assert_eq!((empty, sample.iter().sum::<f64>()), (block, 120.0));
    }
    // A cochlea has no rows.
    for sample in samples(&changed("DropEventByArea(area_ratio = 0.25)", &array(DType::S8, &[9, 3, 8], |_| 2.0))) {
        assert_eq!(sample.iter().sum::<f64>(), 36.0);
    }
    let x = array(DType::Pred, &[50, 3, 40], |_| 1.0);
    let left: Vec<Vec<f64>> = samples(&changed("RandomDropPixel(p = 0.3)", &x));
    assert!(left.iter().all(|sample| sample[..40] == sample[40..80] && sample[..40] == sample[80..]));
    let lost = 1.0 - moments(&left.concat()).0;
    assert!((lost - 0.3).abs() < 0.04, "{lost}");
}

#[test]
fn event_drop_draws_one_of_four() {
    let sums: Vec<f64> = samples(&changed("EventDrop", &array(DType::Pred, &[400, 20, 20], |_| 1.0)))
        .iter()
        .map(|sample| sample.iter().sum())
        .collect();
    let part = |fits: &dyn Fn(f64) -> bool| sums.iter().filter(|sum| fits(**sum)).count() as f64 / 400.0;
    let whole = part(&|sum| sum == 400.0);
    assert!((0.18..0.32).contains(&whole), "{whole} stay as they are");
    // Spans and blocks remove multiples of a twentieth; random drops rarely do.
    let even = part(&|sum| sum % 20.0 == 0.0);
    assert!((0.68..0.86).contains(&even), "{even}");
}

/// Checks that each sample is the pattern or its flipped version, with the frequencies given by `p`.
#[track_caller]
fn flips(text: &str, dims: &[usize], p: f64, flipped: impl Fn(&mut [usize])) {
    let value = |place: &[usize]| {
        let sum: usize = place.iter().enumerate().skip(1).map(|(axis, i)| (axis + 2) * (i + axis) * (i + axis)).sum();
        f64::from(u8::from(sum % 7 < 3))
    };
    for dtype in TYPES {
        let x = array(dtype, dims, value);
        let other = array(dtype, dims, |place| {
            let mut place = place.to_vec();
            flipped(&mut place);
            value(&place)
        });
        let (own, other) = (samples(&x).remove(0), samples(&other).remove(0));
        assert_ne!(own, other, "a pattern that shows the difference");
        let changed = samples(&changed(text, &x));
        let count = changed.iter().filter(|sample| **sample == other).count();
        assert_eq!(changed.iter().filter(|sample| **sample == own).count(), changed.len() - count);
        let part = count as f64 / changed.len() as f64;
        assert!((part - p).abs() < 0.1, "{text}: {part}");
    }
}

#[test]
fn samples_are_flipped_whole() {
    let sensor = [300, 4, 3, 5, 2];
    flips("RandomFlipLR(p = 0.3)", &[300, 4, 6], 0.3, |place| place[2] = 5 - place[2]);
    flips("RandomFlipLR", &sensor, 0.5, |place| place[3] = 4 - place[3]);
    flips("RandomFlipUD", &sensor, 0.5, |place| place[2] = 2 - place[2]);
    flips("RandomFlipPolarity(p = 0.8)", &sensor, 0.8, |place| place[4] = 1 - place[4]);
    flips("RandomTimeReversal", &[300, 4, 6], 0.5, |place| place[1] = 3 - place[1]);
    flips("RandomTimeReversal(p = 1)", &sensor, 1.0, |place| {
        (place[1], place[4]) = (3 - place[1], 1 - place[4]);
    });
    flips("RandomTimeReversal(flip_polarities = false)", &sensor, 0.5, |place| place[1] = 3 - place[1]);
}

#[test]
fn jitter_moves_elements_by_normal_distances() {
    for (text, axis) in [("TimeJitter(std = 1.5)", 1), ("SpatialJitter(var_x = 2.25, var_y = 0)", 2)] {
        // A single event far from the ends, so that none is lost.
        let x = array(DType::Pred, &[4000, 20, 20], |place| f64::from(u8::from(place[1..] == [10, 10])));
        let by: Vec<f64> = samples(&changed(text, &x))
            .iter()
            .map(|sample| {
                let place = sample.iter().position(|x| *x != 0.0).expect("no event is lost");
                assert_eq!(sample.iter().sum::<f64>(), 1.0);
                let (time, channel) = (place / 20, place % 20);
                assert_eq!(if axis == 1 { channel } else { time }, 10, "along one axis alone");
                (if axis == 1 { time } else { channel }) as f64 - 10.0
            })
            .collect();
        let (mean, variance) = moments(&by);
        // Rounding adds 1/12; clipping at 5 steps removes little.
        assert!(mean.abs() < 0.12 && (variance - 2.25 - 1.0 / 12.0).abs() < 0.2, "{text}: {mean} {variance}");
        assert!(by.iter().all(|by| by.abs() <= 5.0) && by.iter().any(|by| by.abs() >= 4.0));
    }
    // Events that coincide are added, or merge into one spike.
    let all = array(DType::S8, &[20, 30, 10], |_| 100.0);
    let jittered = changed("TimeJitter(std = 1)", &all).to_f64();
    assert!(jittered.iter().all(|x| [0.0, 100.0, 127.0].contains(x)) && jittered.contains(&127.0));
}

#[test]
fn stretched_time_takes_each_event_along_once() {
    let x = array(DType::F32, &[3, 12, 2], |place| (place[1] * 2 + place[2] + 1) as f64);
    assert_eq!(changed("TimeSkew(coefficient = 1)", &x), x);
    for (text, factor, offset) in [
        ("TimeSkew(coefficient = 2)", 2.0, 0.0),
        ("TimeSkew(coefficient = 0.3)", 0.3, 0.0),
        ("TimeSkew(coefficient = 0.7, offset = 2)", 0.7, 2.0),
        ("TimeSkew(coefficient = 1.3, offset = -3.25)", 1.3, -3.25),
    ] {
        let mut expected = vec![0.0; 24];
        for t in 0..12 {
            let to = ((t as f64 + 0.5) * factor + offset).floor();
            if (0.0..12.0).contains(&to) {
                (0..2).for_each(|channel| expected[to as usize * 2 + channel] += (t * 2 + channel + 1) as f64);
            }
        }
        assert_eq!(samples(&changed(text, &x)), vec![expected; 3], "{text}");
    }
    // Nothing is lost when time is shortened, whatever the coefficient.
    let x = array(DType::F32, &[200, 12, 1], |_| 1.0);
    let skewed = samples(&changed("TimeSkew(coefficient = [0.4, 0.95])", &x));
    assert!(skewed.iter().all(|sample| sample.iter().sum::<f64>() == 12.0));
    let ends: Vec<usize> = skewed.iter().map(|sample| sample.iter().rposition(|x| *x != 0.0).unwrap()).collect();
    assert_eq!((ends.iter().min(), ends.iter().max()), (Some(&4), Some(&10)));
}

#[test]
fn noise_comes_on_top() {
    for dtype in TYPES {
        let x = array(dtype, &[30, 50, 40], |place| f64::from(u8::from(place[2] < 10)));
        let noisy = changed("UniformNoise(rate = 0.05)", &x);
        let more: Vec<f64> = noisy.to_f64().iter().zip(x.to_f64()).map(|(after, before)| after - before).collect();
        assert!(more.iter().all(|more| [0.0, 1.0].contains(more)));
        let (rate, aim) = (moments(&more).0, if dtype == DType::Pred { 0.05 * 0.75 } else { 0.05 });
        assert!((rate - aim).abs() < 0.004, "{dtype}: {rate}");
    }
    let full = array(DType::S8, &[2, 5, 4], |_| 127.0);
    assert_eq!(changed("UniformNoise(rate = 1)", &full), full, "counts end at 127");
}

#[test]
fn a_sample_is_blended_with_one_of_its_class() {
    // Samples 0 and 1 have the same class, at different times; sample 2 has its own class.
    let x = array(DType::Pred, &[3, 20, 50], |place| {
        let first = [4, 8, 4][place[0]];
        f64::from(u8::from((first..first + 3).contains(&place[1]) && place[0] != 2 || place[0] == 2 && place[1] == 9))
    });
    let before = samples(&x);
    let after = samples(&changed_of("Blend(p = 1)", &x, &[5, 5, 1], 0));
    assert_eq!(after[2], before[2], "nobody to blend with");
    for (own, blended) in before.iter().zip(&after).take(2) {
        // The other sample overlaps it, so an event of either remains with probability 3/4.
        assert!(own.iter().zip(blended).all(|(own, blended)| *own == 1.0 || *blended == 0.0));
        let part = blended.iter().sum::<f64>() / own.iter().sum::<f64>();
        assert!((part - 0.75).abs() < 0.12, "{part}");
    }
    assert_eq!(changed_of("Blend(p = 0)", &x, &[5, 5, 1], 0), x);
    // Blended counts have the mean of both.
    let x = array(DType::S8, &[2, 30, 30], |place| if place[0] == 0 { 4.0 } else { 12.0 });
    for sample in samples(&changed_of("Blend(p = 1)", &x, &[0, 0], 0)) {
        assert!((moments(&sample).0 - 8.0).abs() < 0.4);
    }
}

#[test]
fn several_are_applied_in_turn_and_the_key_alone_decides() {
    let x = array(DType::S8, &[16, 20, 12], |place| (place[1] % 3) as f64);
    let text =
        "TimeShift(max = 5), ChannelShift(max = 3), DropEvent(p = 0.1), UniformNoise(rate = 0.01), TimeJitter(std = 1)";
    let one = changed_of(text, &x, &[0; 16], 1);
    assert_eq!(one, changed_of(text, &x, &[0; 16], 1));
    assert_ne!(one, changed_of(text, &x, &[0; 16], 2));
    assert_ne!(one, x);
    // Two identical transforms draw independently.
    let twice = changed_of("RandomFlipLR(p = 0.5), RandomFlipLR(p = 0.5)", &x, &[0; 16], 1);
    let asymmetric = array(DType::S8, &[16, 20, 12], |place| place[2] as f64);
    assert_eq!(twice, x, "all channels are alike");
    assert_ne!(changed_of("RandomFlipLR(p = 0.5), RandomFlipLR(p = 0.5)", &asymmetric, &[0; 16], 1), asymmetric);
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |text: &str| Augmentation::parse(text).unwrap_err().to_string();
    assert_eq!(refused("DropEvent(p = 1.5)"), "`p` of `DropEvent(p = 1.5)` must be from 0 to 1");
    assert_eq!(refused("TimeShift(max = 0)"), "`max` of `TimeShift(max = 0)` must be at least 1");
    assert!(refused("TimeShft(max = 3)").starts_with("there is no augmentation `TimeShft`; did you mean `TimeShift`?"));
    assert!(refused("DropEvent(pp = 0.5)").contains("did you mean `p`?"));
    for text in [
        "TimeJitter(std = 0)",
        "TimeSkew(coefficient = 0.1)",
        "SpatialJitter(var_x = -1)",
        "Blend(p = -0.1)",
        "none, Blend",
    ] {
        refused(text);
    }
    let channels = Layout::of(&[70]).unwrap();
    let unfit = |text: &str| Augmentation::parse(text).unwrap().check_for(100, channels).unwrap_err().to_string();
    assert_eq!(
        unfit("TimeShift(max = 100)"),
        "`TimeShift(max = 100)` moves samples of 100 time steps out completely; give a smaller `max`"
    );
    assert_eq!(
        unfit("RandomFlipUD"),
        "`RandomFlipUD(p = 0.5)` is for samples with rows and columns, which these do not have; leave it out"
    );
    for text in [
        "RandomFlipPolarity",
        "SpatialShift(max = 1)",
        "ChannelShift(max = 70)",
        "TimeSkew(coefficient = 1, offset = 101)",
    ] {
        unfit(text);
    }
    assert!(Layout::of(&[2, 3, 4, 5]).is_err());
}

/// Half of the samples are unchanged; the others lose leading channels, up to the given number.
#[test]
fn a_low_cut_takes_the_first_channels() {
    let x = array(DType::S8, &[400, 2, 12], |_| 3.0);
    let kept = |sample: &[f64]| sample[..12].iter().filter(|x| **x == 3.0).count();
    let changed = samples(&changed("LowCut(max = 5)", &x));
    for sample in &changed {
        let first = 12 - kept(sample);
        assert!(first <= 5 && sample[..first].iter().all(|x| *x == 0.0) && sample[..12] == sample[12..], "{sample:?}");
    }
    let of = |kept_channels: usize| changed.iter().filter(|sample| kept(sample) == kept_channels).count();
    assert!((160..=240).contains(&of(12)), "{} of 400 keep all", of(12));
    assert!((7..12).all(|channels| of(channels) > 15), "each cut occurs");
}

/// Some samples lose elements, with a rate that varies over channels up to the given maximum.
#[test]
fn a_spectral_drop_changes_smoothly_over_channels() {
    let (time, channels) = (500, 31);
    let x = array(DType::Pred, &[40, time, channels], |_| 1.0);
    let changed = samples(&changed("SpectralDrop(p = 0.5, max = 0.6, knots = 4)", &x));
    let lost = |sample: &Vec<f64>| -> Vec<f64> {
        let rate = |channel| (0..time).filter(|t| sample[t * channels + channel] == 0.0).count() as f64 / time as f64;
        (0..channels).map(rate).collect()
    };
    let rates: Vec<Vec<f64>> = changed.iter().map(lost).filter(|rates| rates.iter().any(|rate| *rate > 0.0)).collect();
    assert!((10..=30).contains(&rates.len()), "{} of 40 lose something", rates.len());
    for rates in &rates {
        assert!(rates.iter().all(|rate| *rate < 0.6 + 0.08), "{rates:?}");
        // Knots are 10 channels apart, so neighbours differ by a tenth of 0.6 plus the noise of 500 draws.
        assert!(rates.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.06 + 0.1), "{rates:?}");
        let middle = (rates[0] + rates[10]) / 2.0;
        assert!((rates[5] - middle).abs() < 0.08, "between knots it is a straight line: {rates:?}");
    }
    let means: Vec<f64> = rates.iter().map(|rates| rates.iter().sum::<f64>() / channels as f64).collect();
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    assert!((0.2..0.4).contains(&mean), "half of the largest on average: {mean}");
}
