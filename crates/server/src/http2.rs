//! HTTP/2 from clients (RFC 9113): the `h2` crate speaks it, and each stream is a request that the proxy answers as it does one
//! of HTTP/1.1, with the same decision, the same services and the same line in the audit log.
//!
//! ```text
//! connection ── accept ─┬─ stream ── Proxy::answer ── service
//!                       ├─ stream ── Proxy::answer ── service
//!                       └─ …  each a task, which the connection waits for
//! ```
//!
//! What clients may do to a connection has bounds. Those within a frame or a head are `h2`'s, set below; [`flood`] bounds how many
//! frames come that carry nothing, and [`connection`] how many requests are taken back. [`resets`] sees what `h2` refuses by itself.

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
