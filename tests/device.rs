//! The clients used by tests, each opened once: the CPU client, and the client of the platform in `SPIQ_TEST_DEVICE` (`cuda`, `tpu`).

use std::sync::LazyLock;

use spiq::pjrt::{Client, ClientOptions, Platform};

/// The CPU client.
pub fn cpu() -> &'static Client {
    static CPU: LazyLock<Client> = LazyLock::new(|| Client::cpu().unwrap_or_else(|e| panic!("a client of cpu: {e}")));
    &CPU
}

/// The client of the chosen platform, by default the CPU.
pub fn client() -> &'static Client {
    static CHOSEN: LazyLock<Client> = LazyLock::new(|| {
        let name = std::env::var("SPIQ_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
        match Platform::from_name(&name).unwrap_or_else(|| panic!("SPIQ_TEST_DEVICE: no platform `{name}`")) {
            Platform::Cpu => cpu().clone(),
            other => {
                // The bounds of the tests are those of products in f32.
                let options = ClientOptions { full_precision: true, ..ClientOptions::default() };
                Client::open_with(other, &options, &mut |_| {}).unwrap_or_else(|e| panic!("a client of {name}: {e}"))
            }
        }
    });
    &CHOSEN
}
