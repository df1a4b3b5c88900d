//! Changes of training samples as part of the compiled step, under tonic's names: each sample and step its own, drawn from the
//! step's key. Knows nothing of files, models and the loop.
//!
//! Samples are frames here, events already summed: what tonic does to single events is done to the elements of frames, which
//! [`Augment`] describes one by one. Spikes stay spikes, counts stay counts of at most 127, labels stay as they are.

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

/// Changes of training samples, one after the other.
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

/// The text of no change, as on the command line.
const NONE: &str = "none";

impl Augmentation {
    /// Those of a text such as `TimeShift(max = 5), DropEvent(p = 0.1)`; `none` for none.
    ///
    /// # Errors
    /// Of kind `Input` for a name, a key or a value that cannot be, with the nearest name.
    pub fn parse(text: &str) -> Result<Augmentation> {
        if text.trim() == NONE {
            return Ok(Augmentation::default());
        }
        let read = |call: &Call| Augment::of(call).and_then(|augment| augment.check().map(|()| augment));
        let read = calls(text).and_then(|calls| calls.iter().map(read).collect::<spiq_events::Result<Vec<_>>>());
        read.map(Augmentation).map_err(|error| Error::input(error.to_string()))
    }

    /// These, one after the other.
    ///
    /// # Errors
    /// Of kind `Input` for a value that cannot be.
    pub fn new(augments: impl Into<Vec<Augment>>) -> Result<Augmentation> {
        let augments = augments.into();
        augments.iter().try_for_each(Augment::check).map_err(|error| Error::input(error.to_string()))?;
        Ok(Augmentation(augments))
    }

    /// Whether samples stay as they are.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// That they can be applied to samples of so many time steps and these features.
    ///
    /// # Errors
    /// Of kind `Input`: one that needs rows, polarities or more steps than there are.
    pub fn check_for(&self, time_steps: usize, layout: Layout) -> Result<()> {
        let checked = self.0.iter().try_for_each(|augment| augment.check_for(time_steps, layout));
        checked.map_err(|error| Error::input(error.to_string()))
    }

    /// A batch `[B, T, …]` of booleans, s8 from 0 or f32 after all of them; the features are of this layout. `labels` are `s32[B]`,
    /// the key is `u32[2]`. It is as [`check_for`](Augmentation::check_for) accepts it.
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
