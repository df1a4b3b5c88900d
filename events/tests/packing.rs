//! Frames of recordings.

use spiq_events::{Binning, Names, Packed, Pipeline, Spikes, open, pack, write_spikes};

/// Three samples of 10 channels, of which the second is empty.
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
    // The last event, at 0.75 s, is the last of the last frame.
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
    assert_eq!(sentence(Binning::default()), "events need frames: say how many (bins), how long each is (dt), or both");
    assert_eq!(sentence(Binning { bins: Some(0), ..binning.clone() }), "0 bins hold nothing; give 1 at least");
    assert_eq!(
        sentence(Binning { dt: Some(f64::NAN), ..binning.clone() }),
        "a frame cannot last NaN s; give a number above 0"
    );
    assert_eq!(
        sentence(Binning { channels: Some(11), ..binning.clone() }),
        "channels are summed into fewer: 11 is not between 1 and the 10 there are"
    );
    assert_eq!(
        sentence(Binning { bins: Some(usize::MAX / 8), ..binning }),
        "3 samples of 2305843009213693951 frames of 5 bytes take 34587645138 GB; give fewer bins or fewer channels"
    );
}
