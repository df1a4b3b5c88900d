//! Packing recordings into frames.

use spiq_events::{Binning, Error, MadeUp, Names, Packed, Pipeline, Spikes, open, pack, write_spikes};

/// Three samples with 10 channels; the second is empty.
fn packed(binning: Binning) -> spiq_events::Result<Packed> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let names = Names { channels: 10, classes: vec!["a".into(), "b".into()], train: Some(2), ..Names::default() };
    let spikes = |times: &[f32], units: &[u16], label, speaker| {
        Ok(Spikes { times: times.to_vec(), units: units.to_vec(), label, speaker })
    };
    let samples = [
        spikes(&[0.0, 0.0, 0.25, 0.5, f32::NAN], &[0, 1, 9, 4, 4], 0, 3),
        spikes(&[], &[], 1, 4),
        spikes(&[0.125, 0.75], &[9, 9], 1, 5),
    ];
    write_spikes(&path, &names, samples).unwrap();
    pack(open(&path).unwrap(), &Pipeline::default(), &binning, &mut |_, _| ())
}

#[test]
fn events_are_summed_in_time_and_channels() {
    let packed = packed(Binning { bins: Some(2), dt: Some(0.25), channels: Some(5), ..Binning::default() }).unwrap();
    assert_eq!(packed.dims, [3, 2, 5]);
    #[rustfmt::skip]
    assert_eq!(*packed.frames, [
        2, 0, 0, 0, 0,  0, 0, 0, 0, 1,
        0, 0, 0, 0, 0,  0, 0, 0, 0, 0,
        0, 0, 0, 0, 1,  0, 0, 0, 0, 0,
    ]);
    assert_eq!((packed.dropped.late, packed.dropped.without_time, packed.events), (2, 1, 7));
    assert_eq!((packed.labels.as_slice(), packed.speakers.as_slice()), ([0, 1, 1].as_slice(), [3, 4, 5].as_slice()));
    assert_eq!(packed.description.train, Some(2));
}

#[test]
fn bins_alone_divide_the_longest_recording_and_dt_alone_covers_it() {
    let bins = packed(Binning { bins: Some(3), ..Binning::default() }).unwrap();
    assert_eq!((bins.dims.as_slice(), bins.dropped.late), ([3, 3, 10].as_slice(), 0));
    // The last event, at 0.75 s, is in the last frame.
    assert_eq!(bins.binning.dt, Some(750_001.0 / 3.0 / 1e6));
    assert_eq!(bins.frames[2 * 30 + 2 * 10 + 9], 1);
    let dt = packed(Binning { dt: Some(0.25), ..Binning::default() }).unwrap();
    assert_eq!((dt.dims.as_slice(), dt.dropped.late), ([3, 4, 10].as_slice(), 0));
}

#[test]
fn presence_is_one_and_wrong_binnings_are_refused() {
    let binning = Binning { bins: Some(2), dt: Some(0.25), channels: Some(5), presence: true };
    assert_eq!(packed(binning.clone()).unwrap().frames[0], 1);
    let sentence = |binning| packed(binning).unwrap_err().to_string();
    assert_eq!(
        sentence(Binning::default()),
        "events must be binned into frames: give their number (bins), their duration (dt), or both"
    );
    assert_eq!(sentence(Binning { bins: Some(0), ..binning.clone() }), "0 bins hold nothing; give 1 at least");
    assert_eq!(
        sentence(Binning { dt: Some(f64::NAN), ..binning.clone() }),
        "a frame cannot last NaN s; give a number from 0.000001 (times are microseconds) to 4e9"
    );
    for dt in ["1e-300", "1e-12", "1e300"] {
        let refused = sentence(Binning { dt: dt.parse().ok(), ..binning.clone() });
        assert!(refused.starts_with(&format!("a frame cannot last {dt} s; give a number from ")), "{refused}");
    }
    assert_eq!(
        sentence(Binning { channels: Some(11), ..binning.clone() }),
        "channels can only be summed into fewer: 11 is not between 1 and 10"
    );
    assert_eq!(
        sentence(Binning { bins: Some(usize::MAX / 8), ..binning }),
        "3 samples of 2305843009213693951 frames of 5 bytes take 34587645138 GB; give fewer bins or fewer channels"
    );
}

