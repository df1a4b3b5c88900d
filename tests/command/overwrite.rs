//! Results of earlier runs are replaced only with `--overwrite`; `--quiet`; layers that never fire; rules without effect.

use std::path::Path;

use super::evaluated::{refuses, spiq, succeeds};
use tempfile::TempDir;

const SHORT: &str = "train --time-steps 3 --batch-size 64 --rules none";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn bytes(folder: &Path, file: &str) -> Vec<u8> {
    std::fs::read(folder.join(file)).expect("a file")
}

#[test]
fn a_run_is_replaced_only_on_request() {
    let folder = folder();
    let folder = folder.path();
    succeeds(folder, &format!("{SHORT} --steps 2 --out run"));
    let params = bytes(folder, "run/params.safetensors");
    refuses(
        folder,
        &format!("{SHORT} --steps 3 --out run"),
        "run holds a run with another length (--epochs or --steps: 2 steps there, 3 steps here); replace it with --overwrite, or \
         give another folder with --out",
    );
    assert_eq!(bytes(folder, "run/params.safetensors"), params);
    // The same settings give the same results.
    succeeds(folder, &format!("{SHORT} --steps 2 --out run"));
    assert_eq!(bytes(folder, "run/params.safetensors"), params);
    succeeds(folder, &format!("{SHORT} --steps 3 --out run --overwrite"));
    assert_ne!(bytes(folder, "run/params.safetensors"), params);
    refuses(folder, &format!("{SHORT} --steps 3 --out run --overwrite --resume"), "cannot be used with");
}

#[test]
fn an_unfinished_run_is_not_lost() {
    let folder = folder();
    let folder = folder.path();
    succeeds(folder, &format!("{SHORT} --steps 2 --out run"));
    std::fs::remove_file(folder.join("run/summary.json")).expect("a file");
    refuses(
        folder,
        &format!("{SHORT} --steps 2 --out run"),
        "run holds an unfinished run with the same settings; continue it with `spiq train --resume --out run`",
    );
    // Nothing is lost if there is nothing but a history.
    std::fs::copy(folder.join("run/params.safetensors"), folder.join("run/best.safetensors")).expect("a file");
    for file in ["checkpoint.safetensors", "checkpoint-previous.safetensors", "params.safetensors"] {
        _ = std::fs::remove_file(folder.join("run").join(file));
    }
    succeeds(folder, &format!("{SHORT} --steps 3 --out run"));
}

#[test]
fn a_run_that_was_continued_with_changes_is_another_one() {
    let folder = folder();
    let folder = folder.path();
    succeeds(folder, &format!("{SHORT} --steps 2 --out run"));
    succeeds(folder, "train --resume --allow-changes --steps 3 --learning-rate 0.01 --out run");
    let same = format!("{SHORT} --steps 3 --learning-rate 0.01 --out run");
    refuses(folder, &same, "replace it with --overwrite");
}

#[test]
fn runs_of_an_earlier_command_are_replaced_only_on_request() {
    let folder = folder();
    let folder = folder.path();
    succeeds(folder, &format!("{SHORT} --steps 2 --seeds 3 --out o"));
    succeeds(folder, &format!("{SHORT} --steps 2 --seeds 3 --out o"));
    refuses(
        folder,
        &format!("{SHORT} --steps 2 --seeds 2 --out o"),
        "o holds results of an earlier command that these runs would replace (seed-2); replace them with --overwrite",
    );
    refuses(folder, &format!("{SHORT} --steps 3 --seeds 3 --out o"), "o/seed-0 holds a run with another length");
    assert!(folder.join("o/seed-2/params.safetensors").exists());
    succeeds(folder, &format!("{SHORT} --steps 2 --seeds 2 --out o --overwrite"));
    assert!(!folder.join("o/seed-2").exists());
}

#[test]
fn quiet_hides_progress_only() {
    let folder = folder();
    let folder = folder.path();
    let (_, _, noted) = spiq(folder, &format!("{SHORT} --epochs 1 --out loud"));
    assert!(noted.contains("compiling the training step") && noted.contains("epoch   1"), "{noted}");
    for line in [format!("{SHORT} --epochs 1 --out run --quiet"), format!("-q {SHORT} --epochs 1 --out other")] {
        let (code, said, noted) = spiq(folder, &line);
        assert_eq!((code, noted.as_str()), (0, ""), "{line}");
        assert!(said.contains("test accuracy"), "{said}");
    }
    refuses(folder, &format!("{SHORT} --epochs 2 --out run --quiet"), "replace it with --overwrite");
}

