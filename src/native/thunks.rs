//! Counts the launches and CUDA graphs of a run from XLA's list of thunks.

use super::report::Launches;

/// Thunks that launch nothing themselves.
const STRUCTURE: [&str; 9] = [
    "kAsyncDone",
    "kAsyncStart",
    "kCommandBuffer",
    "kConditional",
    "kDynamicSliceFusion",
    "kPartitionId",
    "kReplicaId",
    "kSequential",
    "kWhile",
];

/// Counts the thunks of a list whose indentation shows nesting. `turns` are the iteration counts of its loops in order, 0 if unknown:
/// such a loop counts once, including its condition, which a loop of known length does not launch.
pub(super) fn count(text: &str, turns: &[u64]) -> Launches {
    let mut turns = turns.iter().copied();
    let mut around: Vec<Around> = Vec::new();
    let mut counted = Launches::default();
    let mut skipped = false;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        match line.trim() {
            "condition:" => skipped = around.last().is_some_and(|loop_around| loop_around.known),
            "body:" => skipped = false,
            _ => around.retain(|outer| outer.indent < indent),
        }
        let Some(kind) = line.split_whitespace().nth(1).filter(|_| !skipped) else { continue };
        let times: u64 = around.iter().map(|outer| outer.times).product();
        match kind {
            "kWhile" => {
                let turns = turns.next().unwrap_or(0);
                around.push(Around { indent, times: turns.max(1), known: turns > 0, graph: false });
            }
            "kCommandBuffer" => {
                counted.graphs += if around.iter().any(|outer| outer.graph) { 0 } else { times };
                around.push(Around { indent, times: 1, known: false, graph: true });
            }
            _ if kind.starts_with('k') && !STRUCTURE.contains(&kind) => counted.launches += times,
            _ => {}
        }
    }
    counted
}

/// An enclosing loop or graph.
struct Around {
    indent: usize,
    times: u64,
    known: bool,
    graph: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_graph() {
        let text = "000: kCommandBuffer [source | sink] \n    001: kCustomKernel [source | sink] a grid: [1, 1, 1]\n    \
                    002: kCopy         [source | sink] kCopy\n";
        assert_eq!(count(text, &[]), Launches { launches: 2, graphs: 1 });
    }

    #[test]
    fn loops_count_their_turns() {
        let text = "\
013: kWhile         [prev=000 (1) | next=000 (1)]
condition:
    014: kCustomKernel [source | sink] loop_compare_fusion
  body:
    000: kCommandBuffer [source | sink]
        015: kAsyncStart   [source       | next=020 (3)]
            017: kDynamicSliceFusion [source | sink]
                016: kCopy [source | sink] kCopy
        018: kCustomKernel [source       | next=020 (2)] a
        019: kAsyncDone    [source       | sink        ]
020: kCustomKernel [source | sink] b
";
        assert_eq!(count(text, &[96]), Launches { launches: 96 * 2 + 1, graphs: 96 });
        assert_eq!(count(text, &[]), Launches { launches: 4, graphs: 1 });
    }
}
