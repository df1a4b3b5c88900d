//! Base64 (RFC 4648, with padding), in which calls hold their kernel.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn encoded(bytes: &[u8]) -> String {
    bytes.chunks(3).flat_map(letters).collect()
}

/// Four letters for one to three bytes.
fn letters(chunk: &[u8]) -> [char; 4] {
    let byte = |i: usize| u32::from(*chunk.get(i).unwrap_or(&0));
    let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    let letter = |i: usize| match i <= chunk.len() {
        true => char::from(LETTERS[(bits >> (18 - 6 * i)) as usize & 63]),
        false => '=',
    };
    [letter(0), letter(1), letter(2), letter(3)]
}

#[cfg(test)]
mod tests {
    use super::encoded;

    /// The test vectors of RFC 4648.
    #[test]
    fn bytes_become_letters() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        pairs.iter().for_each(|(bytes, letters)| assert_eq!(encoded(bytes.as_bytes()), *letters));
        assert_eq!(encoded(&[0xff, 0xef, 0xfe]), "/+/+");
    }
}
