//! Compiled programs and the runtime: kernels, plugins, clients, caches.

mod cluster;
mod compile_time;
mod device_script;
#[cfg(target_os = "linux")]
mod flat;
mod kernel_convolutions;
mod kernel_values;
mod kernels;
mod lane_model;
#[cfg(target_os = "linux")]
mod libraries;
mod mosaic;
mod native;
mod pjrt;
mod plugins;
mod profiler;
mod redis;
mod triton;
