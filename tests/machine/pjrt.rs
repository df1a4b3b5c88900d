//! PJRT through the public interface: buffers, programs, donation, caches. Installs the CPU plugin if it is missing.

use std::path::Path;
use std::sync::LazyLock;

#[cfg(target_os = "linux")]
use crate::own_process::{own_process, passes};
use spiq::pjrt::{Buffer, Client, ClientOptions, CompileOptions, Executable, Input, Platform, Plugin, Value};
use spiq::{Array, DType, Error, ErrorKind, TensorType};

/// A folder of compiled programs for the lifetime of this test binary.
static EXECUTABLES: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary folder"));
static CLIENT: LazyLock<Client> = LazyLock::new(|| client(EXECUTABLES.path(), 1));

fn client(executables: &Path, cpu_devices: usize) -> Client {
    let options = ClientOptions { cpu_devices, executables: Some(executables.to_owned()), ..ClientOptions::default() };
    Client::open_with(Platform::Cpu, &options, &mut |_| {}).expect("a CPU client")
}

fn uncached() -> CompileOptions {
    CompileOptions { cache: false, ..CompileOptions::default() }
}

fn compile(text: &str) -> Executable {
    CLIENT.compile(text, &uncached()).expect("a valid program")
}

fn upload(array: &Array) -> Buffer {
    CLIENT.to_device(array).expect("room for an array")
}

fn floats(values: &[f32]) -> Array {
    Array::new([values.len()], values).expect("a vector")
}

fn run(program: &Executable, inputs: &[&Buffer]) -> Vec<f32> {
    let inputs = inputs.iter().map(|buffer| Input::Borrow(buffer)).collect();
    let outputs = program.execute(inputs).expect("inputs that fit");
    outputs[0].to_array().expect("a result").to_vec().expect("floats")
}

/// `f(x, …)` over vectors of floats: `body` computes `%y`.
fn program(length: usize, arguments: &str, body: &str) -> String {
    let ty = format!("tensor<{length}xf32>");
    format!("func.func @main({arguments}) -> {ty} {{\n{body}\nreturn %y : {ty}\n}}").replace("TYPE", &ty)
}

fn scale(length: usize, factor: f32) -> String {
    let body = format!("%c = stablehlo.constant dense<{factor:?}> : TYPE\n%y = stablehlo.multiply %x, %c : TYPE");
    program(length, "%x: TYPE", &body)
}

#[track_caller]
fn fails<T>(result: spiq::Result<T>, kind: ErrorKind, words: &str) {
    let error: Error = result.err().expect("an error");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "`{error}` does not say `{words}`");
}

#[test]
fn adds() {
    let add = compile(&program(3, "%a: TYPE, %b: TYPE", "%y = stablehlo.add %a, %b : TYPE"));
    let (a, b) = (upload(&floats(&[1.0, 2.0, 3.0])), upload(&floats(&[10.0, 20.0, 30.0])));
    assert_eq!(run(&add, &[&a, &b]), [11.0, 22.0, 33.0]);
    assert_eq!(run(&add, &[&a, &a]), [2.0, 4.0, 6.0]);
    assert_eq!(add.inputs().expect("XLA tells them"), [a.ty().clone(), b.ty().clone()]);
    assert_eq!(add.outputs(), [a.ty().clone()]);
}

