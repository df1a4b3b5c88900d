//! Transforms compared with tonic's numbers (reference/transforms.py), the cases where tonic is wrong, and the distributions of random
//! transforms.

use spiq_events::{Events, Pipeline, Sensor};
use toml::{Table, Value};

const SENSOR: Sensor = Sensor { width: 34, height: 34, polarities: 2 };

/// A real recording of N-MNIST (Orchard and others 2015), CC BY-SA 4.0: 5 bytes per event.
const NMNIST: &[u8] = include_bytes!("reference/sample_nmnist.bin");

pub fn reference() -> Table {
    toml::from_str(include_str!("reference/transforms.toml")).expect("the numbers of tonic")
}

pub fn nmnist() -> Events {
    let mut events = Events::default();
    for event in NMNIST.chunks_exact(5) {
        let [x, y, high, middle, low] = *event else { unreachable!("chunks of five") };
        let t = i64::from(high & 127) << 16 | i64::from(middle) << 8 | i64::from(low);
        events.push(t, x.into(), y.into(), high >> 7 == 1);
    }
    events
}

fn integers(value: &Value) -> Vec<i64> {
    value.as_array().expect("a list").iter().map(|x| x.as_integer().expect("an integer")).collect()
}

/// Events from columns t, x, y, p.
fn of_columns(columns: [Vec<i64>; 4]) -> Events {
    let [t, x, y, p] = columns;
    let narrow = |column: Vec<i64>| column.into_iter().map(|x| x as u16).collect();
    Events { t, x: narrow(x), y: narrow(y), p: p.into_iter().map(|p| p == 1).collect() }
}

pub fn drawn(reference: &Table) -> Events {
    of_columns(["t", "x", "y", "p"].map(|name| integers(&reference["drawn"][name])))
}

/// As in transforms.py.
pub fn checksum(values: impl IntoIterator<Item = i64>) -> String {
    values
        .into_iter()
        .fold(0u64, |sum, value| sum.wrapping_mul(1_000_003).wrapping_add(value as u64).wrapping_add(12345))
        .to_string()
}

fn checksum_of(events: &Events) -> String {
    let [x, y] = [&events.x, &events.y].map(|column| column.iter().map(|x| i64::from(*x)));
    checksum(events.t.iter().copied().chain(x).chain(y).chain(events.p.iter().map(|p| i64::from(*p))))
}

fn later(mut events: Events, by: i64) -> Events {
    events.t.iter_mut().for_each(|t| *t += by);
    events
}

/// Applies transforms and checks that the output is sorted by time and within its sensor.
#[track_caller]
fn applied(text: &str, mut events: Events, sensor: Sensor, sample: u64) -> Events {
    let pipeline = Pipeline::parse(text).unwrap();
    let after = pipeline.sensor(sensor).unwrap();
    pipeline.apply(&mut events, sensor, 7, sample);
    assert!(events.t.is_sorted(), "{text}");
    assert!(events.x.iter().all(|x| *x < after.width) && events.y.iter().all(|y| *y < after.height), "{text}");
    events
}

#[test]
fn deterministic_transforms_are_tonics() {
    let reference = reference();
    let cases = reference["case"].as_array().unwrap();
    assert_eq!(cases.len(), 28);
    for case in cases {
        let text = case["transform"].as_str().unwrap();
        for (name, events) in [("drawn", drawn(&reference)), ("nmnist", nmnist())] {
            let after = applied(text, later(events, case["later"].as_integer().unwrap()), SENSOR, 0);
            if name == "drawn" {
                let columns: Vec<Vec<i64>> = case["after"].as_array().unwrap().iter().map(integers).collect();
                assert_eq!(after, of_columns(columns.try_into().unwrap()), "{text}");
            }
            assert_eq!(after.len() as i64, case[format!("{name}_count")].as_integer().unwrap(), "{text} {name}");
            assert_eq!(checksum_of(&after), case[format!("{name}_checksum")].as_str().unwrap(), "{text} {name}");
        }
    }
}

