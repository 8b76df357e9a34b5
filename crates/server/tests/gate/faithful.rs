//! What passes through the gate stays what it is, and nobody gets what is another's.

mod announced;
mod chunks;
mod clocks;
mod hangups;
mod interim;
mod reuse;
mod targets;
