//! What peers say besides HTTP/1.1, read without I/O: bytes in, meaning out.
//!
//! - [`proxy_protocol`]: what proxies say in front of a connection.
//! - [`stream_head`]: the head of a stream of HTTP/2, as a request.
//! - [`flood`]: how many frames of HTTP/2 carry nothing.
//! - [`grpc`]: what a call says in its head.
//! - [`websocket`]: where the frames of a WebSocket end.
//!
//! It is a crate so that fuzz targets reach it, and so that nothing in it can read a socket, the clock or random bytes: they are
//! arguments.

pub mod flood;
pub mod grpc;
pub mod proxy_protocol;
pub mod stream_head;
pub mod websocket;
