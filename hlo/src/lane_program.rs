//! An elementwise loop over time as plain data: a short list of instructions that every lane runs in every step. Knows
//! nothing of graphs, and not how it is run.

use crate::types::dtype::DType;

/// A loop over time whose lanes (elements of the carries) do not depend on each other.
///
/// Values are f32 in computations; other element types are converted where they are read and written, and booleans are
/// 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneProgram {
    /// Number of time steps.
    pub steps: usize,
    /// Number of elements of a carry.
    pub lanes: usize,
    /// Whether time runs from the last step to the first.
    pub reverse: bool,
    /// Element types of what is the same in every step, one array of `lanes` each.
    pub consts: Vec<DType>,
    /// What each carry becomes at the end of a step. Carries are f32.
    pub carries: Vec<Slot>,
    /// Element types of what is read step by step, arrays of `steps` times `lanes`.
    pub slices: Vec<DType>,
    /// What is written step by step, with its element type.
    pub outputs: Vec<(Slot, DType)>,
    /// What is computed in a step, in order.
    pub instructions: Vec<Instruction>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slot {
    /// An array that is the same in every step.
    Const(usize),
    /// A carry, as the step before left it.
    Carry(usize),
    /// The step's row of a sequence.
    Slice(usize),
    /// A number.
    Number(f32),
    /// The result of an instruction.
    Result(usize),
}

/// One operation on three operands, of which most read only the first one or two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instruction {
    /// What is done.
    pub op: LaneOp,
    /// On what; operands that the operation does not read repeat the first.
    pub operands: [Slot; 3],
}

macro_rules! lane_ops {
    ($($(#[$doc:meta])* $op:ident $count:literal;)*) => {
        /// What an instruction does. Each but the exponential rounds once, as IEEE 754 says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum LaneOp { $($(#[$doc])* $op,)* }

        impl LaneOp {
            /// Every instruction.
            pub const ALL: &[LaneOp] = &[$(LaneOp::$op,)*];

            /// How many operands it reads.
            pub const fn operands(self) -> usize {
                match self { $(LaneOp::$op => $count,)* }
            }
        }
    };
}

lane_ops! {
    /// `a + b`
    Add 2;
    /// `a - b`
    Subtract 2;
    /// `a b`
    Multiply 2;
    /// `a / b`
    Divide 2;
    /// The larger, 0 above -0, NaN if one is.
    Maximum 2;
    /// The smaller, -0 below 0, NaN if one is.
    Minimum 2;
    /// `a b + c`, rounded once.
    MultiplyAdd 3;
    /// `a b - c`, rounded once.
    MultiplySubtract 3;
    /// `c - a b`, rounded once.
    SubtractMultiply 3;
    /// `|a|`
    Abs 1;
    /// `-a`
    Negate 1;
    /// -1, 0 or 1 (0 and NaN stay as they are).
    Sign 1;
    /// The square root.
    Sqrt 1;
    /// `e^a`, to two units in the last place.
    Exponential 1;
    /// Largest integer not above.
    Floor 1;
    /// Smallest integer not below.
    Ceil 1;
    /// Nearest integer, ties to even.
    RoundEven 1;
    /// The nearest bf16.
    RoundBf16 1;
    /// Toward zero and into the range of s8; NaN becomes 0.
    TruncateS8 1;
    /// `a == b` as 1 or 0.
    Equal 2;
    /// `a != b` as 1 or 0.
    NotEqual 2;
    /// `a >= b` as 1 or 0.
    GreaterEqual 2;
    /// `a > b` as 1 or 0.
    Greater 2;
    /// `a <= b` as 1 or 0.
    LessEqual 2;
    /// `a < b` as 1 or 0.
    Less 2;
    /// Both, of booleans.
    And 2;
    /// Either or both, of booleans.
    Or 2;
    /// Either but not both, of booleans.
    Xor 2;
    /// The other boolean.
    Not 1;
    /// `b` where `a` is 1, else `c`.
    Select 3;
    /// `a`
    Copy 1;
}

impl LaneOp {
    /// Whether the result is 1 or 0, whatever the operands.
    pub(crate) const fn is_truth(self) -> bool {
        use LaneOp::{And, Equal, Greater, GreaterEqual, Less, LessEqual, Not, NotEqual, Or, Xor};
        matches!(self, Equal | NotEqual | GreaterEqual | Greater | LessEqual | Less | And | Or | Xor | Not)
    }
}

/// Changes with the meaning of the encoding, so that compiled programs that hold an older one are not found again.
const VERSION: i64 = 1;

impl LaneProgram {
    /// The program as whole numbers, which [`decode`](LaneProgram::decode) reads.
    pub fn encode(&self) -> Vec<i64> {
        let counts = [self.consts.len(), self.carries.len(), self.slices.len(), self.outputs.len()];
        let mut words = vec![VERSION, self.steps as i64, self.lanes as i64, i64::from(self.reverse)];
        words.extend(counts.map(|n| n as i64));
        words.extend(self.consts.iter().chain(&self.slices).map(|d| dtype_word(*d)));
        words.extend(self.carries.iter().map(|s| s.word()));
        words.extend(self.outputs.iter().flat_map(|(slot, dtype)| [slot.word(), dtype_word(*dtype)]));
        for Instruction { op, operands } in &self.instructions {
            words.push(*op as i64);
            words.extend(operands[..op.operands()].iter().map(|s| s.word()));
        }
        words
    }

    /// The program that was encoded; `None` for anything else, and for values that are read before they are there.
    pub fn decode(words: &[i64]) -> Option<LaneProgram> {
        let mut words = words.iter().copied();
        let mut number = || usize::try_from(words.next()?).ok();
        if number()? != VERSION as usize {
            return None;
        }
        let (steps, lanes, reverse) = (number()?, number()?, number()? != 0);
        let [consts, carries, slices, outputs] = [number()?, number()?, number()?, number()?];
        let dtypes = |count: usize, words: &mut dyn Iterator<Item = i64>| -> Option<Vec<DType>> {
            (0..count).map(|_| dtype(words.next()?)).collect()
        };
        let (consts, slices) = (dtypes(consts, &mut words)?, dtypes(slices, &mut words)?);
        let carries = (0..carries).map(|_| Slot::read(words.next()?)).collect::<Option<_>>()?;
        let outputs =
            (0..outputs).map(|_| Some((Slot::read(words.next()?)?, dtype(words.next()?)?))).collect::<Option<_>>()?;
        let mut instructions = Vec::new();
        while let Some(op) = words.next() {
            let op = *LaneOp::ALL.get(usize::try_from(op).ok()?)?;
            let mut operands = [Slot::read(words.next()?)?; 3];
            for operand in &mut operands[1..op.operands()] {
                *operand = Slot::read(words.next()?)?;
            }
            instructions.push(Instruction { op, operands });
        }
        let program = LaneProgram { steps, lanes, reverse, consts, carries, slices, outputs, instructions };
        program.is_sound().then_some(program)
    }

    fn is_sound(&self) -> bool {
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

fn dtype_word(dtype: DType) -> i64 {
    DType::ALL.iter().position(|d| *d == dtype).expect("every type is listed") as i64
}

fn dtype(word: i64) -> Option<DType> {
    DType::ALL.get(usize::try_from(word).ok()?).copied()
}

impl Slot {
    /// What it is in the upper half, which one or its bits in the lower.
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
