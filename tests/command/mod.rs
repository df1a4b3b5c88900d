//! The command, the files it reads and writes, and training runs.

mod cli;
mod config;
mod data;
mod data_command;
mod display;
mod edges;
mod evaluated;
mod judged;
mod learning;
mod not_finite;
mod owned;
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
