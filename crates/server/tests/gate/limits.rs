//! Limits: of the rate of requests, of the number of connections and requests, of their size, and of their duration.
//!
//! The test is the trusted proxy whose headers give its clients different addresses.

mod addresses;
mod bad_sessions;
mod concurrency;
mod rates;
mod shared;
mod sizes;
mod slow;
mod times;

use anyhow::Result;
use harness::{Client, Gate, Request, Response};

/// The setting by which the gate trusts the test as a proxy.
const BEHIND_PROXY: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.1/32");

/// Adds this client address to the request.
fn from(address: &str, request: Request) -> Request {
    request.header("X-Forwarded-For", address)
}

/// Requests a public page from each of these addresses in turn; returns the statuses.
async fn statuses<const N: usize>(gate: &Gate, addresses: [&str; N]) -> Result<[u16; N]> {
    let mut statuses = [0; N];
    for (status, address) in statuses.iter_mut().zip(addresses) {
        let request = from(address, Request::get("/open/"));
        *status = gate.send(&request).await?.status;
    }
    Ok(statuses)
}

/// Returns the answer of the listener for decisions.
async fn decision_answer(gate: &Gate, decision_request: &Request) -> Result<Response> {
    Client::connect(gate.decisions_port()?)
        .await?
        .send(decision_request)
        .await
}
