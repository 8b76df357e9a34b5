//! What passes through the gate stays what it is, and nobody gets what is another's.

mod announced;
mod caches;
mod chunks;
mod clocks;
mod fields;
mod hangups;
mod interim;
mod refusals;
mod reuse;
mod targets;
