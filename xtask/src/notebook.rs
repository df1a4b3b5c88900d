//! A notebook file: its cells, their outputs, and what is wrong with those.

use serde_json::{Value, json};

use crate::project::Result;

/// Tag of a cell that teaches an error: it must show one.
const TEACHES_AN_ERROR: &str = "shows-error";

/// Tag of a cell whose numbers differ between runs.
const MEASURES: &str = "measures";

/// A notebook, as JSON.
pub(crate) struct Notebook(Value);

impl Notebook {
    pub(crate) fn parse(text: &str) -> Result<Notebook> {
        let json: Value = serde_json::from_str(text).map_err(|cause| format!("no notebook: {cause}"))?;
        if json["nbformat"] != 4 || !json["cells"].is_array() {
            return Err("no notebook of format 4".to_owned());
        }
        Ok(Notebook(json))
    }

    /// The text to commit, without anything that differs between runs and machines.
    pub(crate) fn to_text(&self) -> String {
        let Value::Object(mut notebook) = self.0.clone() else { unreachable!("checked when it was parsed") };
        notebook["metadata"] = json!({
            "kernelspec": { "display_name": "Rust", "language": "rust", "name": "rust" },
            "language_info": { "file_extension": ".rs", "mimetype": "text/rust", "name": "Rust" },
        });
        for cell in notebook["cells"].as_array_mut().into_iter().flatten() {
            let tags = cell["metadata"]["tags"].clone();
            cell["metadata"] = if tags.is_null() { json!({}) } else { json!({ "tags": tags }) };
            if let Some(Value::Array(outputs)) = cell.get_mut("outputs") {
                join_streams(outputs);
            }
        }
        let indented = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut bytes = Vec::new();
        let mut writer = serde_json::Serializer::with_formatter(&mut bytes, indented);
        serde::Serialize::serialize(&notebook, &mut writer).expect("a value of JSON is written as JSON");
        String::from_utf8(bytes).expect("JSON is UTF-8") + "\n"
    }

    /// Everything that is wrong with the outputs, with the cell of each. `private` are texts that must not be in a committed file, such
    /// as this machine's folders.
    pub(crate) fn complaints(&self, private: &[String]) -> Vec<String> {
        let mut complaints = Vec::new();
        for (number, cell) in (1..).zip(self.code_cells()) {
            let complain = |what: &str| format!("cell {number} {what}\n{}", indented(&source(cell)));
            let errors = errors(cell);
            if is_tagged(cell, TEACHES_AN_ERROR) && errors.is_empty() {
                complaints.push(complain("must show an error, but shows none"));
            } else if !is_tagged(cell, TEACHES_AN_ERROR) && !errors.is_empty() {
                complaints.push(format!("{}\n  shows\n{}", complain("shows an error"), indented(&errors)));
            }
            let shown = cell["outputs"].to_string();
            if let Some(text) = private.iter().find(|text| shown.contains(text.as_str())) {
                complaints.push(complain(&format!("shows a folder of this machine, {text}")));
            }
        }
        complaints
    }

    /// The cells whose text output changed, in words.
    pub(crate) fn differences(&self, before: &Notebook) -> Vec<String> {
        let pairs = (1..).zip(self.code_cells().zip(before.code_cells()));
        let differ = pairs.filter(|(_, (now, then))| !is_tagged(now, MEASURES) && text(now) != text(then));
        differ
            .map(|(number, (now, then))| {
                format!("cell {number} shows\n{}\n  instead of\n{}", indented(&text(now)), indented(&text(then)))
            })
            .collect()
    }

    /// Whether a cell had no output but has one now: outputs must be committed.
    pub(crate) fn lacks_outputs_of(&self, now: &Notebook) -> bool {
        let empty = |cell: &Value| cell["outputs"].as_array().is_none_or(Vec::is_empty);
        let mut pairs = self.code_cells().zip(now.code_cells());
        pairs.any(|(before, now)| empty(before) && !empty(now))
    }

    fn code_cells(&self) -> impl Iterator<Item = &Value> {
        let cells = self.0["cells"].as_array().into_iter().flatten();
        cells.filter(|cell| cell["cell_type"] == "code")
    }
}

/// Joins the messages of one stream: their number differs between runs.
fn join_streams(outputs: &mut Vec<Value>) {
    outputs.dedup_by(|next, before| {
        let same =
            before["output_type"] == "stream" && next["output_type"] == "stream" && before["name"] == next["name"];
        if same {
            before["text"] = json!(lines(&before["text"]) + &lines(&next["text"]));
        }
        same
    });
}

fn is_tagged(cell: &Value, tag: &str) -> bool {
    cell["metadata"]["tags"].as_array().is_some_and(|tags| tags.iter().any(|given| given == tag))
}

