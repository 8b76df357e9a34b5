//! HTTP/1.1 messages (RFC 9112): heads and bodies, out of bytes and into bytes.
//!
//! Request smuggling lives where two parsers disagree about where a message ends. So what strangers write, requests, is
//! accepted in one spelling of everything, and what goes on is written anew from what was understood. What an upstream
//! writes is read as other clients read it.
//!
//! This crate knows `http` types. It has no sockets, no clock and no logger: whoever moves the bytes brings them here.

mod body;
mod head;
mod request;
mod response;
mod violation;
mod write;

pub use body::{Decoder, Length, Piece};
pub use head::{Field, HopByHop, has_body, options};
pub use request::{Received, RequestReader};
pub use response::{Answered, read_response};
pub use violation::Violation;
pub use write::{Encoder, Persistence, fields, write_field, write_request, write_response};

/// In bytes: eight session chunks of 4 KiB and the other headers fit.
pub const LARGEST_HEAD: usize = 64 * 1024;

/// More header fields than a browser and a chain of proxies send together.
pub const MOST_FIELDS: usize = 100;
