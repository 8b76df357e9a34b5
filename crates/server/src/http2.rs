//! HTTP/2 from clients (RFC 9113). The `h2` crate implements the protocol, and each stream is a request that the proxy answers
//! like one over HTTP/1.1: with the same decision, services and audit line.
//!
//! ```text
//! connection ── accept ─┬─ stream ── Proxy::answer ── service
//!                       ├─ stream ── Proxy::answer ── service
//!                       └─ …  each a task, which the connection waits for
//! ```
//!
//! Everything that a client can do is bounded. `h2` limits frames and heads, [`flood`] limits frames without content, and
//! [`connection`] canceled requests. [`resets`] detects what `h2` refuses by itself.

mod bodies;
mod connection;
mod flood;
mod io;
mod joined;
pub(crate) mod messages;
mod request;
mod resets;
mod stream;

pub(crate) use self::connection::serve;
