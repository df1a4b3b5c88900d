//! Checksums of safetensors files: a metadata entry holds the CRC-32 of all bytes of the file, computed with that entry set to zero.

/// The metadata entry.
pub(super) const ENTRY: &str = "checksum";

/// Its value while the checksum is computed.
pub(super) const NONE: &str = "crc32:00000000";

/// Hex digits of a checksum.
const DIGITS: usize = 8;

/// The bytes before the digits in a header. They cannot occur inside a JSON string, which would escape the quotes.
const BEFORE: &[u8] = b"\"checksum\":\"crc32:";

/// Writes the checksum into a header whose entry is zero.
pub(super) fn set(header: &mut [u8], sum: u32) {
    let start = place(header).expect("the header has the entry");
    header[start..start + DIGITS].copy_from_slice(format!("{sum:08x}").as_bytes());
}

/// Whether a file has a checksum.
///
/// # Errors
/// On a mismatch: the end of a sentence whose subject is the file.
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
            "is damaged: its checksum does not match its bytes; copy it again from an intact one, or train again (a program that edits \
             the file on purpose must remove the metadata entry `checksum`)",
        ),
    }
}

/// The offset of the checksum's digits.
fn place(header: &[u8]) -> Option<usize> {
    let start = header.windows(BEFORE.len()).position(|part| part == BEFORE)? + BEFORE.len();
    (start + DIGITS <= header.len()).then_some(start)
}
