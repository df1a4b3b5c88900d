//! Augmentations of training samples as part of the compiled step, under tonic's names. Every sample draws anew in every step, from the
//! step's key.
//!
//! Samples are frames, that is, events already summed: where tonic changes single events, these change elements of frames, as each
//! [`Augment`] describes. Spikes remain spikes, counts remain at most 127, and labels are unchanged.
//!
//! Invariant: does not depend on files, models or the training loop.

mod apply;
mod drop;
mod frames;
mod layout;
mod mix;
mod space;
mod table;
mod time;

use std::fmt;

use spiq_events::{Call, calls};
use spiq_hlo::{DType, Tensor};

pub use layout::Layout;
pub use table::Augment;

use crate::error::{Error, Result};
use crate::random::GraphKey;
use frames::Frames;

/// A sequence of augmentations, applied in order.
///
/// ```
/// use spiq::augment::Augmentation;
/// let augmentation = Augmentation::parse("TimeShift(max = 5), DropEvent(p = 0.1)")?;
/// assert_eq!(augmentation.to_string(), "TimeShift(max = 5), DropEvent(p = 0.1)");
/// assert!(Augmentation::parse("none")?.is_empty());
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augmentation(Vec<Augment>);

/// The text of an empty sequence, as on the command line.
const NONE: &str = "none";

impl Augmentation {
    /// Parses a text such as `TimeShift(max = 5), DropEvent(p = 0.1)`; `none` for no augmentation.
    ///
    /// # Errors
    /// Of kind `Input` for an unknown name (with the nearest one), an unknown key or an invalid value.
    pub fn parse(text: &str) -> Result<Augmentation> {
        if text.trim() == NONE {
            return Ok(Augmentation::default());
        }
        let read = |call: &Call| Augment::of(call).and_then(|augment| augment.check().map(|()| augment));
        let read = calls(text).and_then(|calls| calls.iter().map(read).collect::<spiq_events::Result<Vec<_>>>());
        read.map(Augmentation).map_err(|error| Error::input(error.to_string()))
    }

    /// These augmentations, in order.
    ///
    /// # Errors
    /// Of kind `Input` for an invalid value.
    pub fn new(augments: impl Into<Vec<Augment>>) -> Result<Augmentation> {
        let augments = augments.into();
        augments.iter().try_for_each(Augment::check).map_err(|error| Error::input(error.to_string()))?;
        Ok(Augmentation(augments))
    }

    /// Whether there are no augmentations.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that they apply to samples with `time_steps` steps and these features.
    ///
    /// # Errors
    /// Of kind `Input`: an augmentation that needs rows, polarities or more steps than the samples have.
    pub fn check_for(&self, time_steps: usize, layout: Layout) -> Result<()> {
        let checked = self.0.iter().try_for_each(|augment| augment.check_for(time_steps, layout));
        checked.map_err(|error| Error::input(error.to_string()))
    }

    /// Applies all of them to a batch `[B, T, …]` of booleans, non-negative s8 or f32, whose features have this layout. `labels` are
    /// `s32[B]`, the key is `u32[2]`. The batch must pass [`check_for`](Augmentation::check_for).
    #[track_caller]
    pub fn apply(&self, key: &Tensor, layout: Layout, x: &Tensor, labels: &Tensor) -> Tensor {
        let key = GraphKey::new(key);
        let (batch, steps) = (x.dims()[0], x.dims()[1]);
        let frames = Frames::new(x.reshape(&[batch, steps, layout.rows, layout.columns, layout.polarities]));
        let changed = self.0.iter().enumerate().fold(frames, |frames, (i, augment)| {
            let key = key.fold_in(&x.graph().scalar(DType::U32, i as f64));
            Frames::new(augment.apply(&key, &frames, labels))
        });
        changed.x.reshape(x.dims())
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str(NONE),
            augments => f.write_str(&augments.iter().map(Augment::text).collect::<Vec<_>>().join(", ")),
        }
    }
}