/// tonic starts as if each pixel had fired at time 0, and so keeps all isolated events in the first `filter_time`.
#[test]
fn nothing_has_fired_before_the_first_event() {
    let at = |t: i64| {
        let mut events = Events::default();
        events.push(t, 5, 5, true);
        events.push(t + 100, 20, 20, true);
        events.push(t + 200, 20, 21, true);
        events
    };
    for start in [0, 10_000] {
        let left = applied("Denoise(filter_time = 1000)", at(start), SENSOR, 0);
        assert_eq!((left.x, left.y), (vec![20], vec![21]), "whenever the recording begins");
    }
}

/// tonic drops a pixel's first event if its time is 0.
#[test]
fn the_first_event_of_a_pixel_comes_after_none() {
    let mut events = Events::default();
    [0, 500, 1600].into_iter().for_each(|t| events.push(t, 1, 1, true));
    assert_eq!(applied("RefractoryPeriod(delta = 1000)", events, SENSOR, 0).t, [0, 1600]);
}

/// tonic keeps the end of the first recording for all later ones.
#[test]
fn a_crop_without_an_end_is_without_one_for_each_recording() {
    let pipeline = Pipeline::parse("CropTime(min = 5)").unwrap();
    for last in [10, 1_000_000] {
        let mut events = Events::default();
        [0, 5, last].into_iter().for_each(|t| events.push(t, 1, 1, true));
        pipeline.apply(&mut events, SENSOR, 0, 0);
        assert_eq!(events.t, [5, last]);
    }
}

/// The merged polarity is 1, not 0, so that frames with one polarity include all events.
#[test]
fn merged_polarities_are_one() {
    let pipeline = Pipeline::parse("MergePolarities").unwrap();
    assert_eq!(pipeline.sensor(SENSOR).unwrap(), Sensor { polarities: 1, ..SENSOR });
    let (before, after) = (nmnist(), applied("MergePolarities", nmnist(), SENSOR, 0));
    assert_eq!((after.t, after.x, after.y), (before.t, before.x, before.y));
    assert!(after.p.iter().all(|p| *p));
}

/// Events of a small sensor, evenly distributed in time and space.
fn even(count: usize) -> Events {
    let mut events = Events::default();
    (0..count).for_each(|i| events.push(1_000_000 + i as i64 * 10, (i % 10) as u16, (i / 10 % 10) as u16, i % 3 == 0));
    events
}

const SMALL: Sensor = Sensor { width: 10, height: 10, polarities: 2 };

#[test]
fn a_sample_draws_the_same_whenever_it_is_read() {
    let text = "DropEvent(p = 0.3), TimeJitter(std = 100), SpatialJitter, UniformNoise(n = 50)";
    let one = applied(text, even(500), SMALL, 3);
    assert_eq!(one, applied(text, even(500), SMALL, 3));
    assert_ne!(one, applied(text, even(500), SMALL, 4));
    let mut other = even(500);
    Pipeline::parse(text).unwrap().apply(&mut other, SMALL, 8, 3);
    assert_ne!(one, other, "another seed");
}

#[test]
fn events_are_dropped_in_the_numbers_that_tonic_drops() {
    for (p, left) in [("0", 1000), ("0.25", 750), ("0.0004", 1000), ("0.0005", 999), ("1", 0)] {
        assert_eq!(applied(&format!("DropEvent(p = {p})"), even(1000), SMALL, 0).len(), left, "{p}");
    }
    // Early and late events are equally likely to be kept.
    let kept: usize = (0..200)
        .map(|sample| {
            applied("DropEvent(p = 0.5)", even(100), SMALL, sample).t.iter().filter(|t| **t < 1_000_500).count()
        })
        .sum();
    assert!((4800..5200).contains(&kept), "{kept} of the 10000 in the first half");
    let counts: Vec<usize> =
        (0..200).map(|sample| applied("DropEvent(p = [0.2, 0.6])", even(1000), SMALL, sample).len()).collect();
    assert!(
        counts.iter().all(|n| (400..=800).contains(n))
            && counts.iter().any(|n| *n < 450)
            && counts.iter().any(|n| *n > 750)
    );
}

