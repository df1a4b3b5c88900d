//! A safetensors file that says by itself whether it is damaged: an entry of its metadata holds the CRC-32 of all its bytes, taken while that
//! entry was zero.

/// The entry of the metadata.
pub(super) const ENTRY: &str = "checksum";

/// Its value while the sum is taken.
pub(super) const NONE: &str = "crc32:00000000";

/// Digits of a sum.
const DIGITS: usize = 8;

/// What stands before them in a header. A string of JSON cannot hold it, as it would have to escape the quotes.
const BEFORE: &[u8] = b"\"checksum\":\"crc32:";

/// Writes the sum into a header in which it is zero.
pub(super) fn set(header: &mut [u8], sum: u32) {
    let start = place(header).expect("the header has the entry");
    header[start..start + DIGITS].copy_from_slice(format!("{sum:08x}").as_bytes());
}

/// Whether a file has a sum.
///
/// # Errors
/// That its bytes have another, as the end of a sentence that begins with the file.
pub(super) fn check(bytes: &[u8]) -> Result<bool, &'static str> {
    let header = bytes.first_chunk::<8>().map_or(0, |length| u64::from_le_bytes(*length));
    let end = usize::try_from(header).unwrap_or(usize::MAX).saturating_add(8).min(bytes.len());
    let Some(start) = place(&bytes[..end]) else { return Ok(false) };
    let written = std::str::from_utf8(&bytes[start..start + DIGITS]).ok();
    let mut sum = crc32fast::Hasher::new();
    sum.update(&bytes[..start]);
    sum.update(&[b'0'; DIGITS]);
    sum.update(&bytes[start + DIGITS..]);
    match written == Some(&format!("{:08x}", sum.finalize())) {
        true => Ok(true),
        false => Err(
            "is damaged: its bytes do not have the checksum that it holds; copy it again from where it is whole, or train anew (a \
             program that changes it on purpose must leave out the metadata entry `checksum`)",
        ),
    }
}

/// Where the digits of the sum begin.
fn place(header: &[u8]) -> Option<usize> {
    let start = header.windows(BEFORE.len()).position(|part| part == BEFORE)? + BEFORE.len();
    (start + DIGITS <= header.len()).then_some(start)
}
