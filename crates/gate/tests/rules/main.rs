//! Rules, as a table: who may enter by which route, and what its service then receives.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod forwarding;
mod headers;
mod requirements;
mod world;