#[test]
fn several_outputs_of_several_types() {
    let text = "func.func @main(%x: tensor<2x3xf32>) -> (tensor<3x2xf32>, tensor<2x3xi1>, tensor<i32>) {
        %t = stablehlo.transpose %x, dims = [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
        %p = stablehlo.compare GT, %x, %x : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xi1>
        %c = stablehlo.constant dense<7> : tensor<i32>
        return %t, %p, %c : tensor<3x2xf32>, tensor<2x3xi1>, tensor<i32>
    }";
    let x = Array::new([2, 3], [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).expect("a matrix");
    let outputs = compile(text).execute(vec![Input::Donate(upload(&x))]).expect("inputs that fit");
    let types: Vec<String> = outputs.iter().map(|output| output.ty().to_string()).collect();
    assert_eq!(types, ["f32[3,2]", "pred[2,3]", "s32[]"]);
    let arrays: Vec<Array> = outputs.iter().map(|output| output.to_array().expect("a result")).collect();
    assert_eq!(arrays[0].to_f64(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(arrays[1].to_f64(), [0.0; 6]);
    assert_eq!(arrays[2].to_f64(), [7.0]);
}

#[test]
fn every_type_goes_there_and_back() {
    for &dtype in DType::ALL {
        let values: Vec<f64> = match dtype.integer_range() {
            Some((low, high)) => vec![low as f64, high.min(100) as f64, 0.0, 1.0, 1.0, 0.0],
            None if dtype == DType::F8E8M0FNU => vec![0.5, 1.0, 2.0, 4.0, 8.0, 16.0],
            None => vec![-1.5, 0.0, 0.5, 1.0, 2.0, 3.0],
        };
        for dims in [vec![6], vec![2, 3], vec![1, 3, 1, 2, 1]] {
            let array = Array::from_f64(TensorType::new(dtype, dims), &values).expect("six values");
            let buffer = upload(&array);
            assert_eq!(buffer.ty(), array.ty());
            assert_eq!(buffer.to_array().expect("a copy"), array, "{dtype}");
        }
        let scalar = Array::from_f64(TensorType::scalar(dtype), &[1.0]).expect("one value");
        assert_eq!(upload(&scalar).to_array().expect("a copy"), scalar, "{dtype}");
        let empty = Array::from_f64(TensorType::new(dtype, [3, 0]), &[]).expect("no values");
        assert_eq!(upload(&empty).to_array().expect("a copy"), empty, "{dtype}");
    }
}

#[test]
fn every_type_passes_a_program() {
    for &dtype in DType::ALL {
        let ty = TensorType::new(dtype, [5]);
        let text = format!("func.func @main(%x: {0}) -> {0} {{ return %x : {0} }}", ty.mlir());
        let array = Array::from_f64(ty, &[0.0, 1.0, 1.0, 0.0, 1.0]).expect("five values");
        let program = compile(&text);
        assert_eq!(program.inputs().expect("XLA tells them"), [array.ty().clone()]);
        let outputs = program.execute(vec![Input::Borrow(&upload(&array))]).expect("inputs that fit");
        assert_eq!(outputs[0].ty(), array.ty());
        // `f8E8M0FNU` has no zero, so compare with the array's stored values.
        assert_eq!(outputs[0].to_array().expect("a result"), array, "{dtype}");
    }
}

#[test]
fn large_arrays_outlive_their_upload() {
    let values: Vec<f32> = (0..300_000).map(|i| i as f32).collect();
    let buffers: Vec<Buffer> = (0..8).map(|_| upload(&floats(&values))).collect();
    let pending: Vec<_> = buffers.iter().map(|buffer| buffer.start_to_host().expect("a copy")).collect();
    // The copies complete whether or not anyone waits for them.
    drop(buffers);
    for (i, copy) in pending.into_iter().enumerate() {
        if i % 2 == 0 {
            assert_eq!(copy.wait().expect("a copy").to_vec::<f32>().expect("floats"), values);
        }
    }
}

#[test]
fn deleted_buffers_are_refused() {
    let (double, x) = (compile(&scale(2, 2.0)), upload(&floats(&[1.0, 2.0])));
    assert!(!x.is_deleted());
    x.delete().expect("deleting");
    assert!(x.is_deleted());
    assert!(x.to_array().is_err());
    assert!(double.execute(vec![Input::Borrow(&x)]).is_err());
}

fn increment(length: usize) -> Executable {
    let body = "%c = stablehlo.constant dense<1.0> : TYPE\n%y = stablehlo.add %x, %c : TYPE";
    compile(&program(length, "%x: TYPE {tf.aliasing_output = 0 : i32}", body))
}

#[test]
fn donated_memory_is_taken_over() {
    let increment = increment(2);
    assert_eq!(increment.donated(), [0]);
    assert_eq!(increment.memory().expect("the CPU plugin tells it").donated, 8);
    // A borrowed buffer keeps its value, although the program would overwrite its input.
    let x = upload(&floats(&[1.0, 2.0]));
    assert_eq!(run(&increment, &[&x]), [2.0, 3.0]);
    assert_eq!(run(&increment, &[&x]), [2.0, 3.0]);
    let mut state = x;
    for _ in 0..1000 {
        state = increment.execute(vec![Input::Donate(state)]).expect("a run").remove(0);
    }
    assert_eq!(state.to_array().expect("a result").to_f64(), [1001.0, 1002.0]);
}

/// Resident memory of this process in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux tells it");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
}

/// Other tests of this binary also allocate and free memory.
#[test]
#[cfg(target_os = "linux")]
fn memory_stays_flat() {
    passes(&mut own_process(module_path!(), "memory_of_one_program_stays_flat"));
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "a part of the test above"]
fn memory_of_one_program_stays_flat() {
    let increment = increment(1 << 18);
    let mut state = upload(&Array::zeros(TensorType::new(DType::F32, [1 << 18])));
    let mut before = 0;
    for i in 0..1200 {
        state = increment.execute(vec![Input::Donate(state)]).expect("a run").remove(0);
        drop(state.to_array().expect("a result"));
        if i == 200 {
            before = resident();
        }
    }
    // A thousand leaked states would take a gigabyte.
    assert!(resident() < before + (200 << 20), "{before} bytes became {}", resident());
}

#[test]
fn errors_arrive_with_code_and_message() {
    let bad = |text| CLIENT.compile(text, &uncached());
    fails(
        bad("not a program"),
        ErrorKind::Pjrt(2),
        "PJRT UNKNOWN (ClientCompile): -:1:1: error: custom op 'not' is unknown",
    );
    let wrong_type = program(2, "%x: TYPE", "%y = stablehlo.add %x, %x : tensor<3xf32>");
    fails(bad(&wrong_type), ErrorKind::Pjrt(2), "use of value '%x' expects different type");
    let flag = uncached().with_flag("xla_no_such_flag", Value::Bool(true));
    fails(CLIENT.compile(&scale(2, 1.0), &flag), ErrorKind::Pjrt(3), "xla_no_such_flag");
    let device = CompileOptions { device: Some(7), ..uncached() };
    fails(CLIENT.compile(&scale(2, 1.0), &device), ErrorKind::Input, "there is no device 7");
}

#[test]
fn wrong_inputs_are_refused() {
    let double = compile(&scale(2, 2.0));
    let run = |arrays: &[Array]| double.execute(arrays.iter().map(|array| Input::Donate(upload(array))).collect());
    fails(run(&[]), ErrorKind::Input, "takes 1 inputs, and 0 were given");
    fails(run(&[floats(&[1.0, 2.0, 3.0])]), ErrorKind::Input, "input 0 of the program is f32[2], and f32[3] was given");
    fails(run(&[Array::new([2], [1i32, 2]).expect("a vector")]), ErrorKind::Input, "s32[2] was given");
    let other = client(EXECUTABLES.path(), 1);
    let stranger = other.to_device(&floats(&[1.0, 2.0])).expect("a buffer");
    fails(double.execute(vec![Input::Borrow(&stranger)]), ErrorKind::Input, "another client");
    // If the caller provides the types, the compiled program need not be inspected.
    let told = CompileOptions { inputs: Some(vec![TensorType::new(DType::F32, [2])]), ..uncached() };
    let told = CLIENT.compile(&scale(2, 2.0), &told).expect("a valid program");
    fails(told.execute(Vec::new()), ErrorKind::Input, "takes 1 inputs");
}

#[test]
fn a_flag_for_one_program() {
    let flag = uncached().with_flag("xla_cpu_enable_fast_math", Value::Bool(true));
    let double = CLIENT.compile(&scale(2, 2.0), &flag).expect("a known flag");
    assert_eq!(run(&double, &[&upload(&floats(&[1.0, 2.0]))]), [2.0, 4.0]);
}

#[test]
fn programs_go_through_bytes() {
    let bytes = compile(&scale(2, 3.0)).serialize().expect("the CPU plugin can");
    let other = client(EXECUTABLES.path(), 1);
    let triple = other.deserialize(&bytes).expect("bytes of the same plugin");
    let x = other.to_device(&floats(&[1.0, 2.0])).expect("a buffer");
    let outputs = triple.execute(vec![Input::Borrow(&x)]).expect("a run");
    assert_eq!(outputs[0].to_array().expect("a result").to_f64(), [3.0, 6.0]);
    fails(other.deserialize(&bytes[..100]), ErrorKind::Input, "damaged");
    fails(other.deserialize(b""), ErrorKind::Input, "damaged");
}

/// The only file in a folder.
fn only_file(folder: &Path) -> std::path::PathBuf {
    let files: Vec<_> = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn apply(client: &Client, text: &str) -> Vec<f64> {
    let program = client.compile(text, &CompileOptions::default()).expect("a valid program");
    let x = client.to_device(&floats(&[1.0, 2.0])).expect("a buffer");
    let outputs = program.execute(vec![Input::Borrow(&x)]).expect("a run");
    outputs[0].to_array().expect("a result").to_f64()
}

#[test]
fn compiled_programs_are_found_on_disk() {
    let [doubles, triples] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let first = client(doubles.path(), 1);
    assert_eq!(apply(&first, &scale(2, 2.0)), [2.0, 4.0]);
    assert_eq!(apply(&client(triples.path(), 1), &scale(2, 3.0)), [3.0, 6.0]);
    // Swapping the cache entries shows that another client runs them, not the text; the first client has its program in memory.
    std::fs::copy(only_file(triples.path()), only_file(doubles.path())).expect("a copy");
    assert_eq!(apply(&client(doubles.path(), 1), &scale(2, 2.0)), [3.0, 6.0]);
    assert_eq!(apply(&first, &scale(2, 2.0)), [2.0, 4.0]);
    let uncached = first.compile(&scale(2, 5.0), &uncached()).expect("a valid program");
    assert_eq!(uncached.outputs().len(), 1);
    only_file(doubles.path());
}

#[test]
fn damaged_entries_are_replaced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    apply(&client(folder.path(), 1), &scale(2, 2.0));
    let entry = only_file(folder.path());
    let good = std::fs::read(&entry).expect("the entry");
    let mut flipped = good.clone();
    *flipped.last_mut().expect("not empty") ^= 0xff;
    for damaged in [&b""[..], b"nonsense", &good[..good.len() / 2], &flipped] {
        std::fs::write(&entry, damaged).expect("damage");
        assert_eq!(apply(&client(folder.path(), 1), &scale(2, 2.0)), [2.0, 4.0]);
        assert_eq!(std::fs::read(only_file(folder.path())).expect("the entry").len(), good.len());
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_no_error() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    assert_eq!(apply(&client(&file.path().join("below a file"), 1), &scale(2, 2.0)), [2.0, 4.0]);
}

#[test]
fn threads_share_a_client() {
    let program = compile(&scale(1000, 2.0));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let program = &program;
            scope.spawn(move || {
                for i in 0..50 {
                    let x = upload(&floats(&[(thread * i) as f32; 1000]));
                    assert_eq!(run(program, &[&x])[999], (2 * thread * i) as f32);
                }
                assert_eq!(apply(&CLIENT, &scale(2, thread as f32)), [thread as f64, 2.0 * thread as f64]);
            });
        }
    });
}

