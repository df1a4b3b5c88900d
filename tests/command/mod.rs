//! The command, the files that it reads and writes, training runs.

mod cli;
mod config;
mod data;
mod display;
mod property;
mod provenance;
mod reading;
mod resume;
mod settings;
mod train;
mod training;
