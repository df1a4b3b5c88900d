//! Reads the part of MLIR's generic text that kernels use: one operation per line, regions in lines of their own.

use std::collections::HashMap;

/// An operation.
#[derive(Debug)]
pub struct Operation {
    pub results: Vec<String>,
    /// Without `stable_mosaic.`.
    pub name: String,
    pub operands: Vec<String>,
    pub region: Option<Block>,
    pub attributes: String,
    pub operand_types: Vec<String>,
    pub result_types: Vec<String>,
}

/// The parameters and operations of a region.
#[derive(Debug)]
pub struct Block {
    pub parameters: Vec<(String, String)>,
    pub operations: Vec<Operation>,
}

/// The functions of a module by name.
pub fn functions(text: &str) -> HashMap<String, Operation> {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("\"builtin.module\"() ({"));
    let mut functions = HashMap::new();
    loop {
        let line = lines.next().expect("the module ends");
        if line.starts_with('}') {
            assert_eq!(line, "}) {stable_mosaic.version = 11 : i64} : () -> ()");
            return functions;
        }
        let function = operation(line.trim(), &mut lines);
        assert_eq!(function.name, "func.func");
        let name = attribute(&function.attributes, "sym_name").trim_matches('"').to_owned();
        assert!(functions.insert(name, function).is_none());
    }
}

fn operation<'a>(line: &str, lines: &mut impl Iterator<Item = &'a str>) -> Operation {
    let (results, call) = line.split_once(" = \"").unwrap_or(("", &line[1..]));
    let (name, rest) = call.split_once("\"(").expect("a name");
    let (operands, rest) = rest.split_once(')').expect("operands");
    let (region, rest) = match rest {
        " ({" => {
            let (block, end) = block(lines);
            let end = end.strip_prefix("})").or_else(|| end.strip_prefix("}, {})")).expect("the end of a region");
            (Some(block), end)
        }
        rest => (None, rest),
    };
    let (attributes, signature) = rest.rsplit_once(" : (").expect("a type");
    let (operand_types, result_types) = signature.split_once(") -> ").expect("an arrow");
    let names = match results.split_once(':') {
        Some((name, count)) => (0..count.parse().expect("a count")).map(|i: usize| format!("{name}#{i}")).collect(),
        None => listed(results),
    };
    let attributes = attributes.trim().strip_prefix('{').map_or("", |all| all.strip_suffix('}').expect("a brace"));
    Operation {
        results: names,
        name: name.strip_prefix("stable_mosaic.").expect("a stable name").to_owned(),
        operands: listed(operands),
        region,
        attributes: attributes.to_owned(),
        operand_types: listed(operand_types),
        result_types: listed(result_types.trim_start_matches('(').trim_end_matches(')')),
    }
}

/// The operations up to the end of a region, and the line there.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>) -> (Block, &'a str) {
    let mut block = Block { parameters: Vec::new(), operations: Vec::new() };
    loop {
        let line = lines.next().expect("the region ends").trim();
        if line.starts_with('}') {
            return (block, line);
        }
        if let Some(head) = line.strip_prefix('^') {
            let inside = head.split_once('(').and_then(|(_, rest)| rest.strip_suffix("):")).expect("parameters");
            let pair = |text: String| text.split_once(": ").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a type");
            block.parameters = listed(inside).into_iter().map(pair).collect();
        } else {
            block.operations.push(operation(line, lines));
        }
    }
}

/// The items of a list, which may contain lists in brackets.
pub fn listed(text: &str) -> Vec<String> {
    let (mut items, mut depth, mut before) = (vec![String::new()], 0, ' ');
    for letter in text.chars() {
        let is_arrow = letter == '>' && before == '-';
        before = letter;
        match letter {
            _ if is_arrow => {}
            '<' | '[' | '{' | '(' => depth += 1,
            '>' | ']' | '}' | ')' => depth -= 1,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut().expect("one").push(letter);
    }
    items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

/// The value of an attribute.
#[track_caller]
pub fn attribute(attributes: &str, key: &str) -> String {
    let prefix = format!("{key} = ");
    let found = listed(attributes).into_iter().find_map(|item| item.strip_prefix(&prefix).map(str::to_owned));
    found.unwrap_or_else(|| panic!("no {key} in {attributes}"))
}

/// The numbers of `array<i64: 1, 2>`.
pub fn numbers(array: &str) -> Vec<usize> {
    let inside = array.strip_prefix("array<i64: ").and_then(|rest| rest.strip_suffix('>')).expect("an array");
    listed(inside).iter().map(|number| number.parse().expect("a number")).collect()
}
