//! A program as data: read from the reference file, traced, compiled, run and compared.

use serde_json::Value;
use spiq::pjrt::{Client, CompileOptions};
use spiq::{Array, Function, Graph, Tensor};

use super::attributes::Attributes;
use super::compare::compare;
use super::frame::Frame;
use crate::reference::Case;

/// A function: instructions, and the values that are its results.
pub struct Program {
    pub code: Vec<Instruction>,
    pub results: Vec<i64>,
}

/// An operation on existing values.
pub struct Instruction {
    pub name: String,
    pub operands: Vec<i64>,
    pub attributes: Attributes,
}

fn references(value: &Value) -> Vec<i64> {
    value.as_array().expect("a list").iter().map(|r| r.as_i64().expect("a reference")).collect()
}

impl Program {
    pub fn new(case: &Case<'_>) -> Program {
        Program::parse(case.arguments())
    }

    pub fn parse(value: &Value) -> Program {
        let instruction = |value: &Value| Instruction {
            name: value[0].as_str().expect("an operation's name").to_owned(),
            operands: references(&value[1]),
            attributes: Attributes(value[2].clone()),
        };
        let code = value["code"].as_array().expect("a list of instructions").iter().map(instruction).collect();
        Program { code, results: references(&value["results"]) }
    }

    /// Traces the whole program.
    pub fn trace(&self, case: &Case<'_>) -> Result<Function, String> {
        let graph = Graph::new();
        let inputs: Vec<Tensor> = inputs(case).iter().map(|x| graph.input("", x.ty().clone())).collect();
        let results = Frame::new(&graph, inputs).call(self, &[]);
        graph.finish(&results).map_err(|e| e.to_string())
    }

    /// Compares the program with JAX and returns the differences: with kernels and, if a loop can use them, without.
    pub fn check(&self, client: &Client, case: &Case<'_>) -> Result<(), String> {
        let text = case.arguments();
        let function = self.trace(case).map_err(|e| format!("{}: {e}\n{text}", case.name))?;
        let mut loops = false;
        function.each_node(&mut |node, _| loops |= node.op.name() == "scan");
        for without_kernels in if loops { &[false, true][..] } else { &[false] } {
            let kernels = if *without_kernels { ", without kernels" } else { "" };
            let results = run(client, &function, &inputs(case), *without_kernels)
                .map_err(|e| format!("{}{kernels}: {e}\n{text}", case.name))?;
            let wrong = |message| format!("{}{kernels}: {message}\n{text}", case.name);
            compare(case, &results).map_err(wrong)?;
        }
        Ok(())
    }
}

/// The arrays `KIND/0`, `KIND/1`, … of a case.
pub fn inputs(case: &Case<'_>) -> Vec<Array> {
    (0..).map_while(|i| case.find(&format!("input/{i}")).cloned()).collect()
}

fn run(client: &Client, function: &Function, inputs: &[Array], without_kernels: bool) -> Result<Vec<Array>, String> {
    // Programs that run once are not kept in the user's cache.
    let options = CompileOptions { cache: false, ..CompileOptions::default() };
    let program = spiq::Program { options, without_kernels, ..spiq::Program::named("program") };
    let executable = program.compile(client, function).map_err(|e| e.to_string())?;
    client.run(&executable, inputs).map_err(|e| e.to_string())
}
