//! HTTP/2 from clients: real ones, and one that sends arbitrary frames.

mod abuse;
mod bodies;
mod chosen;
mod chromium;
mod ends;
mod frames;
mod grpc;
mod programs;
mod refused;
mod requests;
mod services;
pub(crate) mod talk;
mod unusual;
mod websockets;
mod wire;
