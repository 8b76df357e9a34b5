//! Messages pass through the gate unchanged, and no client receives the answer to another's request.

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