/// tonic's span is between 0 and the end, which would rarely contain an event here.
#[test]
fn a_span_is_dropped_within_the_recording() {
    for sample in 0..100 {
        let left = applied("DropEventByTime(duration_ratio = 0.2)", even(1000), SMALL, sample);
        assert!((799..=801).contains(&left.len()), "{}", left.len());
        let gaps = left.t.windows(2).filter(|pair| pair[1] - pair[0] > 10).count();
        assert!(gaps <= 1, "one span");
    }
}

/// tonic's blocks never reach the last column and row; for a cochlea they drop nothing.
#[test]
fn a_block_is_dropped_anywhere() {
    let mut corners = 0;
    for sample in 0..300 {
        let left = applied("DropEventByArea(area_ratio = 0.3)", even(100), SMALL, sample);
        assert_eq!(left.len(), 91);
        let there = |x, y| left.x.iter().zip(&left.y).any(|place| place == (&x, &y));
        corners += usize::from(!there(9, 9));
    }
    assert!((1..20).contains(&corners), "one of 64 blocks has the last corner: {corners} of 300");
    let cochlea = Sensor::cochlea(10);
    let mut events = even(100);
    events.y.fill(0);
    assert_eq!(applied("DropEventByArea(area_ratio = 0.3)", events, cochlea, 0).len(), 70);
    let lost: Vec<usize> = (0..200)
        .map(|sample| 100 - applied("DropEventByArea(area_ratio = [0.1, 0.4])", even(100), SMALL, sample).len())
        .collect();
    assert!(lost.iter().all(|lost| [1, 4, 9].contains(lost)), "tonic draws from 0.4 to 1: {lost:?}");
}

#[test]
fn pixels_are_dropped_whole() {
    let lost: Vec<usize> =
        (0..100).map(|sample| 500 - applied("RandomDropPixel(p = 0.3)", even(500), SMALL, sample).len()).collect();
    assert!(lost.iter().all(|lost| lost % 5 == 0));
    let mean = lost.iter().sum::<usize>() as f64 / 50_000.0;
    assert!((mean - 0.3).abs() < 0.02, "{mean}");
}

#[test]
fn event_drop_draws_one_of_four() {
    let counts: Vec<usize> = (0..400).map(|sample| applied("EventDrop", even(1000), SMALL, sample).len()).collect();
    let part = |fits: fn(usize) -> bool| counts.iter().filter(|count| fits(**count)).count();
    // Either nothing, or an area of 0.05 of each side, which is less than a pixel of ten.
    assert!((95..150).contains(&part(|n| n == 1000)), "{}", part(|n| n == 1000));
    assert!(part(|n| n < 300) > 30 && part(|n| (900..1000).contains(&n)) > 30);
}

/// Mean and variance.
fn moments(x: &[f64]) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    (mean, x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64)
}

/// tonic truncates: its events are half a unit early on average.
#[test]
fn jitter_is_normal_and_moves_nothing_on_average() {
    let mut events = Events::default();
    (0..20_000).for_each(|_| events.push(1000, 50, 50, true));
    let wide = Sensor { width: 101, height: 101, polarities: 2 };
    let times = applied("TimeJitter(std = 20)", events.clone(), wide, 0);
    let (mean, variance) = moments(&times.t.iter().map(|t| *t as f64).collect::<Vec<_>>());
    assert!((mean - 1000.0).abs() < 0.4 && (variance / 400.0 - 1.0).abs() < 0.04, "{mean} {variance}");
    let places = applied("SpatialJitter(var_x = 9, var_y = 4, sigma_xy = 3)", events, wide, 0);
    let of = |column: &[u16]| column.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    let (x, y) = (of(&places.x), of(&places.y));
    for (column, aim) in [(&x, 9.0), (&y, 4.0)] {
        let (mean, variance) = moments(column);
        assert!((mean - 50.0).abs() < 0.08 && (variance - aim - 1.0 / 12.0).abs() < 0.35, "{mean} {variance}");
    }
    let both = x.iter().zip(&y).map(|(x, y)| (x - 50.0) * (y - 50.0)).sum::<f64>() / 20_000.0;
    assert!((both - 3.0).abs() < 0.2, "{both}");
}