/// Eleven layers, of which the last but one spikes only if its threshold is low.
fn deep(threshold: f64) -> String {
    let layer = |text: &str| format!("[[layers]]\n{text}\n");
    let first = layer("type = 'Linear'\nin_features = 64\nout_features = 8");
    let identities = layer("type = 'Identity'").repeat(7);
    let fires = |threshold: f64| layer(&format!("type = 'LIF'\nhidden_shape = 8\nthreshold = {threshold}"));
    let last = layer("type = 'Linear'\nin_features = 8\nout_features = 10") + &layer("type = 'LI'\nlayer_shape = 10");
    [first, fires(1e-6), identities, fires(0.5), fires(threshold), last].concat()
}

#[test]
fn a_layer_that_never_fires_is_named() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join("m.toml"), deep(1e6)).expect("a file");
    // A spike takes a step per layer.
    let train = "train --model m.toml --time-steps 8 --batch-size 64 --rules none";
    let (code, said, noted) = spiq(folder, &format!("{train} --epochs 2 --out run"));
    assert_eq!(code, 0, "{noted}");
    let early = "warning: core/layers/10 did not fire on any test sample after epoch 1";
    assert_eq!(noted.matches(early).count(), 1, "{noted}");
    assert!(!noted.contains("after epoch 2"), "{noted}");
    let warning =
        "warning: core/layers/10 never fires on the test samples, so nothing passes through; lower its `threshold`";
    assert!(noted.contains(warning) && !noted.contains("core/layers/9"), "{noted}");
    assert!(said.contains("core/layers/10  0, never fires"), "{said}");
    // In the order of the layers, also from the tenth on.
    let place = |text: &str, layer: &str| text.find(&format!("core/layers/{layer} ")).expect("a row");
    assert!(place(&said, "1") < place(&said, "9") && place(&said, "9") < place(&said, "10"), "{said}");
    let (_, said, noted) = spiq(folder, "evaluate run");
    assert!(noted.contains("warning: core/layers/10 never fires on these samples"), "{noted}");
    assert!(place(&said, "9") < place(&said, "10"), "{said}");
    std::fs::write(folder.join("m.toml"), deep(1e-6)).expect("a file");
    let (_, _, noted) = spiq(folder, &format!("{train} --epochs 1 --out other"));
    assert!(!noted.contains("warning"), "{noted}");
}

#[test]
fn rules_are_shared_between_models() {
    let folder = folder();
    let folder = folder.path();
    let layer =
        "[[layers]]\ntype = 'Linear'\nin_features = 64\nout_features = 10\n[[layers]]\ntype = 'LI'\nlayer_shape = 10\n";
    std::fs::write(folder.join("m.toml"), layer).expect("a file");
    let rule = |path: &str, qtype: &str| format!("[[rules]]\nmodule_path = '{path}'\nweight_qtype = '{qtype}'\n");
    // A last rule for everything else, in a model that has nothing else.
    std::fs::write(folder.join("r.toml"), rule("core/layers/0", "int8") + &rule(".*", "int4")).expect("a file");
    let train = "train --time-steps 3 --batch-size 64 --model m.toml --steps 2";
    let (code, _, noted) = spiq(folder, &format!("{train} --rules r.toml --out run"));
    let note = "note: rule 2 (module_path `.*`) decides nothing: the rules before it match every operation";
    assert!(code == 0 && noted.contains(note), "{noted}");
    let (code, said, noted) = spiq(folder, "inspect --model m.toml --rules r.toml --report");
    assert!(code == 0 && noted.contains(note) && said.contains("int8"), "{said}{noted}");
    // A rule for a layer that another model has.
    let all = rule("core/layers/7", "int2") + &rule("core/layers/0", "int8");
    std::fs::write(folder.join("r.toml"), all).expect("a file");
    refuses(
        folder,
        &format!("{train} --rules r.toml --out other"),
        "rule 1 (module_path `core/layers/7`) matches no operation",
    );
    let (code, _, noted) = spiq(folder, &format!("{train} --rules r.toml --out other --allow-unmatched"));
    let note = "note: rule 1 (module_path `core/layers/7`) applies to no operation of this model and is left out";
    assert!(code == 0 && noted.contains(note), "{noted}");
    // The run records the rules that apply, so that nothing later needs the flag.
    let left = std::fs::read_to_string(folder.join("other/rules.toml")).expect("a file");
    assert!(!left.contains("layers/7") && left.contains("layers/0"), "{left}");
    succeeds(folder, "evaluate other");
    succeeds(folder, "train --resume --out other");
    let line = "quantize --params run/params.safetensors --rules r.toml --output q.safetensors";
    refuses(folder, line, "matches no operation");
    succeeds(folder, &format!("{line} --allow-unmatched"));
    // Rules of which none applies are a mistake.
    std::fs::write(folder.join("r.toml"), rule("core/layers/7", "int2") + &rule("core/layers/8", "int8"))
        .expect("a file");
    refuses(folder, &format!("{train} --rules r.toml --out third --allow-unmatched"), "matches no operation");
}
