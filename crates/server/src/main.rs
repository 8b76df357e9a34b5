//! sessiongate: an auth gateway that opens Auth.js, NextAuth and Better Auth sessions in front of any service.

mod acme;
mod admin;
mod audit;
mod boxed;
mod cli;
mod client;
mod clock;
mod config;
mod connection;
mod deadline;
mod demo;
mod doctor;
mod downstream;
mod driven;
mod exchange_end;
mod explain;
mod folder;
mod handover;
mod http2;
mod inbound;
mod interim;
mod invisible;
mod jwks;
mod leases;
mod limits;
mod link;
mod listener;
mod live;
mod logging;
mod loops;
mod metrics;
mod mint;
mod mode;
mod open;
mod output;
mod owner;
mod pages;
mod process;
mod pulse;
mod random;
mod rechecks;
mod refusals;
mod revocations;
mod runtime;
mod send_queue;
mod serve;
mod service;
mod signals;
mod socket;
mod streamed;
mod systemd;
mod tls;
mod transfer;
mod upstream;
mod vital;
mod wait_timer;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

// Unit tests use the allocator of `allocation_counter`, which counts allocations.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run().unwrap_or_else(|error| {
        output::write_within(
            io::stderr(),
            format!("sessiongate: {error:#}\n"),
            ERROR_WRITE_TIMEOUT,
        );
        ExitCode::FAILURE
    })
}

/// How long the process waits for its error message to be written if the reader is stalled. Otherwise the message is written at
/// once, but a busy machine may start the writing thread late.
const ERROR_WRITE_TIMEOUT: Duration = Duration::from_secs(2);