#[test]
fn runs_return_before_they_end() {
    let text = "func.func @main(%x: tensor<600x600xf32>) -> tensor<600x600xf32> {
        %zero = stablehlo.constant dense<0> : tensor<i32>
        %one = stablehlo.constant dense<1> : tensor<i32>
        %end = stablehlo.constant dense<60> : tensor<i32>
        %r:2 = stablehlo.while(%i = %zero, %a = %x) : tensor<i32>, tensor<600x600xf32>
        cond {
            %c = stablehlo.compare LT, %i, %end : (tensor<i32>, tensor<i32>) -> tensor<i1>
            stablehlo.return %c : tensor<i1>
        } do {
            %n = stablehlo.add %i, %one : tensor<i32>
            %b = stablehlo.dot_general %a, %x, contracting_dims = [1] x [0]
                : (tensor<600x600xf32>, tensor<600x600xf32>) -> tensor<600x600xf32>
            stablehlo.return %n, %b : tensor<i32>, tensor<600x600xf32>
        }
        return %r#1 : tensor<600x600xf32>
    }";
    let (program, x) = (compile(text), upload(&Array::zeros(TensorType::new(DType::F32, [600, 600]))));
    let outputs = program.execute(vec![Input::Borrow(&x)]).expect("a run");
    assert!(!outputs[0].is_ready().expect("a living buffer"), "the run takes a good while");
    let pending = outputs[0].start_to_host().expect("a copy");
    assert!(!pending.is_ready().expect("a living copy"));
    assert_eq!(pending.wait().expect("a result").to_f64()[0], 0.0);
    outputs[0].wait().expect("a result");
    assert!(outputs[0].is_ready().expect("a living buffer"));
}

