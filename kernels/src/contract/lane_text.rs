//! The text form of lane programs, one line per part of a program:
//!
//! ```text
//! loop of 16 steps, 48 lanes, backward
//!   const c0: f32
//!   slice x0: s8
//!   r0 = multiply_add(s0, 0.9, x0)
//!   r1 = greater(r0, c0)
//!   carry s0 = r0
//!   write y0: pred = r1
//! ```
//!
//! A number that is NaN is written by its bits, `0x7fc00000`.

use std::fmt;
use std::str::FromStr;

use spiq_hlo::DType;

use super::lane_op::LaneOp;
use super::lane_program::{Instruction, LaneProgram, Slot};
use super::parse::{ParseError, Words};

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Slot::Const(i) => write!(f, "c{i}"),
            Slot::Carry(i) => write!(f, "s{i}"),
            Slot::Slice(i) => write!(f, "x{i}"),
            Slot::Result(i) => write!(f, "r{i}"),
            Slot::Number(value) if value.is_nan() => write!(f, "0x{:08x}", value.to_bits()),
            Slot::Number(value) => write!(f, "{value:?}"),
        }
    }
}

impl FromStr for Slot {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Slot, ParseError> {
        let wrong = || ParseError::new("a slot (c0, s0, x0, r0) or a number", text);
        if let Some(bits) = text.strip_prefix("0x") {
            return u32::from_str_radix(bits, 16).map(|bits| Slot::Number(f32::from_bits(bits))).map_err(|_| wrong());
        }
        let kind: fn(usize) -> Slot = match text.get(..1) {
            Some("c") => Slot::Const,
            Some("s") => Slot::Carry,
            Some("x") => Slot::Slice,
            Some("r") => Slot::Result,
            _ => return text.parse().map(Slot::Number).map_err(|_| wrong()),
        };
        text[1..].parse().map(kind).map_err(|_| wrong())
    }
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operands: Vec<String> = self.read().iter().map(Slot::to_string).collect();
        write!(f, "{}({})", self.op.name(), operands.join(", "))
    }
}

impl FromStr for Instruction {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Instruction, ParseError> {
        let mut words = Words::of(text);
        let name = words.until("(")?;
        let op = LaneOp::from_name(name).ok_or_else(|| ParseError::new("an instruction name", name))?;
        let listed = words.until(")")?;
        let operands = listed.split(", ").map(Slot::from_str).collect::<Result<Vec<Slot>, _>>()?;
        if operands.len() != op.operands() || !words.rest().is_empty() {
            return Err(ParseError::new(format!("{} operands of {name}", op.operands()), text));
        }
        Ok(Instruction::new(op, &operands))
    }
}

impl fmt::Display for LaneProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.reverse { "backward" } else { "forward" };
        write!(f, "loop of {} steps, {} lanes, {direction}", self.steps, self.lanes)?;
        for (kind, letter, dtypes) in [("const", 'c', &self.consts), ("slice", 'x', &self.slices)] {
            for (i, dtype) in dtypes.iter().enumerate() {
                write!(f, "\n  {kind} {letter}{i}: {dtype}")?;
            }
        }
        for (i, instruction) in self.instructions.iter().enumerate() {
            write!(f, "\n  r{i} = {instruction}")?;
        }
        for (i, slot) in self.carries.iter().enumerate() {
            write!(f, "\n  carry s{i} = {slot}")?;
        }
        for (i, (slot, dtype)) in self.outputs.iter().enumerate() {
            write!(f, "\n  write y{i}: {dtype} = {slot}")?;
        }
        Ok(())
    }
}

impl FromStr for LaneProgram {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<LaneProgram, ParseError> {
        let mut lines = text.lines();
        let mut program = head(lines.next().unwrap_or_default())?;
        for text in lines {
            line(&mut program, text.trim_start())?;
        }
        match program.is_sound() {
            true => Ok(program),
            false => Err(ParseError::new("slots that are defined before they are read", text)),
        }
    }
}

/// Parses the first line; returns a program without instructions.
fn head(line: &str) -> Result<LaneProgram, ParseError> {
    let mut words = Words::of(line);
    words.skip("loop of ")?;
    let steps = words.number(" steps, ")?;
    let lanes = words.number(" lanes, ")?;
    let reverse = match words.rest() {
        "forward" => false,
        "backward" => true,
        _ => return Err(words.wrong("`forward` or `backward`")),
    };
    Ok(LaneProgram { steps, lanes, reverse, ..LaneProgram::default() })
}

/// Parses a line and adds it to the program.
fn line(program: &mut LaneProgram, line: &str) -> Result<(), ParseError> {
    let mut words = Words::of(line);
    if words.take("const c") {
        in_order(&mut words, program.consts.len(), ": ")?;
        program.consts.push(dtype(words.rest())?);
    } else if words.take("slice x") {
        in_order(&mut words, program.slices.len(), ": ")?;
        program.slices.push(dtype(words.rest())?);
    } else if words.take("carry s") {
        in_order(&mut words, program.carries.len(), " = ")?;
        program.carries.push(words.rest().parse()?);
    } else if words.take("write y") {
        in_order(&mut words, program.outputs.len(), ": ")?;
        let dtype = dtype(words.until(" = ")?)?;
        program.outputs.push((words.rest().parse()?, dtype));
    } else {
        words.skip("r")?;
        in_order(&mut words, program.instructions.len(), " = ")?;
        program.instructions.push(words.rest().parse()?);
    }
    Ok(())
}

/// Parses the index of a line's item, which must be the next one of its kind.
fn in_order(words: &mut Words, next: usize, end: &str) -> Result<(), ParseError> {
    let found = words.number(end)?;
    if found == next { Ok(()) } else { Err(ParseError::new(format!("number {next}"), found.to_string())) }
}

fn dtype(name: &str) -> Result<DType, ParseError> {
    DType::from_name(name).ok_or_else(|| ParseError::new("an element type", name))
}