/// tonic keeps events outside the sensor, and out of order.
#[test]
fn jitter_at_the_edges() {
    let mut events = Events::default();
    (0..1000).for_each(|i| events.push(i, 0, 9, true));
    let dropped = applied("SpatialJitter", events.clone(), SMALL, 0).len();
    assert!((400..560).contains(&dropped), "about 0.69 squared stay inside: {dropped}");
    assert_eq!(applied("SpatialJitter(clip_outliers = false)", events.clone(), SMALL, 0).len(), 1000);
    let early = applied("TimeJitter(std = 1000)", events.clone(), SMALL, 0);
    assert!((500..900).contains(&early.len()) && early.t[0] >= 0);
    assert_eq!(applied("TimeJitter(std = 1000, clip_negative = false)", events, SMALL, 0).len(), 1000);
}

#[test]
fn flips_happen_as_often_as_they_should() {
    for text in
        ["RandomFlipLR(p = 0.3)", "RandomFlipUD(p = 0.3)", "RandomFlipPolarity(p = 0.3)", "RandomTimeReversal(p = 0.3)"]
    {
        let flipped = (0..1000).filter(|sample| applied(text, even(25), SMALL, *sample) != even(25)).count();
        assert!((250..350).contains(&flipped), "{text}: {flipped}");
    }
}

/// tonic never crops to the last column and row.
#[test]
fn a_block_is_cut_out_anywhere() {
    let pipeline = Pipeline::parse("RandomCrop(target_size = [8, 7])").unwrap();
    assert_eq!(pipeline.sensor(SMALL).unwrap(), Sensor { width: 8, height: 7, polarities: 2 });
    let mut firsts = std::collections::BTreeSet::new();
    for sample in 0..300 {
        let left = applied("RandomCrop(target_size = [8, 7])", even(100), SMALL, sample);
        assert_eq!(left.len(), 56);
        assert_eq!((left.x[0], left.y[0]), (0, 0));
        firsts.insert((left.t[0] - 1_000_000) / 10);
    }
    assert_eq!(firsts.len(), 12, "three columns and four rows to begin at");
    assert!(pipeline.sensor(Sensor { width: 7, ..SMALL }).is_err());
}

