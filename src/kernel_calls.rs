//! Registers the processor's kernels as handlers for XLA's custom calls, and opens clients with them. This is the only link between
//! [`pjrt`](crate::pjrt) and the kernels; neither depends on the other.

use spiq_kernels::run::{self, Pool, Task};
use spiq_kernels::{Backend, ELEMENTWISE_SCAN, KernelCall, MASKED_PRODUCT, PRODUCTS, PROGRAM, SPARSE_CONVOLUTION};

use crate::collectives;
use crate::error::{Error, ErrorKind, Result};
use crate::pjrt::ffi::{self, Call, Handler, Registration, Threads};
use crate::pjrt::{Client, ClientOptions, Platform, Plugin, Progress};

/// The handlers of the kernels' call targets.
const HANDLERS: [Registration; 3] = [
    Registration::new::<Scan>(ELEMENTWISE_SCAN),
    Registration::new::<Product>(MASKED_PRODUCT),
    Registration::new::<Convolution>(SPARSE_CONVOLUTION),
];

/// The back end for a plugin's programs.
fn backend(platform: Option<Platform>) -> Option<&'static dyn Backend> {
    spiq_kernels::backend(platform?.name())
}

/// The handlers for a plugin's programs.
fn handlers(platform: Option<Platform>) -> Vec<Registration> {
    let targets = backend(platform).map_or(&[][..], |backend| backend.targets());
    HANDLERS.into_iter().filter(|handler| targets.contains(&handler.target())).collect()
}

/// Whether kernels are enabled: not with `SPIQ_NO_KERNELS=1`.
fn are_wanted() -> bool {
    std::env::var_os("SPIQ_NO_KERNELS").is_none_or(|value| value.is_empty() || value == "0")
}

/// The kernels for programs of a platform; its plugin need not be present.
pub(crate) fn kernels_of(platform: Platform) -> Option<&'static dyn Backend> {
    wanted(Some(platform))
}

/// The back end for a plugin's programs, if kernels are enabled.
fn wanted(platform: Option<Platform>) -> Option<&'static dyn Backend> {
    backend(platform).filter(|_| are_wanted())
}

impl Client {
    /// A client of this machine's processor. Installs a missing plugin silently; to show the progress, use [`Client::open_with`].
    ///
    /// # Errors
    /// As [`Client::open_with`].
    pub fn cpu() -> Result<Client> {
        Client::open_with(Platform::Cpu, &ClientOptions::default(), &mut |_| {})
    }

    /// [`Client::cpu`], with the processor presented as several devices. JAX: `jax_num_cpu_devices`.
    ///
    /// # Errors
    /// As [`Client::open_with`].
    pub fn cpu_devices(devices: usize) -> Result<Client> {
        let options = ClientOptions { cpu_devices: devices, ..ClientOptions::default() };
        Client::open_with(Platform::Cpu, &options, &mut |_| {})
    }

    /// A client of a platform whose plugin is found on this machine.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`](crate::ErrorKind::Plugin) when there is no plugin or it cannot be opened; PJRT's error when there is no such
    /// device.
    pub fn open(platform: Platform) -> Result<Client> {
        Client::new(Plugin::of(platform)?, &ClientOptions::default())
    }

    /// A client of a platform. Only the CPU plugin is installed automatically; `progress` receives its progress.
    ///
    /// # Errors
    /// As [`Client::open`] and [`install`](crate::pjrt::install()).
    pub fn open_with(
        platform: Platform,
        options: &ClientOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Client> {
        let plugin = match platform {
            Platform::Cpu => Plugin::of_or_install(platform, progress)?,
            _ => Plugin::of(platform)?,
        };
        Client::new(plugin, options)
    }

    /// A client of an opened plugin.
    ///
    /// # Errors
    /// PJRT's errors, for example when the machine has no such device.
    pub fn new(plugin: Plugin, options: &ClientOptions) -> Result<Client> {
        let mut handlers = handlers(plugin.platform());
        if let Some(cluster) = options.cluster.as_ref().filter(|_| plugin.platform() == Some(Platform::Cpu)) {
            collectives::exchange_with(cluster);
            handlers.extend(collectives::HANDLERS);
        }
        let client = Client::with_handlers(plugin, options, &handlers)?;
        match client.no_handlers().filter(|_| client.exchanges_as().is_some()) {
            None => Ok(client),
            Some(why) => Err(Error::new(
                ErrorKind::Plugin,
                format!(
                    "the plugin {} cannot exchange with other processes: {why}; use another plugin, or one process",
                    plugin.path().display()
                ),
            )),
        }
    }

    /// This library's kernels that programs may call; none with `SPIQ_NO_KERNELS=1` or if the plugin does not [support
    /// them](Client::kernels_refused).
    pub fn kernels(&self) -> Option<&'static dyn Backend> {
        wanted(self.plugin().platform()).filter(|_| self.kernels_refused().is_none())
    }

