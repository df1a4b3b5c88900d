//! The `spiq` command. Knows only the command line; the library does the work.
fn main() {}
