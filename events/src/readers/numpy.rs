//! NumPy's `.npy` and `.npz` files with events: (x, y, p, t) of a camera or (t, unit) of a cochlea.
//!
//! Named columns, that is the fields of a structured array or the arrays of a `.npz`, are `t`, `x`, `y`, `p` or `t`, `unit`. An unnamed
//! array with four columns is x, y, p, t, as tonic stores the gestures; one with two is t, unit. Integer times are microseconds, float
//! times are seconds; in four unnamed columns, which share one type, times are always microseconds.

use std::io::{Read, Seek};

use super::archive::PlainArray;
use super::python::Literal;
use super::recording::Read1;
use crate::events::{Events, Sensor};
use crate::time::{NO_TIME, to_microseconds};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Accepted column names.
const NAMES: [(Role, &[&str]); 4] = [
    (Role::T, &["t", "times", "time", "ts", "timestamp", "timestamps"]),
    (Role::X, &["x", "unit", "units", "channel", "channels", "neuron", "neurons"]),
    (Role::Y, &["y"]),
    (Role::P, &["p", "polarity", "polarities", "pol"]),
];
const WANTED: &str = "(x, y, p, t) or (t, unit)";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    T,
    X,
    Y,
    P,
}

/// The events of a file. The arrays do not contain the sensor's size.
pub fn read(mut file: impl Read + Seek) -> Read1 {
    let mut start = Vec::new();
    file.by_ref().take(6).read_to_end(&mut start).map_err(|cause| cause.to_string())?;
    file.rewind().map_err(|cause| cause.to_string())?;
    let events = match start.as_slice() {
        start if start == MAGIC => of_array(&Array::read(file)?)?,
        [b'P', b'K', ..] => of_archive(file)?,
        _ => return Err("it is neither an array nor a zip file of arrays".into()),
    };
    Ok((events, None::<Sensor>))
}

fn of_archive(file: impl Read + Seek) -> Result<Events, String> {
    let mut archive = zip::ZipArchive::new(file).map_err(|_| "it is not a complete zip file (is it cut off?)")?;
    let names: Vec<String> =
        archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned())).collect();
    let mut array = |name: &str| {
        let member =
            archive.by_name(&format!("{name}.npy")).map_err(|error| format!("`{name}` is damaged ({error})"))?;
        Array::read(member).map_err(|reason| format!("`{name}`: {reason}"))
    };
    let wanted: Vec<(Role, &String)> = names.iter().filter_map(|name| Some((role(name)?, name))).collect();
    match (wanted.as_slice(), names.as_slice()) {
        ([], [only]) => of_array(&array(only)?),
        ([], _) => Err(format!("it holds the arrays {}; name them {WANTED}", names.join(", "))),
        (wanted, _) => {
            let arrays: Vec<(Role, Array)> =
                wanted.iter().map(|(role, name)| Ok((*role, array(name)?))).collect::<Result<_, String>>()?;
            let columns: Vec<(Role, Column)> =
                arrays.iter().map(|(role, array)| Ok((*role, array.single()?))).collect::<Result<_, String>>()?;
            events(&columns, true)
        }
    }
}

fn of_array(array: &Array) -> Result<Events, String> {
    let shape = &array.shape;
    match (array.fields.as_slice(), shape.as_slice()) {
        ([field], [_, 4]) if field.name.is_empty() => {
            events(&[Role::X, Role::Y, Role::P, Role::T].into_iter().zip(array.columns(4)).collect::<Vec<_>>(), false)
        }
        ([field], [_, 2]) if field.name.is_empty() => {
            events(&[Role::T, Role::X].into_iter().zip(array.columns(2)).collect::<Vec<_>>(), true)
        }
        (fields, [_]) if fields.iter().any(|field| !field.name.is_empty()) => {
            let named = fields.iter().filter_map(|field| Some((role(&field.name)?, array.column(field))));
            events(&named.collect::<Vec<_>>(), true)
        }
        _ => {
            Err(format!("its array has the shape {shape:?}, but must have a row for each event, with columns {WANTED}"))
        }
    }
}

fn role(name: &str) -> Option<Role> {
    NAMES.iter().find(|(_, names)| names.contains(&name)).map(|(role, _)| *role)
}

