//! The attributes of an instruction, by name.

use serde_json::Value;
use spiq::DType;

use super::program::Program;

pub struct Attributes(pub Value);

impl Attributes {
    pub fn find(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn get(&self, name: &str) -> &Value {
        self.find(name).unwrap_or_else(|| panic!("no attribute {name}"))
    }

    pub fn int(&self, name: &str) -> i64 {
        self.get(name).as_i64().unwrap_or_else(|| panic!("{name} is an integer"))
    }

    pub fn size(&self, name: &str) -> usize {
        self.int(name) as usize
    }

    pub fn axis(&self) -> isize {
        self.int("axis") as isize
    }

    pub fn number(&self, name: &str) -> f64 {
        self.get(name).as_f64().unwrap_or_else(|| panic!("{name} is a number"))
    }

    pub fn flag(&self, name: &str) -> bool {
        self.get(name).as_bool().unwrap_or_else(|| panic!("{name} is true or false"))
    }

    pub fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_else(|| panic!("{name} is a text"))
    }

    pub fn dtype(&self, name: &str) -> DType {
        DType::from_name(self.text(name)).unwrap_or_else(|| panic!("{name} is an element type"))
    }

    fn list(&self, name: &str) -> &[Value] {
        self.get(name).as_array().unwrap_or_else(|| panic!("{name} is a list"))
    }

    pub fn signed(&self, name: &str) -> Vec<i64> {
        self.list(name).iter().map(|v| v.as_i64().expect("an integer")).collect()
    }

    pub fn sizes(&self, name: &str) -> Vec<usize> {
        self.signed(name).into_iter().map(|v| v as usize).collect()
    }

    pub fn pairs(&self, name: &str) -> Vec<(i64, i64)> {
        let pair = |v: &Value| (v[0].as_i64().expect("an integer"), v[1].as_i64().expect("an integer"));
        self.list(name).iter().map(pair).collect()
    }

    /// Nested attributes.
    pub fn nest(&self, name: &str) -> Attributes {
        Attributes(self.get(name).clone())
    }

    pub fn body(&self, name: &str) -> Program {
        Program::parse(self.get(name))
    }

    pub fn bodies(&self, name: &str) -> Vec<Program> {
        self.list(name).iter().map(Program::parse).collect()
    }
}
