//! The command, the files it reads and writes, and training runs.

mod cli;
mod config;
mod data;
mod data_command;
mod devices;
mod display;
#[cfg(target_os = "linux")]
mod early_signal;
mod edges;
mod edges_end_to_end;
mod evaluated;
mod help;
mod hosts;
mod judged;
mod learning;
#[cfg(target_os = "linux")]
mod messages;
mod not_finite;
mod older_checkpoint;
mod overwrite;
mod owned;
#[cfg(target_os = "linux")]
mod plugin;
mod property;
mod provenance;
mod reading;
mod recordings;
mod resume;
mod sequences;
mod settings;
mod several;
mod speech;
mod stopped;
#[cfg(target_os = "linux")]
mod supply;
mod train;
mod training;