/// Converts columns to events. `seconds`: whether float times are seconds.
fn events(columns: &[(Role, Column)], seconds: bool) -> Result<Events, String> {
    let column = |wanted: Role| columns.iter().find(|(role, _)| *role == wanted).map(|(_, column)| column);
    let (Some(t), Some(x)) = (column(Role::T), column(Role::X)) else {
        return Err(format!("its columns are not {WANTED}"));
    };
    let (y, p) = (column(Role::Y), column(Role::P));
    if let Some(other) = [Some(x), y, p].into_iter().flatten().find(|other| other.count != t.count) {
        return Err(format!("it has {} times, but another column has {} elements", t.count, other.count));
    }
    let place = |column: &Column, event: usize, name: &str| match column.get(event) {
        Number::Integer(value) => u16::try_from(value).map_err(|_| beyond(event, name, value)),
        Number::Float(value) if value.fract() == 0.0 && (0.0..=65535.0).contains(&value) => Ok(value as u16),
        Number::Float(value) => Err(beyond(event, name, value)),
    };
    let mut events = Events::default();
    for event in 0..t.count {
        let time = match t.get(event) {
            Number::Integer(value) => i64::try_from(value).unwrap_or(NO_TIME),
            Number::Float(value) if seconds => to_microseconds(value),
            Number::Float(value) if value.is_finite() => value.round() as i64,
            Number::Float(_) => NO_TIME,
        };
        let polarity = match p.map(|column| column.get(event)) {
            None => true,
            Some(Number::Integer(value)) => value > 0,
            Some(Number::Float(value)) => value > 0.0,
        };
        let row = y.map_or(Ok(0), |y| place(y, event, "y"))?;
        events.push(time, place(x, event, "x")?, row, polarity);
    }
    Ok(events)
}

fn beyond(event: usize, name: &str, value: impl std::fmt::Display) -> String {
    format!("event {event} has {name} = {value}, which is not a whole number from 0 to 65535")
}

/// One array.
pub(super) struct Array {
    shape: Vec<usize>,
    /// Whether the array is column-major.
    by_column: bool,
    /// A plain array has a single field with an empty name.
    fields: Vec<Field>,
    /// Bytes per element.
    size: usize,
    bytes: Vec<u8>,
}

struct Field {
    name: String,
    kind: Kind,
    offset: usize,
}

#[derive(Clone, Copy, Debug)]
struct Kind {
    /// `i`, `u`, `f` or `b`.
    letter: u8,
    bytes: usize,
    big_endian: bool,
}

#[derive(Clone, Copy)]
enum Number {
    Integer(i128),
    Float(f64),
}

/// A strided view of one number per event.
struct Column<'a> {
    bytes: &'a [u8],
    kind: Kind,
    start: usize,
    stride: usize,
    count: usize,
}

impl Array {
    pub(super) fn read(mut file: impl Read) -> Result<Array, String> {
        let mut head = [0; 8];
        let cut_off = |_| "its header is cut off";
        file.read_exact(&mut head).map_err(cut_off)?;
        if head[..6] != *MAGIC {
            return Err("it is not a NumPy array".into());
        }
        let mut length = [0; 4];
        let wide = if head[6] == 1 { 2 } else { 4 };
        file.read_exact(&mut length[..wide]).map_err(cut_off)?;
        let mut text = Vec::new();
        // NumPy itself refuses headers longer than 10,000 bytes.
        let wanted = u64::from(u32::from_le_bytes(length)).min(1 << 16);
        file.by_ref().take(wanted).read_to_end(&mut text).map_err(|cause| cause.to_string())?;
        let head = Literal::parse(&String::from_utf8_lossy(&text)).ok_or("its header is damaged")?;
        let mut array = Array::of(&head)?;
        let count = array.shape.iter().try_fold(array.size, |product, length| product.checked_mul(*length));
        let wanted = count.ok_or("its array is too large for memory")? as u64;
        file.take(wanted).read_to_end(&mut array.bytes).map_err(|_| "it is damaged")?;
        match array.bytes.len() as u64 == wanted {
            true => Ok(array),
            false => {
                Err(format!("it should have {wanted} bytes of numbers, but has {} (is it cut off?)", array.bytes.len()))
            }
        }
    }

    fn of(head: &Literal) -> Result<Array, String> {
        let (Some(Literal::List(lengths)), Some(descr), Some(Literal::Truth(by_column))) =
            (head.get("shape"), head.get("descr"), head.get("fortran_order"))
        else {
            return Err("its header gives no shape and type".into());
        };
        let length = |length: &Literal| match length {
            Literal::Number(number) => usize::try_from(*number).ok(),
            _ => None,
        };
        let shape = lengths.iter().map(length).collect::<Option<Vec<usize>>>().ok_or("its shape is damaged")?;
        let mut array = Array { shape, by_column: *by_column, fields: Vec::new(), size: 0, bytes: Vec::new() };
        match descr {
            Literal::Text(text) => array.add(String::new(), text)?,
            Literal::List(fields) => {
                for field in fields {
                    let pair = match field {
                        Literal::List(pair) => pair.as_slice(),
                        _ => &[],
                    };
                    let [Literal::Text(name), Literal::Text(text)] = pair else {
                        return Err(format!("its type is not supported; save columns {WANTED}"));
                    };
                    array.add(name.clone(), text)?;
                }
            }
            _ => return Err("its type is damaged".into()),
        }
        Ok(array)
    }

