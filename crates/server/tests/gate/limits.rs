//! Limits: how often somebody may ask, how many connections and requests there may be, how large they may be, and how long
//! they may take.
//!
//! Clients of many addresses are told apart by what a trusted proxy says of them, which is the test.

mod addresses;
mod at_once;
mod bad_sessions;
mod rates;
mod shared;
mod sizes;
mod slow;
mod times;

use anyhow::Result;
use harness::{Client, Gate, Request, Response};

/// The gate believes who asks from here.
const BEHIND_PROXY: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.1/32");

/// The same request, from this address.
fn from(address: &str, request: Request) -> Request {
    request.header("X-Forwarded-For", address)
}

/// The status of a public page for each of these addresses, in turn.
async fn statuses<const N: usize>(gate: &Gate, addresses: [&str; N]) -> Result<[u16; N]> {
    let mut statuses = [0; N];
    for (status, address) in statuses.iter_mut().zip(addresses) {
        let request = from(address, Request::get("/open/"));
        *status = gate.send(&request).await?.status;
    }
    Ok(statuses)
}

/// The answer of the decisions listener.
async fn asked(gate: &Gate, question: &Request) -> Result<Response> {
    Client::connect(gate.decisions_port()?)
        .await?
        .send(question)
        .await
}
