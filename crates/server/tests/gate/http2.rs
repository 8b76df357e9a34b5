//! HTTP/2 from clients: real ones, and one that sends arbitrary frames.

mod abuse;
mod alpn;
mod bodies;
mod chromium;
pub(crate) mod client;
mod ends;
mod frames;
mod grpc;
mod programs;
mod refused;
mod requests;
mod services;
mod unusual_services;
mod websockets;
mod wire;
