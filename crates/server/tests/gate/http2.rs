//! HTTP/2 from clients: real ones, and one that writes frames as it likes.

mod abuse;
mod bodies;
mod ends;
mod frames;
mod programs;
mod requests;
mod talk;
mod websockets;
mod wire;
