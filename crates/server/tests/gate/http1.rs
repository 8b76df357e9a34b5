//! Messages pass through the gate unchanged, and no client receives the answer to another's request.

mod announced_bodies;
mod caches;
mod chunks;
mod fields;
mod half_close;
mod interim;
mod refusals;
mod reuse;
mod service_timeouts;
mod targets;
