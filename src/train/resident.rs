//! Keeps a data set in device memory and gathers batches inside a program.

use spiq_hlo::{Array, DType, Tensor, TensorType};

use crate::data::{Dataset, Inputs};

/// The storage of a whole data set on the device: images unchanged, spikes as one bit each.
#[derive(Clone, Debug)]
pub(crate) struct Resident {
    samples: TensorType,
    labels: TensorType,
    /// The shape of one sample, if elements are stored as bits.
    bits: Option<Vec<usize>>,
}

/// Bits per byte.
const BITS: usize = 8;

impl Resident {
    /// The storage of this data set's file, and its arrays: samples and labels, row by row.
    pub(crate) fn of(data: &Dataset) -> (Resident, [Array; 2]) {
        let (inputs, labels) = (data.inputs(), data.all_labels());
        let (samples, bits) = match packed(inputs) {
            Some(packed) => (packed, Some(inputs.samples().dims()[1..].to_vec())),
            None => (inputs.samples().clone(), None),
        };
        let labels = Array::new([labels.len()], labels).expect("one label per sample");
        (Resident { samples: samples.ty().clone(), labels: labels.ty().clone(), bits }, [samples, labels])
    }

    /// Names and types of the arrays, as program inputs.
    pub(crate) fn inputs(&self) -> [(String, TensorType); 2] {
        [("samples".to_owned(), self.samples.clone()), ("classes".to_owned(), self.labels.clone())]
    }

    /// The samples in these rows, `s32[B]`, in the file's type (bits as booleans), and their labels `s32[B]`.
    #[track_caller]
    pub(crate) fn take(&self, samples: &Tensor, labels: &Tensor, rows: &Tensor) -> (Tensor, Tensor) {
        let (taken, labels) = (samples.take(rows, 0), labels.take(rows, 0));
        match &self.bits {
            Some(dims) => (unpacked(&taken, dims), labels),
            None => (taken, labels),
        }
    }
}

/// Spike trains [N, T, …] with the elements of each step packed into bytes, u8 [N, T, W], starting at the lowest bit; `None` for images,
/// and for inputs with values other than 0 and 1.
fn packed(inputs: &Inputs) -> Option<Array> {
    let samples = inputs.samples();
    if inputs.encoder().is_some() {
        return None;
    }
    let width = inputs.features().iter().product::<usize>();
    // Compares bit patterns, since packing would lose the sign of -0.
    let bytes = match samples.dtype() {
        DType::F32 => bits(&samples.to_vec::<f32>().ok()?, width, |x| {
            [0.0, 1.0].map(f32::to_bits).iter().position(|bits| *bits == x.to_bits()).map(|bit| bit as u8)
        }),
        DType::U8 => bits(samples.bytes(), width, |x| (x <= 1).then_some(x)),
        _ => None,
    };
    let dims = [samples.dims()[0], samples.dims()[1], width.div_ceil(BITS)];
    Some(Array::new(dims, bytes?).expect("whole steps"))
}

/// Packs elements as bits; each step of `width` elements starts at a new byte. `None` if an element is not 0 or 1. Packs directly, since an
/// intermediate array of bits would take eight times the memory.
fn bits<T: Copy>(samples: &[T], width: usize, bit: impl Fn(T) -> Option<u8>) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(samples.len() / width * width.div_ceil(BITS));
    for part in samples.chunks_exact(width).flat_map(|step| step.chunks(BITS)) {
        let mut byte = 0;
        for (place, sample) in part.iter().enumerate() {
            byte |= bit(*sample)? << place;
        }
        bytes.push(byte);
    }
    Some(bytes)
}

/// Booleans [B, …] from bytes [B, T, W]; `dims` is the shape of one sample.
#[track_caller]
fn unpacked(bytes: &Tensor, dims: &[usize]) -> Tensor {
    let [batch, time, width] = *bytes.dims() else { unreachable!("packed by `packed`") };
    let masks: Vec<u8> = (0..BITS).map(|bit| 1 << bit).collect();
    let masks = bytes.graph().constant(&Array::new([BITS], masks).expect("eight masks"));
    let wide = [batch, time, width, BITS];
    let bits = bytes.broadcast_in_dim(&wide, &[0, 1, 2]).and(masks.broadcast_in_dim(&wide, &[3])).ne(0.0);
    let elements = dims[1..].iter().product();
    let whole = bits.reshape(&[batch, time, width * BITS]).slice_axis(2, 0, elements);
    whole.reshape(&[&[batch], dims].concat())
}

#[cfg(test)]
mod tests {
    use spiq_hlo::trace;

    use super::*;
    use crate::data::ArrayFile;
    use crate::pjrt::Client;
    use crate::random::Key;

    fn dataset(name: &str, samples: Array) -> Dataset {
        let labels: Vec<i32> = (0..samples.dims()[0] as i32).collect();
        let labels = Array::new([labels.len()], labels).unwrap();
        let arrays = [(name.to_owned(), samples), ("labels".to_owned(), labels)].into();
        Dataset::from_file(&ArrayFile { arrays, ..ArrayFile::default() }, "test", None).unwrap()
    }

    /// Checks that the device gathers the same as the host, converted to the host's element type; returns the bytes per sample on the
    /// device.
    #[track_caller]
    fn check(name: &str, samples: Array) -> usize {
        let data = dataset(name, samples);
        let (resident, [kept, labels]) = Resident::of(&data);
        let rows = [4, 0, 4, 2];
        let dtype = data.inputs().samples().dtype();
        let [(_, samples_type), (_, labels_type)] = resident.inputs();
        let inputs = [("", samples_type), ("", labels_type), ("", TensorType::new(DType::S32, [4]))];
        let function = trace(&inputs, |x| {
            let (taken, labels) = resident.take(&x[0], &x[1], &x[2]);
            vec![taken.convert(dtype), labels]
        });
        let client = Client::cpu().unwrap();
        let program = crate::Program::named("take").compile(&client, &function.unwrap()).unwrap();
        let bytes = kept.bytes().len() / kept.dims()[0];
        let given = [kept, labels, Array::new([4], rows).unwrap()];
        let taken = client.run(&program, &given).unwrap();
        assert_eq!(taken[0], data.inputs().gather(&rows.map(|row| row as usize)).unwrap());
        assert_eq!(taken[1].to_vec::<i32>().unwrap(), rows);
        bytes
    }

    #[test]
    fn a_batch_is_the_same_on_the_device() {
        let dims = [6, 3, 2, 7];
        let spikes = Key::new(0).bernoulli(6 * 3 * 14, 0.3);
        let of = |one: f32| Array::new(dims, spikes.iter().map(|s| f32::from(u8::from(*s)) * one).collect::<Vec<_>>());
        let bytes: Vec<u8> = spikes.iter().map(|s| u8::from(*s)).collect();
        assert_eq!(check("inputs", of(1.0).unwrap()), 3 * 2, "14 spikes are two bytes");
        assert_eq!(check("inputs", Array::new(dims, bytes.clone()).unwrap()), 3 * 2);
        let more: Vec<u8> = bytes.iter().map(|s| s * 2).collect();
        assert_eq!(check("inputs", Array::new(dims, more).unwrap()), 3 * 14, "counts are not spikes");
        assert_eq!(check("inputs", of(0.5).unwrap()), 3 * 14 * 4);
        assert_eq!(check("inputs", of(-1.0).unwrap()), 3 * 14 * 4, "zeros may be negative");
        assert_eq!(check("images", Array::new(dims, bytes).unwrap()), 3 * 14);
    }
}
