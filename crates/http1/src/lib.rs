//! HTTP/1.1 (RFC 9112) without I/O: reads and writes messages, and keeps the state of a connection on either side.
//!
//! [`ServerConnection`] is the side that receives requests, [`ClientConnection`] the side that sends them. The caller moves the
//! bytes and asks the connection what they mean; only the connection knows where a message ends.
//!
//! Request smuggling needs two parsers that disagree about where a message ends. So requests, which untrusted clients write,
//! are accepted in only one spelling, and forwarded messages are serialized again from what was parsed. Responses of an
//! upstream are read as other clients read them.
//!
//! This crate uses `http` types. It has no sockets, no clock and no logger.

mod authentication;
mod body;
mod caching;
mod client;
mod head;
mod request;
mod response;
mod server;
mod target;
mod violation;
mod write;

pub use authentication::binds_connection;
pub use body::{Decoder, Length, Piece};
pub use caching::{allows_shared_caching, is_shared_cache_field};
pub use client::{ClientConnection, is_interim};
pub use head::{Field, HopByHop, has_body, options, read_fields};
pub use request::{HTTP2_PREFACE, RequestHead, RequestReader};
pub use response::{ResponseHead, read_response};
pub use server::{MOST_DISCARDED, ServerConnection};
pub use target::{RawTarget, encoded_component, encoded_target, read_target};
pub use violation::Violation;
pub use write::{Encoder, Persistence, fields, write_field, write_request, write_response};

/// The limits for the head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The largest head, in bytes, including the request line.
    pub bytes: usize,
    /// The largest number of header fields.
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            bytes: LARGEST_HEAD,
            fields: MOST_FIELDS,
        }
    }
}

/// The default limit for the head of a request, and the limit for that of a response, in bytes: eight session chunks of 4 KiB
/// and the other headers fit.
pub const LARGEST_HEAD: usize = 64 * 1024;

/// The default limit for the number of header fields: more than a browser and a chain of proxies send together, and more than
/// services send (some mail sites send over 100).
pub const MOST_FIELDS: usize = 256;
