//! The processor's kernels as code that XLA's programs call, and clients that know them: the tie between [`pjrt`](crate::pjrt) and the
//! kernels, of which neither knows the other.

use spiq_hlo::{ELEMENTWISE_SCAN, SCAN_PRODUCTS, SPIKE_PRODUCT};

use crate::error::Result;
use crate::kernel::{self, Pool};
use crate::pjrt::ffi::{self, Call, Handler, Registration, Threads};
use crate::pjrt::{Client, ClientOptions, Kernels, Platform, Plugin, Progress};

/// What the programs of a plugin call.
fn handlers(platform: Option<Platform>) -> &'static [Registration] {
    const ON_THE_PROCESSOR: [Registration; 2] =
        [Registration::new::<Scan>(ELEMENTWISE_SCAN), Registration::new::<Product>(SPIKE_PRODUCT)];
    match platform {
        Some(Platform::Cpu) => &ON_THE_PROCESSOR,
        _ => &[],
    }
}

impl Client {
    /// A client of this machine's processor. Installs the plugin without a word where there is none; to show the progress,
    /// use [`Client::open_with`].
    ///
    /// # Errors
    /// As [`Client::open_with`].
    pub fn cpu() -> Result<Client> {
        Client::open_with(Platform::Cpu, &ClientOptions::default(), &mut |_| {})
    }

    /// A client of a platform whose plugin is found on this machine.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`](crate::ErrorKind::Plugin) when there is no plugin or it cannot be opened; of PJRT when there is no such
    /// device.
    pub fn open(platform: Platform) -> Result<Client> {
        Client::new(Plugin::of(platform)?, &ClientOptions::default())
    }

    /// A client of a platform. Only the CPU's plugin is installed by itself; `progress` hears of it.
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
    /// Of PJRT, for example when the machine has no such device.
    pub fn new(plugin: Plugin, options: &ClientOptions) -> Result<Client> {
        Client::with_handlers(plugin, options, handlers(plugin.platform()))
    }

    /// The kernels of this library that programs may call; none with `SPIQ_NO_KERNELS=1`, nor where the plugin takes none.
    pub fn kernels(&self) -> Option<Kernels> {
        let wanted = std::env::var_os("SPIQ_NO_KERNELS").is_none_or(|value| value.is_empty() || value == "0");
        let kernels = match self.plugin().platform() {
            // A plugin that takes no handlers has loops of its own.
            Some(Platform::Cpu) if self.calls_handlers() => Kernels::Processor,
            Some(Platform::Cuda) => Kernels::Triton,
            _ => return None,
        };
        wanted.then_some(kernels)
    }
}

/// A loop over time.
struct Scan;

impl Handler for Scan {
    fn call(call: Call<'_>) -> std::result::Result<(), String> {
        let (program, products) = (program(&call)?, call.attributes.numbers(SCAN_PRODUCTS).unwrap_or_default());
        let (inputs, outputs) = memory(call.inputs, call.outputs);
        kernel::run_scan(program, products, inputs, outputs, &call.threads)
    }
}

/// A product with spikes.
struct Product;

impl Handler for Product {
    fn call(call: Call<'_>) -> std::result::Result<(), String> {
        let program = program(&call)?;
        let (inputs, mut outputs) = memory(call.inputs, call.outputs);
        kernel::run_product(program, &inputs, &mut outputs, &call.threads)
    }
}

fn program<'a>(call: &Call<'a>) -> std::result::Result<&'a [i64], &'static str> {
    call.attributes.numbers("program").ok_or("a kernel was called without a program")
}

/// A call's memory in the kernels' words. The lists keep their places.
fn memory<'a>(
    inputs: Vec<ffi::Read<'a>>,
    outputs: Vec<ffi::Write<'a>>,
) -> (Vec<kernel::Read<'a>>, Vec<kernel::Write<'a>>) {
    macro_rules! same {
        ($list:ident, $kind:ident: $($ty:ident)*) => {
            $list.into_iter().map(|memory| match memory { $(ffi::$kind::$ty(slice) => kernel::$kind::$ty(slice),)* }).collect()
        };
    }
    (same!(inputs, Read: F32 S32 S8 Bf16 Pred), same!(outputs, Write: F32 S32 S8 Bf16 Pred))
}

impl Pool for Threads<'_> {
    fn workers(&self) -> usize {
        Threads::workers(self)
    }

    fn run_all<W: kernel::Work>(&self, parts: Vec<W>) -> bool {
        self.share(parts.into_iter().map(Part).collect())
    }
}

/// A part of a kernel's work. The lists of them keep their places, too.
#[repr(transparent)]
struct Part<W>(W);

impl<W: kernel::Work> ffi::Work for Part<W> {
    #[inline(always)]
    fn run(self) {
        self.0.run();
    }
}