/// A cell's errors: compile errors, everything on stderr (where panics and the errors of `?` are printed while the kernel
/// reports success), and results that are errors.
fn errors(cell: &Value) -> String {
    let outputs = cell["outputs"].as_array().into_iter().flatten();
    let error = |output: &Value| match output["output_type"].as_str()? {
        "error" => {
            Some(traceback(&output["traceback"])).filter(|text| !text.is_empty()).or(Some(lines(&output["evalue"])))
        }
        "stream" if output["name"] == "stderr" => Some(lines(&output["text"])),
        _ => Some(lines(&output["data"]["text/plain"])).filter(|text| text.starts_with("error: ")),
    };
    outputs.filter_map(error).collect()
}

/// A cell's text output. Pictures are excluded: their numbers differ in the last digit between machines.
fn text(cell: &Value) -> String {
    let outputs = cell["outputs"].as_array().into_iter().flatten();
    outputs.map(|output| lines(&output["text"]) + &lines(&output["data"]["text/plain"])).collect()
}

fn source(cell: &Value) -> String {
    lines(&cell["source"])
}

/// A text, which the format may store as a list of lines.
fn lines(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}

/// The lines of a compile error.
fn traceback(value: &Value) -> String {
    let lines = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.map(|line| format!("{line}\n")).collect()
}

/// A text without terminal colours.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or(part, |(_, rest)| rest))
}

fn indented(text: &str) -> String {
    plain(text).lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notebook(outputs: &Value, tags: &Value) -> Notebook {
        let cell = json!({
            "cell_type": "code", "execution_count": 3, "source": ["let x = 1;\n", "x"], "outputs": outputs,
            "metadata": { "tags": tags, "execution": { "iopub.execute_input": "2026-01-01" } },
        });
        let words = json!({ "cell_type": "markdown", "source": "words", "metadata": {} });
        let text = json!({ "nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [words, cell] }).to_string();
        Notebook::parse(&text).expect("a notebook")
    }

    #[track_caller]
    fn check(output: &Value, tags: &Value, complaint: Option<&str>) {
        let complaints = notebook(&json!([output]), tags).complaints(&["/a/folder".to_owned()]);
        match complaint {
            Some(text) => assert!(complaints.len() == 1 && complaints[0].contains(text), "{complaints:?}"),
            None => assert!(complaints.is_empty(), "{complaints:?}"),
        }
    }

    #[test]
    fn errors_of_all_kinds_are_found() {
        let none = json!(null);
        let stream = |name: &str, text: &str| json!({ "output_type": "stream", "name": name, "text": [text] });
        let result = |text: &str| json!({ "output_type": "execute_result", "data": { "text/plain": text } });
        let compile = json!({ "output_type": "error", "ename": "Error", "evalue": "cannot find x", "traceback": ["\u{1b}[31mE0425\u{1b}[0m"] });
        check(&stream("stdout", "loss 2.3"), &none, None);
        check(&result("f32[2]"), &none, None);
        check(&compile, &none, Some("E0425"));
        check(&stream("stderr", "panic: no"), &none, Some("cell 1 shows an error\n    let x = 1;"));
        check(&result("error: reshape: no"), &none, Some("reshape"));
        check(&stream("stdout", "in /a/folder/of/mine"), &none, Some("a folder of this machine"));
    }

    #[test]
    fn a_cell_that_teaches_an_error_must_show_one() {
        let tags = json!(["shows-error"]);
        let stream = json!({ "output_type": "stream", "name": "stderr", "text": "dot_general: no" });
        check(&stream, &tags, None);
        check(&json!({ "output_type": "stream", "name": "stdout", "text": "fine" }), &tags, Some("shows none"));
    }

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        let text = notebook(&json!([]), &json!(["shows-error"])).to_text();
        assert!(
            !text.contains("2026") && text.contains("shows-error") && text.contains("\"name\": \"rust\""),
            "{text}"
        );
        let again = Notebook::parse(&text).expect("a notebook");
        assert_eq!(again.to_text(), text);
    }

    #[test]
    fn lines_of_a_stream_are_joined() {
        let line = |name: &str, text: &str| json!({ "output_type": "stream", "name": name, "text": text });
        let outputs = json!([line("stdout", "a\n"), line("stdout", "b\n"), line("stderr", "c\n")]);
        let text = notebook(&outputs, &json!(null)).to_text();
        assert!(text.contains(r#""a\nb\n""#) && text.contains(r#""c\n""#), "{text}");
    }

    #[test]
    fn outputs_are_compared_as_text() {
        let shows =
            |text: &str| notebook(&json!([{ "output_type": "stream", "name": "stdout", "text": text }]), &json!(null));
        assert!(shows("a").differences(&shows("a")).is_empty());
        assert!(shows("a").differences(&shows("b"))[0].contains("cell 1 shows\n    a\n  instead of\n    b"));
        let empty = notebook(&json!([]), &json!(null));
        assert!(empty.lacks_outputs_of(&shows("a")) && !shows("a").lacks_outputs_of(&empty));
    }
}
