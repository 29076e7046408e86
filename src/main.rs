//! The `rowtwin` command: see `rowtwin --help`.

fn main() {}
