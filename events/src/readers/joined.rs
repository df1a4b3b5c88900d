//! Several files as one collection, the training part first.

use crate::collection::{Collection, Description, Sample};
use crate::error::{Error, Result};

/// Concatenated collections.
pub struct Joined {
    parts: Vec<Box<dyn Collection>>,
    description: Description,
    /// The current part.
    part: usize,
}

impl Joined {
    /// Joins parts with the same sensor, classes and speakers; if there are several, the first is the training part.
    ///
    /// # Errors
    /// `Input` if they do not match, or there are none.
    pub fn new(parts: Vec<Box<dyn Collection>>) -> Result<Joined> {
        let mut descriptions = parts.iter().map(|part| part.description());
        let mut description = descriptions.next().cloned().ok_or_else(|| Error::input("the data set has no parts"))?;
        for other in descriptions {
            if other.sensor != description.sensor || other.classes != description.classes {
                return Err(Error::input(
                    "the training and the test file differ in their sensors or classes; name one of them",
                ));
            }
            if description.speakers.len() < other.speakers.len() {
                description.speakers.clone_from(&other.speakers);
            }
        }
        if parts.len() > 1 {
            description.train = Some(description.count);
            // Three parts, as in SSC: training, validation, test.
            description.validation = if parts.len() > 2 { parts[1].description().count } else { 0 };
            description.count = parts.iter().map(|part| part.description().count).sum();
        }
        Ok(Joined { parts, description, part: 0 })
    }
}

impl Iterator for Joined {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        loop {
            match self.parts.get_mut(self.part)?.next() {
                Some(sample) => return Some(sample),
                None => self.part += 1,
            }
        }
    }
}

impl Collection for Joined {
    fn description(&self) -> &Description {
        &self.description
    }

    fn restart(&mut self) -> Result<()> {
        self.part = 0;
        self.parts.iter_mut().try_for_each(|part| part.restart())
    }
}
