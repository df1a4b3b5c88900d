//! A plugin's C interface: its table of functions, calls through it, its extensions, the messages it takes.

pub mod api;
pub mod extension;
#[cfg(test)]
pub mod fake;
pub mod platform;
pub mod proto;
pub mod sys;
