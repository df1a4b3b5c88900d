//! A minimal encoder and decoder of the protocol-buffer wire format.

/// A message being written. Fields may come in any order.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An integer, a boolean or an enum; negative values as `as u64`.
    pub fn number(&mut self, field: u64, value: u64) -> &mut Writer {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    /// Text, bytes or an embedded message.
    pub fn bytes(&mut self, field: u64, value: &[u8]) -> &mut Writer {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// A `double`.
    pub fn double(&mut self, field: u64, value: f64) -> &mut Writer {
        self.varint(field << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A packed list of integers.
    pub fn numbers(&mut self, field: u64, values: impl IntoIterator<Item = u64>) -> &mut Writer {
        let mut list = Writer::default();
        values.into_iter().for_each(|value| list.varint(value));
        self.bytes(field, &list.0)
    }

    /// The message so far.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// An integer of any width, or the bits of a floating-point number.
    Number(u64),
    /// Text, bytes, an embedded message or a packed list.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The bytes; empty for a number.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => &[],
        }
    }

    /// The number; zero for bytes.
    pub fn number(self) -> u64 {
        match self {
            Value::Number(number) => number,
            Value::Bytes(_) => 0,
        }
    }

    /// A repeated integer, packed or not.
    pub fn numbers(self) -> Vec<u64> {
        match self {
            Value::Number(number) => vec![number],
            Value::Bytes(mut bytes) => std::iter::from_fn(|| varint(&mut bytes)).collect(),
        }
    }
}

/// The fields of a message, up to the first malformed byte.
pub fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || field(&mut bytes))
}

/// The message without a number in a field that is a list of numbers. Other fields, and what follows a malformed byte, stay as they are.
pub fn without(mut bytes: &[u8], list: u64, removed: u64) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    loop {
        let before = bytes;
        match field(&mut bytes) {
            Some((number, value)) if number == list && value.numbers().contains(&removed) => {
                let rest = value.numbers().into_iter().filter(|one| *one != removed);
                kept.extend(Writer::default().numbers(list, rest).finish());
            }
            Some(_) => kept.extend_from_slice(&before[..before.len() - bytes.len()]),
            None => return [&kept[..], before].concat(),
        }
    }
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = varint(bytes)?;
    let value = match key & 7 {
        0 => Value::Number(varint(bytes)?),
        1 => Value::Number(u64::from_le_bytes(take(bytes, 8)?.try_into().ok()?)),
        2 => {
            let size = usize::try_from(varint(bytes)?).ok()?;
            Value::Bytes(take(bytes, size)?)
        }
        5 => Value::Number(u64::from(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?))),
        _ => return None,
    };
    Some((key >> 3, value))
}

fn take<'a>(bytes: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(size)?;
    *bytes = tail;
    Some(head)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = Writer::default().number(4, 300).bytes(2, b"ab").numbers(3, [1, u64::MAX]).double(5, 1.5).finish();
        let read: Vec<_> = fields(&bytes).collect();
        assert_eq!(read[0], (4, Value::Number(300)));
        assert_eq!(read[1], (2, Value::Bytes(b"ab")));
        assert_eq!(read[2].1.numbers(), [1, u64::MAX]);
        assert_eq!(f64::from_bits(read[3].1.number()), 1.5);
    }

    #[test]
    fn a_number_of_a_list_is_removed() {
        let with = |list: &[u64]| Writer::default().number(4, 3).numbers(3, list.iter().copied()).number(5, 7).finish();
        assert_eq!(without(&with(&[4, 5, 3]), 3, 3), with(&[4, 5]));
        assert_eq!(without(&with(&[4]), 3, 3), with(&[4]));
        let malformed = |list: &[u64]| [with(list), vec![0xff; 20]].concat();
        assert_eq!(without(&malformed(&[3, 300]), 3, 3), malformed(&[300]));
        // Not packed: one number at a time.
        let single = Writer::default().number(3, 4).number(3, 3).finish();
        let left: Vec<u64> = fields(&without(&single, 3, 3)).flat_map(|(_, value)| value.numbers()).collect();
        assert_eq!(left, [4]);
    }

    #[test]
    fn nonsense_ends_the_list() {
        assert_eq!(fields(&[0x12, 0xff, 0xff]).count(), 0);
        assert_eq!(fields(&[0xff; 20]).count(), 0);
    }
}
