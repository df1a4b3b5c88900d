//! Runs the accelerator script (`benches/device/run.py`) on the CPU with small shapes: it completes, writes its results and continues
//! after failed steps.

#[path = "../../benches/published.rs"]
mod published;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn script(arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/device/run.py");
    let common = ["--device", "cpu", "--small", "--budget", "400", "--spiq", env!("CARGO_BIN_EXE_spiq")];
    let mut command = Command::new("python3");
    let run = command.arg("-B").arg(script).args(common).args(arguments).env_remove("SPIQ_TEST_DEVICE").output();
    let output = run.expect("python3 starts");
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

#[test]
fn it_compares_measures_and_goes_on_after_failures() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [reference, out]: [PathBuf; 2] = ["reference", "out"].map(|name| folder.path().join(name));
    script(&["--write", "--reference", shown(&reference)]);
    let steps = "machine,profile,smoke,agreement,bench";
    let output = script(&["--reference", shown(&reference), "--out", shown(&out), "--only", steps]);
    let results = written(&out);
    for mode in ["fp32", "int8"] {
        let row = &results["agreement"]["modes"][mode];
        assert_eq!((row["outputs off"].as_f64(), row["within bound"].as_bool()), (Some(0.0), Some(true)), "{row}");
        assert_eq!(row["last loss off"].as_f64(), Some(0.0), "{row}");
    }
    assert!(results["bench"]["tiny"]["ms"]["fp32"][0].as_f64().is_some_and(|ms| ms > 0.0), "{results}");
    let profile = &results["profile"]["modes"]["int8+bf16"];
    assert!(profile["launches"].as_f64() > Some(0.0), "{results}");
    let table = std::fs::read_to_string(out.join("table.md")).expect("a table");
    assert!(text(&output.stdout).contains(&table) && table.contains("| tiny | spiq | fp32 |"), "{table}");

    // Without reference outputs the comparison fails, and the step after it runs.
    let missing = folder.path().join("missing");
    script(&["--reference", shown(&missing), "--out", shown(&out), "--only", "agreement,machine"]);
    let results = written(&out);
    assert!(results["agreement"].to_string().contains("failed"), "{results}");
    assert!(results["machine"]["cores"].as_u64() > Some(0), "{results}");
}

#[test]
fn every_published_workload_runs() {
    let mut lines = Vec::new();
    published::measure_all(crate::device::cpu(), true, &mut |line| lines.push(line));
    assert_eq!(lines.len(), 2 * 3 + 4 + 1, "{lines:?}");
    for line in lines {
        assert!(line["ms"]["forward"].as_f64() > Some(0.0), "{line}");
    }
}

fn written(out: &Path) -> serde_json::Value {
    let results = std::fs::read_to_string(out.join("results.json")).expect("results");
    serde_json::from_str(&results).expect("JSON")
}
