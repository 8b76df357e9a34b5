//! Protocols besides HTTP/1.1, without I/O.
//!
//! - [`proxy_protocol`]: the header that a proxy sends at the beginning of a connection.
//! - [`stream_head`]: the head of an HTTP/2 stream, as a request.
//! - [`flood`]: counts HTTP/2 frames that carry nothing.
//! - [`grpc`]: the timeout in the head of a call.
//! - [`websocket`]: the frames of a WebSocket.
//!
//! It is a crate of its own so that fuzz targets can use it, and so that it cannot read a socket, the clock or random bytes: the
//! caller passes them as arguments.

pub mod flood;
pub mod grpc;
pub mod proxy_protocol;
pub mod stream_head;
pub mod websocket;