#[test]
fn noise_is_even_in_space_and_time() {
    let noisy = applied("UniformNoise(n = 20000)", even(2), SMALL, 0);
    assert_eq!(noisy.len(), 20_002);
    assert!(noisy.t.iter().all(|t| (1_000_000..=1_000_010).contains(t)));
    let at = |x, y| noisy.x.iter().zip(&noisy.y).filter(|place| *place == (&x, &y)).count();
    assert!((140..260).contains(&at(9, 9)) && (140..260).contains(&at(0, 5)));
    let up = noisy.p.iter().filter(|p| **p).count();
    assert!((9700..10300).contains(&up), "{up}");
    assert!(applied("UniformNoise(n = 5)", Events::default(), SMALL, 0).is_empty(), "as tonic: nothing for nothing");
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |text: &str| Pipeline::parse(text).unwrap_err().to_string();
    assert!(
        refused("Denoize(filter_time = 1)").starts_with("there is no transform `Denoize`; did you mean `Denoise`?")
    );
    assert!(refused("Denoise(filter_tim = 1)").contains("did you mean `filter_time`?"));
    assert_eq!(refused("Denoise"), "`Denoise` needs `filter_time`, a number: `Denoise(filter_time = …)`");
    assert_eq!(refused("Decimation(n = 0)"), "`n` of `Decimation(n = 0)` must be 1 or more");
    for text in [
        "DropEvent(p = 1.1)",
        "DropPixel",
        "DropPixel(coordinates = [[1]])",
        "CropTime(min = 5, max = 4)",
        "TimeSkew(coefficient = 0)",
        "SpatialJitter(sigma_xy = 2)",
        "CenterCrop(size = 0)",
        "Downsample(spatial_factor = [1, 2, 3])",
        "UniformNoise(n = -1)",
    ] {
        refused(text);
    }
    let unfit = |text: &str, sensor| Pipeline::parse(text).unwrap().sensor(sensor).unwrap_err().to_string();
    assert!(unfit("RandomFlipPolarity", Sensor::cochlea(700)).contains("two polarities"));
    assert!(unfit("RandomFlipUD", Sensor::cochlea(700)).contains("with rows"));
    assert!(unfit("MergePolarities, RandomFlipPolarity", SMALL).contains("two polarities"));
    assert!(unfit("Downsample(spatial_factor = 10000)", SMALL).contains("larger than 65535"));
}

#[test]
fn a_file_says_what_a_text_says() {
    let text = "Denoise(filter_time = 10000), SpatialJitter(var_x = 2, var_y = 1, sigma_xy = 0, clip_outliers = true), CropTime(min = 0)";
    let file = "[[transforms]]\ntype = \"Denoise\"\nfilter_time = 1e4\n[[transforms]]\ntype = \"SpatialJitter\"\nvar_x = 2\n\
                [[transforms]]\ntype = \"CropTime\"\n";
    let pipeline = Pipeline::from_toml(file, "p.toml").unwrap();
    assert_eq!(pipeline.text(), text);
    assert_eq!(Pipeline::parse(text).unwrap(), pipeline);
    for (file, message) in [
        ("transform = 1", "p.toml:1: there is no key `transform`; a file of transforms holds `[[transforms]]`"),
        ("transforms = 1", "p.toml:1: `transforms` is not a list; write `[[transforms]]` before each"),
        ("transforms = [1]", "p.toml:1: transform 1 is not a table; write `[[transforms]]` before each"),
        ("[[transforms]]\nn = 1", "p.toml:1: transform 1 has no `type = \"NAME\"`"),
        (
            "\n[[transforms]]\ntype = \"Denoise\"\nfilter_tim = 3",
            "p.toml:2: `Denoise` has no argument `filter_tim`; did you mean `filter_time`? it takes filter_time",
        ),
        ("[[transforms]]\ntype = \"Decimation\"\nn = 0", "p.toml:1: `n` of `Decimation(n = 0)` must be 1 or more"),
    ] {
        assert_eq!(Pipeline::from_toml(file, "p.toml").unwrap_err().to_string(), message);
    }
    let error = Pipeline::from_toml("[[transforms]]\ntype = ", "p.toml").unwrap_err().to_string();
    assert!(error.starts_with("p.toml:2: string values must be quoted"), "{error}");
}

/// Frames of the real sensor [T, 34 * 34 * 2] as lists.
fn frames(text: &str, events: Events) -> Vec<Vec<i64>> {
    let numbered = applied(text, events, SENSOR, 0);
    let count = Pipeline::parse(text).unwrap().frames().expect("frames");
    let last = numbered.t.last().map_or(0, |t| *t as usize + 1);
    let mut frames = vec![vec![0; 34 * 34 * 2]; count.unwrap_or(last)];
    for (((t, x), y), p) in numbered.t.iter().zip(&numbered.x).zip(&numbered.y).zip(&numbered.p) {
        frames[*t as usize][(usize::from(*y) * 34 + usize::from(*x)) * 2 + usize::from(*p)] += 1;
    }
    frames
}