/// An array of f64 times as in a `.npz`: one event per row, the second column its channel.
fn array(rows: &[[f64; 2]]) -> Vec<u8> {
    let head = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, 2), }}\n", rows.len());
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((head.len() as u16).to_le_bytes());
    bytes.extend(head.bytes());
    bytes.extend(rows.iter().flatten().flat_map(|number| number.to_le_bytes()));
    bytes
}

#[test]
fn times_beyond_what_is_a_time_are_counted_and_long_recordings_keep_their_last_event() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let pack = |rows: &[[f64; 2]]| {
        std::fs::write(&path, array(rows)).unwrap();
        let binning = Binning { bins: Some(4), ..Binning::default() };
        pack(open(&path).unwrap(), &Pipeline::default(), &binning, &mut |_, _| ()).unwrap()
    };
    let packed = pack(&[[0.5, 0.0], [1e30, 0.0], [1e12, 0.0], [0.8, 1.0]]);
    assert_eq!((packed.dropped.without_time, packed.dropped.late, packed.events), (2, 0, 4));
    assert_eq!(packed.binning.dt, Some(800_001.0 / 4.0 / 1e6));
    for seconds in [4e9, 3_999_999_999.999_999, 1e9, 123_456_789.0] {
        let packed = pack(&[[0.0, 0.0], [seconds, 0.0]]);
        assert_eq!((packed.dropped.late, &*packed.frames), (0, [1, 0, 0, 1].as_slice()), "{seconds} s");
    }
}

#[test]
fn what_is_made_up_has_limits_and_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let made = MadeUp { samples: 10, events: 5, classes: 2, channels: 4, train: 0, first: 0, seed: 0 };
    let said = |made: MadeUp| made.write(&path).unwrap_err().to_string();
    let trillion = 1_000_000_000_000;
    assert_eq!(
        said(MadeUp { events: trillion, ..made.clone() }),
        "1000000000000 events of a sample cannot be made; give 1000000 at most"
    );
    for samples in [0, trillion] {
        let sentence = format!("{samples} samples cannot be made; give a number from 1 to 1000000");
        assert_eq!(said(MadeUp { samples, ..made.clone() }), sentence);
    }
    assert_eq!(
        said(MadeUp { samples: 100_000, events: 1_000_000, ..made.clone() }),
        "100000 samples of 1000000 events take 400 GB; give fewer samples, or 100000 events at most"
    );
    assert_eq!(said(MadeUp { train: 11, ..made.clone() }), "11 training samples are more than the 10 samples");
    let mut left = 3;
    let stopped = made.write_while(&path, || {
        left -= 1;
        if left == 0 { Err(Error::input("stopped")) } else { Ok(()) }
    });
    assert_eq!(stopped.unwrap_err().to_string(), "stopped");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Files with the same seed belong together, like those of SHD: different samples of the same classes.
#[test]
fn made_up_samples_from_another_number_are_those_behind() {
    let folder = tempfile::tempdir().unwrap();
    let of = |first: usize, samples: usize| {
        let path = folder.path().join(format!("{first}.h5"));
        let made = MadeUp { samples, events: 50, classes: 3, channels: 40, train: samples, first, seed: 7 };
        made.write(&path).unwrap();
        open(&path).unwrap().map(|sample| sample.unwrap()).map(|s| (s.label, s.speaker, s.events)).collect::<Vec<_>>()
    };
    let whole = of(0, 12);
    assert_eq!(of(5, 7), whole[5..]);
    assert_ne!(whole[0], whole[5]);
}
