//! Existing programs on either side of the gate: clients, and services.

mod autobahn;
mod curl;
mod refusals;
mod services;
mod support;
mod websockets;
