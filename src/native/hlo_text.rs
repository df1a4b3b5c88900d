//! A parser for the parts of optimized HLO text that the report needs.

use std::collections::HashMap;

/// One instruction.
#[derive(Debug, PartialEq)]
pub(super) struct Instruction<'a> {
    pub(super) name: &'a str,
    /// Type without layout: `s32[12288,1024]`; for a tuple, the whole text.
    pub(super) ty: &'a str,
    pub(super) opcode: &'a str,
    pub(super) operands: Vec<&'a str>,
    /// The number of a constant.
    pub(super) constant: Option<u64>,
    /// Everything after the operands.
    pub(super) attributes: &'a str,
}

/// The instructions of each computation.
#[derive(Debug)]
pub(super) struct Module<'a> {
    computations: HashMap<&'a str, Vec<Instruction<'a>>>,
    entry: &'a str,
}

impl<'a> Instruction<'a> {
    fn parse(line: &'a str) -> Option<Instruction<'a>> {
        let line = line.trim_start();
        let line = line.strip_prefix("ROOT ").unwrap_or(line);
        let (name, rest) = line.strip_prefix('%')?.split_once(" = ")?;
        let (ty, rest) = rest.split_at(type_end(rest)?);
        let (opcode, rest) = rest.trim_start().split_once('(')?;
        let end = closing(rest)?;
        let operands = rest[..end].split(", ").filter_map(|o| o.rsplit(' ').next()?.strip_prefix('%')).collect();
        let ty = if ty.starts_with('(') { ty } else { ty.split('{').next()? };
        let constant = if opcode == "constant" { rest[..end].parse().ok() } else { None };
        Some(Instruction { name, ty, opcode, operands, constant, attributes: &rest[end + 1..] })
    }

    /// Element type of the result: `s8`.
    pub(super) fn dtype(&self) -> &'a str {
        self.ty.split('[').next().unwrap_or_default()
    }

    /// The name given to the operation in the program's text.
    pub(super) fn op_name(&self) -> &'a str {
        quoted(self.attributes, "op_name=\"").unwrap_or_default()
    }

    /// The computation that a fusion calls.
    pub(super) fn calls(&self) -> Option<&'a str> {
        let (_, rest) = self.attributes.split_once("calls=%")?;
        Some(rest.split([',', ' ']).next().unwrap_or(rest))
    }

    /// A number in the compiler's annotations, as in `"estimated_cycles":"150528"`.
    pub(super) fn note(&self, key: &str) -> Option<u64> {
        quoted(self.attributes, &format!("\"{key}\":\""))?.parse().ok()
    }

    /// The computation that a loop repeats.
    pub(super) fn body(&self) -> Option<&'a str> {
        let (_, rest) = self.attributes.split_once("body=%")?;
        rest.split([',', ' ']).next()
    }

    /// The computation that decides whether a loop goes on.
    pub(super) fn condition(&self) -> Option<&'a str> {
        let (_, rest) = self.attributes.split_once("condition=%")?;
        rest.split([',', ' ']).next()
    }

    /// The number of iterations of a loop, where the compiler knows it.
    pub(super) fn known_turns(&self) -> Option<u64> {
        quoted(self.attributes, "\"known_trip_count\":{\"n\":\"")?.parse().ok()
    }

    /// The target function of a custom call.
    pub(super) fn target(&self) -> Option<&'a str> {
        quoted(self.attributes, "custom_call_target=\"")
    }
}

/// The text between `before` and the next quotation mark.
fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split('"').next()
}

/// The end of the type: the first space, or after a tuple's parenthesis.
fn type_end(text: &str) -> Option<usize> {
    match text.strip_prefix('(') {
        Some(inside) => Some(closing(inside)? + 2),
        None => text.find(' '),
    }
}

/// The index of the parenthesis that closes the one before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

