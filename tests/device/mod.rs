//! The client that tests compute on: the processor, or the platform that `SPIQ_TEST_DEVICE` names (`cuda`, `tpu`).

use spiq::pjrt::{Client, Platform};

/// A client of the chosen platform.
pub fn client() -> Client {
    let name = std::env::var("SPIQ_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    let platform = Platform::from_name(&name).unwrap_or_else(|| panic!("SPIQ_TEST_DEVICE: no platform `{name}`"));
    let client = if platform == Platform::Cpu { Client::cpu() } else { Client::open(platform) };
    client.unwrap_or_else(|e| panic!("a client of {name}: {e}"))
}
