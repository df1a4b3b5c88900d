//! Prints the module around a kernel's body: the grid, and which block of each array a program of the grid works on.

use super::blocks::Blocks;
use super::text::{Text, Value, head};

/// The version of Mosaic's stable text that this backend writes; libtpu reads all earlier versions than its own.
const VERSION: usize = 11;

/// The function's name.
const NAME: &str = "spiq_elementwise_scan";

/// The parameters of all functions: the place of a program in the grid.
const PLACE: [&str; 3] = ["%row", "%column", "%time"];

/// A parameter: a block of an array.
#[derive(Clone)]
pub(super) struct Window {
    pub(super) name: String,
    /// The type of the block in memory.
    pub(super) ty: String,
    /// Whether the array's first axis is time.
    pub(super) over_time: bool,
}

/// The module of a kernel with this body.
pub(super) fn printed(body: &str, windows: &[Window], blocks: &Blocks, reverse: bool) -> String {
    let parameters: String = windows.iter().map(|window| format!(", {}: {}", window.name, window.ty)).collect();
    let types: String = windows.iter().map(|window| format!(", {}", window.ty)).collect();
    let params: Vec<String> = windows.iter().map(|window| window_params(window, blocks)).collect();
    let grid = blocks.grid().map(|count| count.to_string()).join(", ");
    let semantics = ["parallel", "parallel", "arbitrary"].map(|kind| format!("#tpu.dimension_semantics<{kind}>"));
    let attributes = [
        format!("dimension_semantics = [{}]", semantics.join(", ")),
        format!("function_type = (i32, i32, i32{types}) -> ()"),
        format!("iteration_bounds = array<i64: {grid}>"),
        "scalar_prefetch = 0 : i64, scratch_operands = 0 : i64".to_owned(),
        format!("sym_name = \"{NAME}\", tpu.core_type = #tpu.core_type<tc>"),
        format!("window_params = [{}]", params.join(", ")),
    ];
    let place = PLACE.map(|name| format!("{name}: i32")).join(", ");
    let main = format!("^main({place}{parameters}):\n{body}  }}) {{{}}} : () -> ()", attributes.join(", "));
    let function = head("func.func", &[]);
    let transforms = [transform(false, blocks, reverse), transform(true, blocks, reverse)].concat();
    format!(
        "\"builtin.module\"() ({{\n  {function} ({{\n  {main}\n{transforms}}}) {{stable_mosaic.version = {VERSION} : i64}} : () -> ()\n"
    )
}

/// The name of the function that chooses a block.
fn transform_name(over_time: bool) -> &'static str {
    if over_time { "block_of_sequence" } else { "block_of_lanes" }
}

fn window_params(window: &Window, blocks: &Blocks) -> String {
    let steps = window.over_time.then_some(blocks.steps_at_once);
    let bounds: Vec<String> = steps.into_iter().chain(blocks.block).map(|size| size.to_string()).collect();
    let (name, bounds) = (transform_name(window.over_time), bounds.join(", "));
    format!("{{transform_indices = @{name}, window_bounds = array<i64: {bounds}>}}")
}

/// A function from a place in the grid to the block of a sequence, or of an array without time.
fn transform(over_time: bool, blocks: &Blocks, reverse: bool) -> String {
    let mut text = Text::new(blocks.block);
    let [row, column] = [PLACE[0], PLACE[1]].map(|name| Value::new(name, "i32"));
    let time = over_time.then(|| time_block(&mut text, blocks, reverse));
    let results: Vec<&Value> = time.iter().chain([&row, &column]).collect();
    text.act("func.return", &results, "");
    let types = vec!["i32"; results.len()].join(", ");
    let place = PLACE.map(|name| format!("{name}: i32")).join(", ");
    format!(
        "  {} ({{\n  ^place({place}):\n{}  }}) {{function_type = (i32, i32, i32) -> ({types}), sym_name = \"{}\"}} : () -> ()\n",
        head("func.func", &[]),
        text.finish(),
        transform_name(over_time)
    )
}

/// Which block of steps a program works on: a loop that runs backward begins with the last.
pub(super) fn time_block(text: &mut Text, blocks: &Blocks, reverse: bool) -> Value {
    let time = Value::new(PLACE[2], "i32");
    if !reverse {
        return time;
    }
    let last = text.scalar(blocks.grid()[2] - 1, "i32");
    text.same("arith.subi", &[&last, &time])
}
