//! Measures how fast a network runs and trains in each arithmetic, all in one measurement. Prints nothing.
//!
//! ```
//! use spiq::{bench::{self, Arithmetic, Options, Shape}, pjrt::Client};
//! let options = Options { seconds: 0.0, ..Options::new("4,2,8,8,3".parse::<Shape>()?, vec![Arithmetic::Fp32]) };
//! let rows = bench::run(&Client::cpu()?, &options, &mut |_| {})?;
//! assert!(rows[0].forward.median.as_nanos() > 0 && rows[0].forward.runs >= 10);
//! # Ok::<(), spiq::Error>(())
//! ```

mod arithmetic;
mod machine;
mod measure;
mod shape;
mod subject;
mod timing;
mod workload;

pub use arithmetic::Arithmetic;
pub use machine::{Bound, Machine};
pub use measure::{Event, Options, PassProfile, Row, run};
pub use shape::Shape;
pub use subject::{Data, Subject};
pub use timing::Timing;
pub use workload::Workload;
