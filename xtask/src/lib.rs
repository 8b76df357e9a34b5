//! Code that several development tasks share: steps that are shown and timed, and the installation of the programs that tests and
//! the benchmark start.

pub mod dist;
pub mod packages;
pub mod parts;
pub mod step;
pub mod test;
pub mod tools;
pub mod venvs;
pub mod wheels;