/// Bins extend to the last event, unlike tonic's, so the last frame includes those events. tonic's trailing empty frames are omitted.
#[test]
fn frames_are_tonics_but_for_events_that_it_loses() {
    let reference = reference();
    let cases = reference["frames"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let text = case["transform"].as_str().unwrap();
        for (name, events) in [("drawn", drawn(&reference)), ("nmnist", nmnist())] {
            let count = events.len() as i64;
            let frames = frames(text, events);
            let sums: Vec<i64> = frames.iter().map(|frame| frame.iter().sum()).collect();
            let mut theirs = integers(&case[format!("{name}_sums")]);
            let bins = text.contains("bins");
            let checked = if bins { frames.len() - 1 } else { frames.len() };
            if bins {
                assert_eq!(
                    (sums.iter().sum::<i64>(), sums.len()),
                    (count, theirs.len()),
                    "{text} {name}: no event is lost"
                );
                assert!(theirs.iter().sum::<i64>() < count || name == "drawn", "tonic loses some");
            } else {
                while theirs.last() == Some(&0) {
                    theirs.pop();
                }
                assert_eq!(sums, theirs, "{text} {name}");
            }
            let checksums = case[format!("{name}_checksums")].as_array().unwrap();
            for (frame, theirs) in frames.into_iter().zip(checksums).take(checked) {
                assert_eq!(checksum(frame), theirs.as_str().unwrap(), "{text} {name}");
            }
        }
    }
}

/// Events at these times.
fn at(times: impl IntoIterator<Item = i64>) -> Events {
    let mut events = Events::default();
    times.into_iter().for_each(|t| events.push(t, 1, 1, true));
    events
}

fn counts(text: &str, events: Events) -> Vec<i64> {
    frames(text, events).iter().map(|frame| frame.iter().sum()).collect()
}

/// tonic's overlap moves bins closer together, so that the end of the recording is in none; its documentation says that bins get
/// longer.
#[test]
fn an_overlap_makes_bins_longer() {
    let even = || at((0..100).map(|i| i * 10));
    assert_eq!(counts("ToFrame(n_time_bins = 4, overlap = 0.2)", even()), [30, 30, 30, 25]);
    assert_eq!(counts("ToFrame(n_event_bins = 4, overlap = 0.2)", even()), [30, 30, 30, 25]);
}

#[test]
fn edges_of_slices() {
    // tonic's windows end before an event on the edge, even with `include_incomplete`.
    assert_eq!(counts("ToFrame(time_window = 100, include_incomplete = true)", at([0, 50, 100, 200])), [2, 1, 1]);
    assert_eq!(counts("ToFrame(time_window = 100)", at([0, 50, 100, 200])), [2, 1]);
    assert_eq!(counts("ToFrame(time_window = 1000)", at([0, 50])), [2]);
    // Fewer microseconds or events than bins: all are in some bin; tonic's frames are empty.
    assert_eq!(counts("ToFrame(n_time_bins = 5)", at([7, 8, 9])), [1, 1, 0, 1, 0]);
    assert_eq!(counts("ToFrame(n_event_bins = 5)", at([7, 8, 9])).iter().sum::<i64>(), 3);
    assert_eq!(counts("ToFrame(n_time_bins = 1)", at([7])), [1]);
    let refused = |text: &str| Pipeline::parse(text).unwrap_err().to_string();
    assert!(refused("ToFrame").contains("give one of `time_window`"));
    assert!(refused("ToFrame(n_time_bins = 3, event_count = 2)").contains("give one of"));
    assert!(refused("ToFrame(n_time_bins = 3), MergePolarities").ends_with("must be the last transform"));
    for text in ["time_window = 0", "event_count = 2, overlap = 2", "n_time_bins = 0", "n_event_bins = 3, overlap = 1"]
    {
        refused(&format!("ToFrame({text})"));
    }
    refused("ToFrame(n_time_bins = 3, include_incomplete = true)");
    refused("ToFrame(event_count = 3, end_time = 5)");
}