    /// Why the plugin's programs do without this library's kernels, in one sentence: its XLA calls functions in another way than they
    /// expect. XLA compiles the loops over time instead, which is slower. `None` if they have kernels, or would not have any with another
    /// plugin.
    pub fn kernels_refused(&self) -> Option<String> {
        // A backend without call targets compiles its kernels into the program, so it needs no handlers.
        let called = wanted(self.plugin().platform()).filter(|backend| !backend.targets().is_empty());
        let why = self.no_handlers().filter(|_| called.is_some())?;
        let plugin = self.plugin().path().display();
        Some(format!("the plugin {plugin} runs programs without spiq's kernels, slower, with other last bits: {why}"))
    }
}

/// A loop over time.
struct Scan;

impl Handler for Scan {
    fn describe(call: &Call<'_>) -> String {
        describe(ELEMENTWISE_SCAN, call)
    }

    fn operations(call: &Call<'_>) -> Option<u64> {
        operations(ELEMENTWISE_SCAN, call)
    }

    fn call(call: Call<'_>) -> std::result::Result<(), String> {
        let (program, products) = (program(&call)?, call.attributes.numbers(PRODUCTS).unwrap_or_default());
        let (inputs, outputs) = memory(call.inputs, call.outputs);
        run::run_scan(program, products, inputs, outputs, &call.threads)
    }
}

/// A masked product.
struct Product;

impl Handler for Product {
    fn describe(call: &Call<'_>) -> String {
        describe(MASKED_PRODUCT, call)
    }

    fn operations(call: &Call<'_>) -> Option<u64> {
        operations(MASKED_PRODUCT, call)
    }

    fn call(call: Call<'_>) -> std::result::Result<(), String> {
        let program = program(&call)?;
        let (inputs, mut outputs) = memory(call.inputs, call.outputs);
        run::run_product(program, &inputs, &mut outputs, &call.threads)
    }
}

/// A sparse convolution.
struct Convolution;

impl Handler for Convolution {
    fn describe(call: &Call<'_>) -> String {
        describe(SPARSE_CONVOLUTION, call)
    }

    fn operations(call: &Call<'_>) -> Option<u64> {
        operations(SPARSE_CONVOLUTION, call)
    }

    fn call(call: Call<'_>) -> std::result::Result<(), String> {
        let program = program(&call)?;
        let (inputs, mut outputs) = memory(call.inputs, call.outputs);
        run::run_convolution(program, &inputs, &mut outputs, &call.threads)
    }
}

/// The first line of a kernel's description, and the products that a loop computes.
fn describe(target: &str, call: &Call<'_>) -> String {
    let Some(kernel) = KernelCall::read(target, |key| call.attributes.numbers(key)) else { return target.to_owned() };
    let text = kernel.to_string();
    let products = text.lines().skip(1).map(str::trim).filter(|line| line.contains(" product of "));
    text.lines().take(1).chain(products).collect::<Vec<_>>().join("; ")
}

/// The number of operations of a kernel on these operands.
fn operations(target: &str, call: &Call<'_>) -> Option<u64> {
    let kernel = KernelCall::read(target, |key| call.attributes.numbers(key))?;
    run::operations(&kernel, &memory(call.inputs.clone(), Vec::new()).0)
}

fn program<'a>(call: &Call<'a>) -> std::result::Result<&'a [i64], &'static str> {
    call.attributes.numbers(PROGRAM).ok_or("a kernel was called without a program")
}

