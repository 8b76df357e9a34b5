//! HTTP/1.1 (RFC 9112) without I/O: messages out of bytes and into bytes, and the state of a connection on either side.
//!
//! [`ServerConnection`] is the side that gets requests, [`ClientConnection`] the one that sends them. Whoever moves the bytes
//! asks them what has come and what that means; nothing else needs to know where a message ends.
//!
//! Request smuggling lives where two parsers disagree about where a message ends. So what strangers write, requests, is
//! accepted in one spelling of everything, and what goes on is written anew from what was understood. What an upstream
//! writes is read as other clients read it.
//!
//! This crate knows `http` types. It has no sockets, no clock and no logger: whoever moves the bytes brings them here.

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
pub use caching::{is_for_shared_caches_alone, lets_shared_caches_keep};
pub use client::{ClientConnection, is_interim};
pub use head::{Field, HopByHop, has_body, options, read_fields};
pub use request::{HTTP2_PREFACE, RequestHead, RequestReader};
pub use response::{ResponseHead, read_response};
pub use server::{MOST_DISCARDED, ServerConnection};
pub use target::{RawTarget, encoded_target, read_target};
pub use violation::Violation;
pub use write::{Encoder, Persistence, fields, write_field, write_request, write_response};

/// How large the head of a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// In bytes, with the request line.
    pub bytes: usize,
    /// Header fields.
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

/// In bytes: eight session chunks of 4 KiB and the other headers fit. As large may the head of a response be.
pub const LARGEST_HEAD: usize = 64 * 1024;

/// More header fields than a browser and a chain of proxies send together, and than most services answer with: some mail
/// sites send more than 100.
pub const MOST_FIELDS: usize = 256;
