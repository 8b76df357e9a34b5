//! Load, and what came back under it.

mod h2load;
mod handshakes;
mod paced;
mod wrk;

use std::path::Path;

use anyhow::{Result, ensure};

use super::http::Address;

/// What sends requests, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// `h2load` with a prepared gRPC call: each connection sends the next request when the answer is there.
    Grpc { connections: u32 },
    /// A new connection with TLS 1.3 for every request, in this many threads: see [`handshakes`]. Clients come back with a ticket, or
    /// are strangers.
    Handshakes { threads: u32, comes_back: bool },
    /// `h2load` with HTTP/2 over TLS, with this many requests under way on each connection.
    Http2 { connections: u32, streams: u32 },
    /// `h2load` with HTTP/1.1, because `wrk` has no Unix sockets.
    H2load { connections: u32 },
    /// This many requests each second, whether answers come or not, with all cookies in turn: see [`paced`].
    Paced { connections: u32 },
    /// `h2load` with calls of gRPC that are one message each way, with this many under way on each connection: see [`super::unary`].
    Unary { connections: u32, streams: u32 },
    /// `wrk`: each connection sends the next request when the answer is there.
    Wrk { connections: u32 },
    /// `wrk` with the first cookies of a file in turn, which may be more than it has memory for.
    WrkInTurn { connections: u32, cookies: usize },
}

/// What is sent, and where.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) address: &'a Address,
    /// Whether TLS is spoken there.
    pub(crate) speaks_tls: bool,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(String, String)],
    /// A file with one Cookie header a line.
    pub(crate) cookies: &'a Path,
    /// The body of a gRPC call.
    pub(crate) call: &'a [u8],
    /// Whether each answer must be a refusal; otherwise none may be.
    pub(crate) refused: bool,
    /// How many cores `wrk` may use, unless all.
    pub(crate) cores: Option<usize>,
    /// Requests each second, for a load that is paced; infinity for no pauses.
    pub(crate) rate: f64,
    pub(crate) seconds: u32,
    /// For files that are needed on the way.
    pub(crate) folder: &'a Path,
}

/// What came back, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    /// Microseconds.
    pub(crate) p99: f64,
}

impl Load {
    /// Sends requests for as long as ordered.
    ///
    /// # Errors
    /// When a connection failed, or a single answer was of the wrong kind: then none of it counts.
    pub(crate) fn run(self, order: &Order<'_>) -> Result<Answered> {
        match self {
            Self::Grpc { connections } => h2load::call(order, connections),
            Self::Handshakes {
                threads,
                comes_back,
            } => handshakes::run(order, threads, comes_back),
            Self::Http2 {
                connections,
                streams,
            } => h2load::http2(order, connections, streams),
            Self::H2load { connections } => h2load::get(order, connections),
            Self::Paced { connections } => paced::run(order, connections),
            Self::Unary {
                connections,
                streams,
            } => h2load::unary(order, connections, streams),
            Self::Wrk { connections } => wrk::run(order, connections),
            Self::WrkInTurn {
                connections,
                cookies,
            } => wrk::in_turn(order, connections, cookies),
        }
    }
}

impl Order<'_> {
    /// The cookies, one Cookie header each.
    fn cookies(&self) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(self.cookies)?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Checks that all answers are of the kind that is measured, given how many were refusals and how many connections failed.
    fn check(&self, answers: u64, refusals: u64, failures: u64) -> Result<()> {
        ensure!(answers > 0, "no answers");
        ensure!(failures == 0, "{failures} connections or requests failed");
        if self.refused {
            let permitted = answers.saturating_sub(refusals);
            ensure!(permitted == 0, "{permitted} of {answers} were let in");
        } else {
            ensure!(refusals == 0, "{refusals} of {answers} were refused");
        }
        Ok(())
    }
}

/// Of sorted latencies, the one that so large a share of them does not exceed.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Order, percentile};
    use crate::http::Address;

    #[test]
    fn one_answer_of_the_wrong_kind_breaks_a_round() {
        let order = |refused| Order {
            address: &Address::Tcp(1),
            speaks_tls: false,
            path: "/",
            headers: &[],
            cookies: Path::new(""),
            call: &[],
            refused,
            cores: None,
            rate: 1.0,
            seconds: 1,
            folder: Path::new(""),
        };
        let (permitted, refused) = (order(false), order(true));
        assert!(permitted.check(10, 0, 0).is_ok());
        assert!(permitted.check(10, 1, 0).is_err());
        assert!(permitted.check(10, 0, 1).is_err());
        assert!(permitted.check(0, 0, 0).is_err());
        assert!(refused.check(10, 10, 0).is_ok());
        assert!(refused.check(10, 9, 0).is_err());
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<_> = (0..=100).map(f64::from).collect();
        assert_eq!(percentile(&sorted, 0.5), 50.0);
        assert_eq!(percentile(&sorted, 0.99), 99.0);
        assert!(percentile(&[], 0.5).is_nan());
    }
}
