//! An elementwise loop over time as plain data: a short list of instructions that every lane executes in every step.

use spiq_hlo::DType;

use super::element;
use super::lane_op::LaneOp;

/// A loop over time whose lanes (elements of the carries) are independent.
///
/// Computations use f32; other element types are converted when they are read and written, and booleans are 0 and 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaneProgram {
    /// Number of time steps.
    pub steps: usize,
    /// Number of elements per carry.
    pub lanes: usize,
    /// Whether time runs from the last step to the first.
    pub reverse: bool,
    /// Element types of the constants, one array of `lanes` elements each.
    pub consts: Vec<DType>,
    /// The new value of each carry at the end of a step. Carries are f32.
    pub carries: Vec<Slot>,
    /// Element types of the input sequences, arrays of shape `[steps, lanes]`.
    pub slices: Vec<DType>,
    /// The value written to each output sequence in a step, with its element type.
    pub outputs: Vec<(Slot, DType)>,
    /// The instructions of a step, in order.
    pub instructions: Vec<Instruction>,
}

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slot {
    /// A constant array.
    Const(usize),
    /// A carry, as the previous step left it.
    Carry(usize),
    /// The step's row of an input sequence.
    Slice(usize),
    /// A number.
    Number(f32),
    /// The result of an instruction.
    Result(usize),
}

/// One operation on up to three operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instruction {
    /// The operation.
    pub op: LaneOp,
    /// The operands; entries that the operation does not read repeat the first.
    pub operands: [Slot; 3],
}

impl Instruction {
    /// An instruction with as many slots as the operation reads.
    ///
    /// # Panics
    /// When `slots` is empty.
    pub fn new(op: LaneOp, slots: &[Slot]) -> Instruction {
        let operand = |i: usize| *slots.get(i).unwrap_or(&slots[0]);
        Instruction { op, operands: [operand(0), operand(1), operand(2)] }
    }

    /// The slots it reads.
    pub fn read(&self) -> &[Slot] {
        &self.operands[..self.op.operands()]
    }
}

/// Changes with the meaning of the encoding, so that cached programs with an older encoding no longer match.
const VERSION: i64 = 1;

impl LaneProgram {
    /// Encodes the program as integers; [`decode`](LaneProgram::decode) is the inverse.
    pub fn encode(&self) -> Vec<i64> {
        let counts = [self.consts.len(), self.carries.len(), self.slices.len(), self.outputs.len()];
        let mut words = vec![VERSION, self.steps as i64, self.lanes as i64, i64::from(self.reverse)];
        words.extend(counts.map(|n| n as i64));
        words.extend(self.consts.iter().chain(&self.slices).map(|d| element::number(*d)));
        words.extend(self.carries.iter().map(|s| s.word()));
        words.extend(self.outputs.iter().flat_map(|(slot, dtype)| [slot.word(), element::number(*dtype)]));
        for instruction in &self.instructions {
            words.push(instruction.op.number());
            words.extend(instruction.read().iter().map(|s| s.word()));
        }
        words
    }

    /// Decodes a program; `None` for invalid words, and for results that are read before they are computed.
    pub fn decode(words: &[i64]) -> Option<LaneProgram> {
        let mut words = words.iter().copied();
        let mut number = || usize::try_from(words.next()?).ok();
        if number()? != VERSION as usize {
            return None;
        }
        let (steps, lanes, reverse) = (number()?, number()?, number()?);
        let reverse = [false, true].into_iter().find(|flag| usize::from(*flag) == reverse)?;
        let [consts, carries, slices, outputs] = [number()?, number()?, number()?, number()?];
        let dtypes = |count: usize, words: &mut dyn Iterator<Item = i64>| -> Option<Vec<DType>> {
            (0..count).map(|_| element::from_number(words.next()?)).collect()
        };
        let (consts, slices) = (dtypes(consts, &mut words)?, dtypes(slices, &mut words)?);
        let carries = (0..carries).map(|_| Slot::read(words.next()?)).collect::<Option<_>>()?;
        let outputs = (0..outputs)
            .map(|_| Some((Slot::read(words.next()?)?, element::from_number(words.next()?)?)))
            .collect::<Option<_>>()?;
        let mut instructions = Vec::new();
        while let Some(op) = words.next() {
            let op = LaneOp::from_number(op)?;
            let mut operands = [Slot::read(words.next()?)?; 3];
            for operand in &mut operands[1..op.operands()] {
                *operand = Slot::read(words.next()?)?;
            }
            instructions.push(Instruction { op, operands });
        }
        let program = LaneProgram { steps, lanes, reverse, consts, carries, slices, outputs, instructions };
        program.is_sound().then_some(program)
    }

    /// Whether every slot exists when it is read.
    pub(super) fn is_sound(&self) -> bool {
        let exists = |slot: &Slot, before: usize| match *slot {
            Slot::Const(i) => i < self.consts.len(),
            Slot::Carry(i) => i < self.carries.len(),
            Slot::Slice(i) => i < self.slices.len(),
            Slot::Number(_) => true,
            Slot::Result(i) => i < before,
        };
        let all = self.instructions.len();
        self.instructions.iter().enumerate().all(|(at, i)| i.operands.iter().all(|slot| exists(slot, at)))
            && self.carries.iter().chain(self.outputs.iter().map(|(slot, _)| slot)).all(|slot| exists(slot, all))
    }
}

impl Slot {
    /// The kind of slot in the upper half, its index or bits in the lower.
    fn word(self) -> i64 {
        let (kind, low) = match self {
            Slot::Const(i) => (0, i as i64),
            Slot::Carry(i) => (1, i as i64),
            Slot::Slice(i) => (2, i as i64),
            Slot::Number(value) => (3, i64::from(value.to_bits())),
            Slot::Result(i) => (4, i as i64),
        };
        (kind << 32) | low
    }

    fn read(word: i64) -> Option<Slot> {
        let low = word as u32;
        match word >> 32 {
            0 => Some(Slot::Const(low as usize)),
            1 => Some(Slot::Carry(low as usize)),
            2 => Some(Slot::Slice(low as usize)),
            3 => Some(Slot::Number(f32::from_bits(low))),
            4 => Some(Slot::Result(low as usize)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> LaneProgram {
        let add = |a, b| Instruction { op: LaneOp::Add, operands: [a, b, a] };
        LaneProgram {
            steps: 5,
            lanes: 3,
            reverse: true,
            consts: vec![DType::F32],
            carries: vec![Slot::Result(1)],
            slices: vec![DType::S8],
            outputs: vec![(Slot::Result(0), DType::BF16)],
            instructions: vec![add(Slot::Carry(0), Slot::Number(-0.5)), add(Slot::Const(0), Slot::Result(0))],
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        assert_eq!(LaneProgram::decode(&sample().encode()), Some(sample()));
    }

    #[test]
    fn damage_does_not_become_a_program() {
        let words = sample().encode();
        for end in 0..words.len() {
            assert_eq!(LaneProgram::decode(&words[..end]), None, "only {end} words");
        }
        let mut later = sample();
        later.instructions[0].operands[0] = Slot::Result(1);
        assert_eq!(LaneProgram::decode(&later.encode()), None);
    }
}
