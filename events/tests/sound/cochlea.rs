//! The cochlea on sounds with known spikes.

use spiq_events::Events;
use spiq_events::sound::{Cochlea, Sound};

use super::tone;

fn cochlea() -> Cochlea {
    Cochlea { channels: 140, ..Cochlea::default() }
}

/// Spikes per channel.
fn counts(events: &Events) -> Vec<usize> {
    let mut counts = vec![0; 140];
    events.x.iter().for_each(|channel| counts[usize::from(*channel)] += 1);
    counts
}

#[test]
fn a_tone_is_heard_by_the_channels_around_its_frequency() {
    let frequencies = cochlea().frequencies();
    for frequency in [250.0, 500.0, 1000.0, 2000.0, 3000.0] {
        let counts = counts(&cochlea().spikes(&tone(frequency, 4000)).unwrap());
        let spikes = counts.iter().sum::<usize>() as f64;
        let mean = counts.iter().zip(&frequencies).map(|(n, f)| *n as f64 * f.ln()).sum::<f64>() / spikes;
        let off = mean.exp() / f64::from(frequency);
        assert!((0.9..1.1).contains(&off), "{frequency} Hz is heard at {:.0} Hz", mean.exp());
        // The click at the onset spreads over more channels than the tone.
        let far = |f: &f64| (f / f64::from(frequency)).ln().abs() > std::f64::consts::LN_2;
        let heard_far = counts.iter().zip(&frequencies).filter(|(_, f)| far(f)).map(|(n, _)| *n).sum::<usize>() as f64;
        assert!(heard_far < 0.01 * spikes, "{heard_far} of {spikes} spikes for {frequency} Hz lie an octave away");
    }
}

#[test]
fn spikes_are_locked_to_the_phase_of_low_tones() {
    // Vector strength: 1 if all spikes have the same phase, 0 if phases are uniform.
    let strength = |frequency: f32| {
        let events = cochlea().spikes(&tone(frequency, 8000)).unwrap();
        let nearest = cochlea().frequencies().iter().position(|f| *f > f64::from(frequency)).unwrap();
        let phases = events.t.iter().zip(&events.x).filter(|(_, x)| usize::from(**x).abs_diff(nearest) <= 1);
        let phases: Vec<f64> =
            phases.map(|(t, _)| *t as f64 * 1e-6 * f64::from(frequency) * std::f64::consts::TAU).collect();
        assert!(phases.len() > 50, "{} spikes at {frequency} Hz", phases.len());
        let (x, y) = phases.iter().fold((0.0, 0.0), |(x, y), phase| (x + phase.cos(), y + phase.sin()));
        f64::hypot(x, y) / phases.len() as f64
    };
    assert!(strength(200.0) > 0.8, "{}", strength(200.0));
    // As in an ear, phase locking is weaker at high frequencies.
    assert!(strength(1870.0) < strength(200.0), "{}", strength(1870.0));
}

#[test]
fn silence_gives_no_spikes() {
    for samples in [Vec::new(), vec![0.0; 8000]] {
        assert!(cochlea().spikes(&Sound { samples, rate: 8000 }).unwrap().is_empty());
    }
    // Nor do the pauses around a sound.
    let mut padded = tone(500.0, 2000);
    padded.samples.splice(0..0, vec![0.0; 4000]);
    padded.samples.extend(vec![0.0; 4000]);
    let events = cochlea().spikes(&padded).unwrap();
    assert!(events.t.iter().all(|t| (500_000..790_000).contains(t)), "{:?} to {:?}", events.t[0], events.t.last());
}

#[test]
fn loudness_makes_no_difference() {
    let loud = tone(700.0, 3000);
    // A power of two scales all numbers exactly.
    let quiet = Sound { samples: loud.samples.iter().map(|sample| sample / 64.0).collect(), rate: loud.rate };
    assert_eq!(cochlea().spikes(&loud).unwrap(), cochlea().spikes(&quiet).unwrap());
}

#[test]
fn what_sets_in_is_heard_best() {
    let events = cochlea().spikes(&tone(1000.0, 4000)).unwrap();
    let within = |from: i64, to: i64| events.t.iter().filter(|t| (from..to).contains(t)).count();
    assert!(within(0, 50_000) as f64 > 1.1 * within(400_000, 450_000) as f64);
}

#[test]
fn the_same_sound_gives_the_same_spikes() {
    let spikes = || cochlea().spikes(&tone(900.0, 3000)).unwrap();
    let first = spikes();
    assert_eq!(first, spikes());
    let order: Vec<(i64, u16)> = first.t.iter().copied().zip(first.x.iter().copied()).collect();
    assert!(order.is_sorted() && order.iter().all(|(_, x)| *x < 140));
    // Refractory period: no channel fires twice within a millisecond.
    let mut last = vec![i64::MIN / 2; 140];
    for (t, x) in order {
        assert!(t - std::mem::replace(&mut last[usize::from(x)], t) > 1000);
    }
}

#[test]
fn sound_of_a_higher_rate_is_heard_alike() {
    let at = |rate: u32| {
        let sample = |i: u32| 0.3 * (std::f32::consts::TAU * 600.0 * i as f32 / rate as f32).sin();
        let sound = Sound { samples: (0..rate / 2).map(sample).collect(), rate };
        counts(&cochlea().spikes(&sound).unwrap())
    };
    let (low, high) = (at(8000), at(48000));
    let peak = |counts: &[usize]| (0..140).max_by_key(|channel| counts[*channel]).unwrap();
    assert!(peak(&low).abs_diff(peak(&high)) <= 3, "{} and {}", peak(&low), peak(&high));
}

#[test]
fn what_cannot_be_heard_is_refused() {
    let refused = |cochlea: Cochlea| cochlea.spikes(&tone(500.0, 800)).unwrap_err().to_string();
    let default = Cochlea::default;
    for (cochlea, sentence) in [
        (Cochlea { channels: 0, ..default() }, "a cochlea has from 1 to 700 channels, not 0"),
        (Cochlea { channels: 701, ..default() }, "a cochlea has from 1 to 700 channels, not 701"),
        (Cochlea { low: 4000.0, ..default() }, "the channels' frequencies go from 4000 to 3800 Hz, but must rise"),
        (Cochlea { low: f64::NAN, ..default() }, "the channels' frequencies go from NaN to 3800 Hz"),
        (Cochlea { high: 4000.0, ..default() }, "at 8000 samples per second there are no tones above 4000 Hz"),
    ] {
        assert!(refused(cochlea).contains(sentence), "{sentence}");
    }
    assert_eq!(Cochlea { channels: 1, ..default() }.frequencies().len(), 1);
}

#[test]
fn a_channel_is_what_the_whole_cochlea_has_in_it() {
    let sound = tone(900.0, 2000);
    let all = cochlea().spikes(&sound).unwrap();
    for channel in [0, 15, 16, 75, 139] {
        let inside = cochlea().channel(&sound, channel).unwrap();
        let fires = (0u16..).zip(&inside.fires).filter(|(_, fires)| **fires);
        let times: Vec<i64> = fires.map(|(place, _)| i64::from(place) * 125).collect();
        let own = all.t.iter().zip(&all.x).filter(|(_, x)| **x == channel);
        assert_eq!(times, own.map(|(t, _)| *t).collect::<Vec<_>>(), "channel {channel}");
        assert!(inside.rates.iter().all(|rate| *rate >= 0.0) && inside.motion.len() == 2000);
    }
    assert!(cochlea().channel(&sound, 140).is_err());
}