impl<'a> Module<'a> {
    pub(super) fn parse(text: &'a str) -> Module<'a> {
        let mut computations: HashMap<&str, Vec<Instruction>> = HashMap::new();
        let (mut current, mut entry) = ("", "");
        for line in text.lines() {
            if line.ends_with('{') && !line.starts_with(' ') {
                let head = line.strip_prefix("ENTRY ").unwrap_or(line);
                current = head.trim_start_matches('%').split([' ', '(']).next().unwrap_or_default();
                entry = if line.starts_with("ENTRY ") { current } else { entry };
            } else if let Some(instruction) = Instruction::parse(line) {
                computations.entry(current).or_default().push(instruction);
            }
        }
        Module { computations, entry }
    }

    /// The name of the computation that a run begins with.
    pub(super) fn entry(&self) -> &'a str {
        self.entry
    }

    /// The number of iterations of a loop that counts from 0 to the only constant in its condition; `None` for other loops.
    pub(super) fn turns(&self, looped: &Instruction) -> Option<u64> {
        let mut constants = self.computation(looped.condition()?).iter().filter_map(|instruction| instruction.constant);
        constants.next().filter(|_| constants.next().is_none())
    }

    /// The instructions of a computation.
    pub(super) fn computation(&self, name: &str) -> &[Instruction<'a>] {
        self.computations.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every instruction, with its computation.
    pub(super) fn instructions(&self) -> impl Iterator<Item = (&'a str, &Instruction<'a>)> {
        self.computations.iter().flat_map(|(name, list)| list.iter().map(move |i| (*name, i)))
    }

    /// The instruction with this name in a computation.
    pub(super) fn find(&self, computation: &str, name: &str) -> Option<&Instruction<'a>> {
        self.computations.get(computation)?.iter().find(|i| i.name == name)
    }

    /// The product with this label, and its computation.
    pub(super) fn product(&self, label: &str) -> Option<(&'a str, &Instruction<'a>)> {
        self.instructions().find(|(_, i)| i.op_name() == label && matches!(i.opcode, "dot" | "convolution"))
    }

    /// The instruction that calls a computation.
    pub(super) fn caller(&self, computation: &str) -> Option<(&'a str, &Instruction<'a>)> {
        self.instructions().find(|(_, i)| i.calls() == Some(computation))
    }

    /// Element types of an instruction's operands.
    pub(super) fn operand_dtypes(&self, computation: &str, instruction: &Instruction<'a>) -> Vec<&'a str> {
        let dtype = |name: &&str| self.find(computation, name).map_or("", Instruction::dtype);
        instruction.operands.iter().map(dtype).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"HloModule step
%fused (param_0: s8[4,8], param_1: s8[8,2]) -> f32[4,2] {
  %param_0 = s8[4,8]{1,0} parameter(0)
  %param_1 = s8[8,2]{1,0} parameter(1)
  %dot.3 = s32[4,2]{1,0} dot(%param_0, %param_1), lhs_contracting_dims={1}, metadata={op_name="core/layers/0#7"}
  ROOT %convert = f32[4,2]{1,0:T(8,128)S(1)} convert(%dot.3)
}

ENTRY %main (a: s8[4,8], b: s8[8,2]) -> (f32[4,2]) {
  %a = s8[4,8]{1,0} parameter(0)
  %gemm = f32[4,2]{1,0} fusion(%a, s8[8,2] %b), kind=kCustom, calls=%fused, backend_config={"estimated_cycles":"12"}
  ROOT %tuple = (f32[4,2]{1,0}, /*index=1*/f32[]) tuple(%gemm)
}
"#;

    #[test]
    fn products_and_their_callers() {
        let module = Module::parse(TEXT);
        let (place, dot) = module.product("core/layers/0#7").expect("it is there");
        assert_eq!((place, dot.name, dot.ty, dot.dtype()), ("fused", "dot.3", "s32[4,2]", "s32"));
        assert_eq!(module.operand_dtypes(place, dot), ["s8", "s8"]);
        let (place, caller) = module.caller(place).expect("the fusion");
        assert_eq!((place, caller.name, caller.note("estimated_cycles")), ("main", "gemm", Some(12)));
        assert_eq!(caller.operands, ["a", "b"]);
        assert_eq!(module.find("main", "tuple").map(|i| i.opcode), Some("tuple"));
    }

    #[test]
    fn text_of_another_kind_holds_nothing() {
        for text in ["", "}{", "%a = ", "%a = f32[2] add(", "x {\n%a = (f32[2] add(%b)\n"] {
            assert_eq!(Module::parse(text).instructions().count(), 0, "{text}");
        }
    }
}
