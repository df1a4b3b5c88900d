//! Writes a run's history in TensorBoard's format: protocol-buffer events with checksums.
//!
//! The format is that of `tensorflow/core/util/event.proto` and `lib/io/record_writer.cc`. Existing crates compile its schema at
//! every build, which requires an installed protocol-buffer compiler; the four messages that scalars need are encoded by hand here.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Record, create_anew};
use crate::error::{Error, Result};

/// The name of the file in a run's folder; TensorBoard looks for `tfevents`.
pub(crate) const TENSORBOARD: &str = "events.out.tfevents.spiq";

/// Writes scalars for TensorBoard: `loss/step` at each step; at the end of each epoch `loss/train`, `accuracy/test`,
/// `accuracy/validation`, `spike_rate/PATH`, and user-defined metrics as `metric/NAME`, at the number of completed steps.
///
/// ```
/// use spiq::train::{Record, TensorBoard};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("events.out.tfevents.run");
/// let mut events = TensorBoard::create(&path)?;
/// events.write(&Record::step(0, 2.5))?;
/// let bytes = std::fs::read(&path)?;
/// assert!(bytes.windows(9).any(|part| part == b"loss/step"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    file: File,
    path: PathBuf,
    /// Number of completed steps.
    steps: u64,
}

impl TensorBoard {
    /// Creates a file, replacing any older one.
    ///
    /// # Errors
    /// Kind `File` if it cannot be written.
    pub fn create(path: &Path) -> Result<TensorBoard> {
        let file = create_anew(path).map_err(|cause| Error::file(path, "write", cause))?;
        let mut events = TensorBoard { file, path: path.to_owned(), steps: 0 };
        let version = field(FILE_VERSION, b"brain.Event:2");
        events.event(0, &version)?;
        Ok(events)
    }

    /// Appends a record. Numbers that are not finite are omitted.
    ///
    /// # Errors
    /// Kind `File` if it cannot be written.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        let mut values = Vec::new();
        let mut value = |tag: String, number: &Option<f32>| {
            if let Some(number) = number {
                let scalar = [field(TAG, tag.as_bytes()), single(SIMPLE_VALUE, *number)].concat();
                values.extend(field(VALUE, &scalar));
            }
        };
        let step = match record {
            Record::Step { step, loss } => {
                value("loss/step".to_owned(), loss);
                self.steps = step + 1;
                *step
            }
            Record::Epoch { train_loss, test_accuracy, validation_accuracy, spike_rates, metric, .. } => {
                value("loss/train".to_owned(), train_loss);
                value("accuracy/test".to_owned(), test_accuracy);
                value("accuracy/validation".to_owned(), validation_accuracy);
                spike_rates.iter().for_each(|(path, rate)| value(format!("spike_rate/{path}"), rate));
                metric.iter().for_each(|(name, number)| value(format!("metric/{name}"), number));
                self.steps
            }
        };
        if values.is_empty() { Ok(()) } else { self.event(step, &field(SUMMARY, &values)) }
    }

    /// Appends an event with this content.
    fn event(&mut self, step: u64, content: &[u8]) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let mut event = vec![WALL_TIME << 3 | FIXED64];
        event.extend(now.to_le_bytes());
        event.push(STEP << 3 | VARINT);
        event.extend(varint(step));
        event.extend(content);
        let length = (event.len() as u64).to_le_bytes();
        let mut line = length.to_vec();
        line.extend(masked(&length).to_le_bytes());
        line.extend(&event);
        line.extend(masked(&event).to_le_bytes());
        // One write for the whole event, so that a reader sees all of it or nothing.
        self.file.write_all(&line).map_err(|cause| Error::file(&self.path, "write", cause))
    }
}

/// Field numbers of an event.
const WALL_TIME: u8 = 1;
const STEP: u8 = 2;
const FILE_VERSION: u8 = 3;
const SUMMARY: u8 = 5;
/// Field number of a summary.
const VALUE: u8 = 1;
/// Field numbers of a summary's value.
const TAG: u8 = 1;
const SIMPLE_VALUE: u8 = 2;

/// Wire types.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// A field of bytes, which may be a message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | BYTES];
    field.extend(varint(bytes.len() as u64));
    field.extend(bytes);
    field
}

fn single(number: u8, value: f32) -> Vec<u8> {
    let mut field = vec![number << 3 | FIXED32];
    field.extend(value.to_le_bytes());
    field
}

/// Seven bits per byte, lowest first; the highest bit marks that more bytes follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The masked CRC-32C of records: rotated and offset, because a CRC of data that contains CRCs is weak.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The Castagnoli CRC, bit by bit: events are short.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let of_bit = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), of_bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4, and the check value in the catalogue of CRCs.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn numbers_are_cut_into_seven_bits() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(127), [127]);
        assert_eq!(varint(300), [0b1010_1100, 0b10]);
        assert_eq!(varint(u64::MAX).len(), 10);
    }
}
