//! Prints a function with the programs of its kernels, for reading.

use spiq_hlo::{Function, PrintOptions};

use crate::backends::BACKENDS;

/// The function's text, with the program of each kernel printed below its call instead of encoded in it.
pub fn describe(function: &Function) -> String {
    let mut programs = Vec::new();
    function.each_node(&mut |node, _| {
        if node.op.name() == "custom_call" {
            programs.push(BACKENDS.iter().find_map(|backend| backend.describe(node.op.as_ref())));
        }
    });
    let mut programs = programs.into_iter();
    let text = function.stablehlo("kernels", &PrintOptions::default());
    let lines = text.lines().map(|line| match line.contains("\"stablehlo.custom_call\"") {
        true => with_program(line, programs.next().flatten()),
        false => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

/// The line of a call without the encoded program, followed by the program.
fn with_program(line: &str, program: Option<String>) -> String {
    let Some(program) = program else { return line.to_owned() };
    let indent = &line[..line.len() - line.trim_start().len()];
    let lines = program.lines().map(|line| format!("\n{indent}  // {line}"));
    without_config(line) + &lines.collect::<String>()
}

/// A line without the `backend_config` attribute: a string, or a dictionary that ends at the matching brace.
fn without_config(line: &str) -> String {
    const KEY: &str = ", backend_config = ";
    let Some(at) = line.find(KEY) else { return line.to_owned() };
    let (mut depth, mut quoted) = (0, false);
    for (offset, letter) in line[at + KEY.len()..].char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 && !quoted {
            return format!("{}{}", &line[..at], &line[at + KEY.len() + offset + 1..]);
        }
    }
    line.to_owned()
}