#[test]
fn another_device() {
    let client = client(EXECUTABLES.path(), 3);
    let ids: Vec<i32> = client.devices().iter().map(|device| device.id()).collect();
    assert_eq!(ids.len(), 3);
    let device = client.devices()[2].clone();
    let options = CompileOptions { device: Some(device.id()), ..uncached() };
    let double = client.compile(&scale(2, 2.0), &options).expect("a valid program");
    let first = client.to_device(&floats(&[1.0, 2.0])).expect("a buffer");
    let x = first.copy_to(&device).expect("a copy");
    assert_eq!(x.device().expect("a device").id(), device.id());
    let outputs = double.execute(vec![Input::Borrow(&x)]).expect("a run");
    assert_eq!(outputs[0].device().expect("a device").id(), device.id());
    assert_eq!(outputs[0].to_array().expect("a result").to_f64(), [2.0, 4.0]);
    assert!(CLIENT.to_device_on(&floats(&[1.0]), &device).is_err());
}

#[test]
fn what_the_compiler_tells() {
    let text = scale(2, 2.0);
    let hlo = CLIENT.optimized_hlo(&text, &CompileOptions::default()).expect("the CPU plugin gives it");
    assert!(hlo.starts_with("HloModule") && hlo.contains("multiply"), "{hlo}");
    let memory = compile(&text).memory().expect("the CPU plugin tells it");
    assert_eq!((memory.inputs, memory.outputs, memory.donated), (8, 8, 0));
    assert_eq!(compile(&text).cost_analysis().expect("the CPU plugin tells it")["flops"], 2.0);
}

#[test]
fn what_the_plugin_tells() {
    let plugin = CLIENT.plugin();
    assert!(plugin.version() >= (0, 81));
    assert!(plugin.attributes().iter().any(|(name, _)| name == "stablehlo_current_version"));
    assert_eq!((CLIENT.platform_name(), CLIENT.devices()[0].kind()), ("cpu", "cpu"));
    let again = Plugin::open(plugin.path()).expect("the same file");
    assert_eq!(again.path(), plugin.path());
    // The CPU plugin does not track its memory: a PJRT error, not a crash.
    fails(CLIENT.devices()[0].memory_stats(), ErrorKind::Pjrt(12), "UNIMPLEMENTED");
    fails(spiq::pjrt::Topology::new(plugin, "", &[]), ErrorKind::Pjrt(12), "UNIMPLEMENTED");
}

#[test]
fn everything_is_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Client>();
    check::<Buffer>();
    check::<Executable>();
    check::<Plugin>();
    check::<spiq::pjrt::PendingArray>();
    check::<spiq::pjrt::Device>();
    check::<spiq::pjrt::Topology>();
}
