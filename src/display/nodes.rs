//! Lists a traced function as a table of its nodes.

use spiq_hlo::{Function, Node, TensorType, Value};

use crate::table::Table;

/// Maximum number of nodes in a table.
const MOST_NODES: usize = 60;
/// Maximum length of an attribute's value: a constant may have thousands of characters.
const MOST_LETTERS: usize = 110;

/// A function's nodes in order: operation, operands, type and layer of each.
///
/// Parameters are shown by name; other values are numbered in order.
///
/// ```
/// use spiq::{DType, TensorType, display, trace};
/// let f = trace(&[("x", TensorType::new(DType::F32, [8]))], |x| vec![(&x[0] * 2.0).tanh()])?;
/// assert!(display::nodes(&f).to_string().contains("tanh"));
/// # Ok::<(), spiq::GraphErrors>(())
/// ```
pub fn nodes(function: &Function) -> Table {
    let names = Names { function, prefix: String::new() };
    let mut rows = Vec::new();
    collect(&names, &mut rows);
    let hidden = rows.len().saturating_sub(MOST_NODES);
    let head = Table::new(["value", "operation", "of", "type", "layer"]);
    let table = rows.into_iter().take(MOST_NODES).fold(head, Table::row);
    let more = if hidden > 0 { format!("; {hidden} more nodes") } else { String::new() };
    table.caption(format!("returns {}{more}", names.list(function.results())))
}

/// Collects the rows of a function; those of nested functions (such as a loop body) follow their operation.
fn collect(names: &Names, rows: &mut Vec<[String; 5]>) {
    let function = names.function;
    for (index, node) in function.nodes().iter().enumerate() {
        let types: Vec<String> = node.types.iter().map(TensorType::to_string).collect();
        let (value, of) = (names.node(index), names.list(&node.operands));
        rows.push([value.clone(), operation(node), of, types.join(", "), node.scope.to_string()]);
        let operands: Vec<TensorType> = node.operands.iter().map(|v| function.ty(*v).clone()).collect();
        for body in node.op.regions(&operands) {
            collect(&Names { function: &body, prefix: format!("{value}/") }, rows);
        }
    }
}

fn operation(node: &Node) -> String {
    let attrs = node.op.attrs();
    // Omit attributes with default values.
    let attrs = attrs.iter().filter(|(_, value)| !value.contains("DEFAULT"));
    let attrs = attrs.map(|(name, value)| format!(" {name}={}", shortened(value)));
    node.op.name().to_owned() + &attrs.collect::<String>()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The names of a function's values.
struct Names<'a> {
    function: &'a Function,
    /// The prefix for nested functions: the enclosing operation.
    prefix: String,
}

impl Names<'_> {
    fn node(&self, index: usize) -> String {
        let inputs = self.function.input_names();
        match inputs.get(index) {
            Some(name) if name.is_empty() => format!("{}in{index}", self.prefix),
            Some(name) => format!("{}{name}", self.prefix),
            None => format!("{}%{}", self.prefix, index - inputs.len()),
        }
    }

    fn of(&self, value: Value) -> String {
        let several = self.function.nodes()[value.node].types.len() > 1;
        let node = self.node(value.node);
        if several { format!("{node}.{}", value.output) } else { node }
    }

    fn list(&self, values: &[Value]) -> String {
        values.iter().map(|v| self.of(*v)).collect::<Vec<_>>().join(", ")
    }
}
