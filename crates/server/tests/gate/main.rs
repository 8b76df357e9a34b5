//! The behaviour of the gate, seen from outside: every test starts the real binary, enters through its proxy, and
//! looks at the answer and at what the upstream received.

mod admin;
mod answers;
mod askers;
mod audit;
mod bearer;
mod better_auth;
mod better_auth_corners;
mod bypass;
mod config;
mod database_sessions;
mod demo;
mod ends;
mod exchanges;
mod faults;
mod headers;
mod identity;
mod interop;
mod kernel;
mod lifecycle;
mod output;
mod paths;
mod proxying;
mod routing_headers;
mod secrets;
mod session_removal;
mod sessions;
mod signals;
mod stores;
mod subjects;
mod support;
mod twin_cookies;