/// Converts a call's memory to the kernels' types. The lists are converted in place.
fn memory<'a>(inputs: Vec<ffi::Read<'a>>, outputs: Vec<ffi::Write<'a>>) -> (Vec<run::Read<'a>>, Vec<run::Write<'a>>) {
    macro_rules! same {
        ($list:ident, $kind:ident: $($ty:ident)*) => {
            $list.into_iter().map(|memory| match memory { $(ffi::$kind::$ty(slice) => run::$kind::$ty(slice),)* }).collect()
        };
    }
    (same!(inputs, Read: F32 S32 S8 Bf16 Pred), same!(outputs, Write: F32 S32 S8 Bf16 Pred))
}

impl Pool for Threads<'_> {
    fn workers(&self) -> usize {
        Threads::workers(self)
    }

    fn run_all(&self, tasks: Vec<Task<'_>>) -> bool {
        self.share(tasks)
    }
}

#[cfg(test)]
mod tests {
    use spiq_hlo::DType;
    use spiq_kernels::{Instruction, LaneOp, LaneProgram, MaskedProduct, Slot};

    use super::*;
    use crate::pjrt::ffi::fake::{Memory, THREADS, call};

    /// Under Miri: kernels must write each element of a result before reading it, because the memory is uninitialized.
    #[test]
    fn a_loop_over_time_sums_a_sequence() {
        let (steps, lanes) = (3, 5);
        let program = LaneProgram {
            steps,
            lanes,
            reverse: false,
            consts: Vec::new(),
            carries: vec![Slot::Result(0)],
            slices: vec![DType::Pred],
            outputs: vec![(Slot::Result(0), DType::F32), (Slot::Slice(0), DType::Pred)],
            instructions: vec![Instruction {
                op: LaneOp::Add,
                operands: [Slot::Carry(0), Slot::Slice(0), Slot::Carry(0)],
            }],
        };
        let spikes: Vec<u8> = (0..steps * lanes).map(|i| u8::from(i % 2 == 0)).collect();
        let (mut start, mut sequence) = (Memory::of(&vec![1.0f32; lanes]), Memory::of(&spikes));
        let (mut last, mut rows) = (Memory::<f32>::unwritten(lanes), Memory::<f32>::unwritten(steps * lanes));
        let mut copy = Memory::<u8>::unwritten(steps * lanes);
        let (inputs, outputs) = ([start.buffer(), sequence.buffer()], [last.buffer(), rows.buffer(), copy.buffer()]);
        let handlers = handlers(Some(Platform::Cpu));
        assert_eq!(call(handlers[0], &[(PROGRAM, &program.encode())], &inputs, &outputs), None);
        assert_eq!(last.read(), [3.0, 2.0, 3.0, 2.0, 3.0]);
        assert_eq!(rows.read()[..lanes], [2.0, 1.0, 2.0, 1.0, 2.0]);
        assert_eq!(copy.read(), spikes);
    }

    /// The same for products.
    #[test]
    fn a_product_adds_rows() {
        THREADS.set(2);
        for over_rows in [false, true] {
            let product = MaskedProduct { rows: 3, columns: 3, width: 2, over_rows };
            let (mut spikes, mut matrix) =
                (Memory::of(&[1u8, 0, 1, 0, 0, 0, 0, 1, 0]), Memory::of(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]));
            let mut sums = Memory::<f32>::unwritten(6);
            let inputs = [spikes.buffer(), matrix.buffer()];
            let handlers = handlers(Some(Platform::Cpu));
            assert_eq!(call(handlers[1], &[(PROGRAM, &product.encode())], &inputs, &[sums.buffer()]), None);
            let want = if over_rows { [1.0, 2.0, 5.0, 6.0, 1.0, 2.0] } else { [6.0, 8.0, 0.0, 0.0, 3.0, 4.0] };
            assert_eq!(sums.read(), want);
        }
    }

    #[test]
    fn a_call_without_a_program_is_refused() {
        let want = Some("a kernel was called without a program".to_owned());
        handlers(Some(Platform::Cpu)).iter().for_each(|handler| assert_eq!(call(*handler, &[], &[], &[]), want));
        assert!(handlers(Some(Platform::Cuda)).is_empty());
    }
}
