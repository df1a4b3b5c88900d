//! The C interface of a plugin: function table, calls, extensions, messages.

pub mod api;
pub mod extension;
#[cfg(test)]
pub mod fake;
pub mod platform;
pub mod proto;
pub mod sys;