    fn add(&mut self, name: String, text: &str) -> Result<(), String> {
        let kind = kind(text).ok_or_else(|| format!("it holds `{text}`, but must hold numbers"))?;
        self.fields.push(Field { name, kind, offset: self.size });
        self.size += kind.bytes;
        Ok(())
    }

    fn column(&self, field: &Field) -> Column<'_> {
        let count = self.shape.first().copied().unwrap_or(0);
        Column { bytes: &self.bytes, kind: field.kind, start: field.offset, stride: self.size, count }
    }

    /// The columns of a two-dimensional array.
    fn columns(&self, width: usize) -> impl Iterator<Item = Column<'_>> {
        let (count, kind) = (self.shape[0], self.fields[0].kind);
        let strides = if self.by_column { (count * self.size, self.size) } else { (self.size, width * self.size) };
        (0..width).map(move |column| Column {
            bytes: &self.bytes,
            kind,
            start: column * strides.0,
            stride: strides.1,
            count,
        })
    }

    /// The elements in row-major order and little-endian.
    pub(super) fn plain(self) -> Result<PlainArray, String> {
        let [Field { kind, name, .. }] = self.fields.as_slice() else {
            return Err("it has a structured type, but must hold plain numbers".into());
        };
        if !name.is_empty() {
            return Err("it has a structured type, but must hold plain numbers".into());
        }
        let kind = *kind;
        let mut bytes = if self.by_column && self.shape.len() > 1 { self.by_rows() } else { self.bytes };
        if kind.big_endian {
            bytes.chunks_exact_mut(kind.bytes).for_each(<[u8]>::reverse);
        }
        Ok(PlainArray { shape: self.shape, letter: kind.letter.into(), size: kind.bytes, bytes })
    }

    /// The elements of a column-major array in row-major order.
    fn by_rows(&self) -> Vec<u8> {
        let count = self.bytes.len() / self.size.max(1);
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for place in 0..count {
            // The place in rows, taken apart from the last axis on, gives the place in columns.
            let (mut rest, mut stride, mut columns) = (place, count, 0);
            for length in self.shape.iter().rev() {
                stride /= length;
                columns += rest % length * stride;
                rest /= length;
            }
            bytes.extend_from_slice(&self.bytes[columns * self.size..(columns + 1) * self.size]);
        }
        bytes
    }

    /// The only column.
    fn single(&self) -> Result<Column<'_>, String> {
        match (self.fields.as_slice(), self.shape.as_slice()) {
            ([field], [_]) => Ok(self.column(field)),
            (_, shape) => Err(format!("an array has the shape {shape:?}, but must have one element for each event")),
        }
    }
}

/// Parses a type such as `<i8`.
fn kind(text: &str) -> Option<Kind> {
    let [order, letter, digits @ ..] = text.as_bytes() else { return None };
    let bytes: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let known = matches!((letter, bytes), (b'i' | b'u', 1 | 2 | 4 | 8) | (b'f', 2 | 4 | 8) | (b'b', 1));
    let big_endian = *order == b'>';
    (known && b"<>|=".contains(order)).then_some(Kind { letter: *letter, bytes, big_endian })
}

impl Column<'_> {
    fn get(&self, event: usize) -> Number {
        let start = self.start + event * self.stride;
        let mut bytes = [0; 8];
        let own = &self.bytes[start..start + self.kind.bytes];
        bytes[..own.len()].copy_from_slice(own);
        if self.kind.big_endian {
            bytes[..own.len()].reverse();
        }
        let value = u64::from_le_bytes(bytes);
        let unused = 64 - 8 * self.kind.bytes as u32;
        match (self.kind.letter, self.kind.bytes) {
            (b'i', _) => Number::Integer(((value << unused) as i64 >> unused).into()),
            (b'f', 2) => Number::Float(half::f16::from_bits(value as u16).into()),
            (b'f', 4) => Number::Float(f32::from_bits(value as u32).into()),
            (b'f', _) => Number::Float(f64::from_bits(value)),
            _ => Number::Integer(value.into()),
        }
    }
}
