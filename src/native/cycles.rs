//! Adds up a TPU compiler's estimates over a run.

use super::hlo_text::{Instruction, Module};

/// The key of the compiler's estimate.
pub(super) const CYCLES: &str = "estimated_cycles";

/// The cycles of a run, as far as the compiler estimates them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cycles {
    /// The sum of the compiler's estimates; those in a loop count once per iteration.
    pub estimated: u64,
    /// Calls of kernels, for which the compiler has no estimate.
    pub kernels: u64,
}

impl Cycles {
    /// The cycles of a whole program.
    pub(super) fn of(module: &Module) -> Cycles {
        Cycles::of_computation(module, module.entry())
    }

    fn of_computation(module: &Module, computation: &str) -> Cycles {
        let each =
            module.computation(computation).iter().map(|instruction| Cycles::of_instruction(module, instruction));
        each.fold(Cycles::default(), |a, b| Cycles {
            estimated: a.estimated + b.estimated,
            kernels: a.kernels + b.kernels,
        })
    }

    fn of_instruction(module: &Module, instruction: &Instruction) -> Cycles {
        if let Some(body) = instruction.body() {
            let (turns, turn) = (module.turns(instruction).unwrap_or(1), Cycles::of_computation(module, body));
            return Cycles { estimated: turns * turn.estimated, kernels: turns * turn.kernels };
        }
        let estimated = instruction.note(CYCLES);
        let is_kernel = instruction.target() == Some("tpu_custom_call");
        Cycles { estimated: estimated.unwrap_or(0), kernels: u64::from(is_kernel && estimated.is_none()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_counts_once_per_iteration() {
        let text = r#"HloModule step
%body (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %fusion = f32[4]{0} fusion(%p), kind=kLoop, calls=%f, backend_config={"estimated_cycles":"10"}
  %call.1 = f32[4]{0} custom-call(%p), custom_call_target="tpu_custom_call"
}

%c (p: (s32[], f32[4])) -> pred[] {
  %constant.9 = s32[]{:T(128)} constant(3)
  ROOT %compare = pred[] compare(%p#0, %constant.9), direction=LT
}

ENTRY %main (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  %add = f32[4]{0} fusion(%a), kind=kLoop, calls=%f, backend_config={"estimated_cycles":"7"}
  %while = (s32[], f32[4]{0}) while(%add), condition=%c, body=%body
  ROOT %call = f32[4]{0} custom-call(%a), custom_call_target="tpu_custom_call"
}
"#;
        assert_eq!(Cycles::of(&Module::parse(text)), Cycles { estimated: 37, kernels: 4 });
    }
}
