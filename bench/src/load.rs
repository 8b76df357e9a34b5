//! The kinds of load, and the answers that they measure.

mod h2load;
mod handshakes;
mod paced;
mod wrk;

use std::path::Path;

use anyhow::{Result, ensure};

use super::http::Address;

/// A load generator and its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// `h2load` with a prepared gRPC call: each connection sends the next request when it has the answer.
    Grpc { connections: u32 },
    /// A new connection with TLS 1.3 for every request, in this many threads: see [`handshakes`]. Clients resume with a ticket,
    /// or make full handshakes.
    Handshakes { threads: u32, resumes: bool },
    /// `h2load` with HTTP/2 over TLS, with this many concurrent requests on each connection.
    Http2 { connections: u32, streams: u32 },
    /// `h2load` with HTTP/1.1, because `wrk` has no Unix sockets.
    H2load { connections: u32 },
    /// Requests at [`Order::rate`], whether answers arrive or not, with all cookies in turn: see [`paced`].
    Paced { connections: u32 },
    /// `h2load` with unary gRPC calls, with this many concurrent calls on each connection: see [`super::unary`].
    Unary { connections: u32, streams: u32 },
    /// `wrk`: each connection sends the next request when it has the answer.
    Wrk { connections: u32 },
    /// `wrk` with this many cookies of a file in turn, which need not fit into its memory.
    WrkInTurn { connections: u32, cookies: usize },
}

/// The requests to send, and their destination.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) address: &'a Address,
    /// Whether the server expects TLS.
    pub(crate) speaks_tls: bool,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(String, String)],
    /// A file with one Cookie header a line.
    pub(crate) cookies: &'a Path,
    /// The body of a gRPC call.
    pub(crate) call: &'a [u8],
    /// Whether each answer must be a refusal; otherwise none may be.
    pub(crate) refused: bool,
    /// The number of cores `wrk` may use; all if `None`.
    pub(crate) cores: Option<usize>,
    /// Requests per second, for a paced load; infinity for no pauses.
    pub(crate) rate: f64,
    pub(crate) seconds: u32,
    /// A folder for temporary files.
    pub(crate) folder: &'a Path,
}

/// The number of answers, and their latency.
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
    /// Sends requests for [`Order::seconds`].
    ///
    /// # Errors
    /// When a connection failed, or a single answer was of the wrong kind: then the whole round is invalid.
    pub(crate) fn run(self, order: &Order<'_>) -> Result<Answered> {
        match self {
            Self::Grpc { connections } => h2load::call(order, connections),
            Self::Handshakes { threads, resumes } => handshakes::run(order, threads, resumes),
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

    /// Checks that all answers were of the expected kind, and that no connection failed.
    fn check(&self, answers: u64, refusals: u64, failures: u64) -> Result<()> {
        ensure!(answers > 0, "no answers");
        ensure!(failures == 0, "{failures} connections or requests failed");
        if self.refused {
            let permitted = answers.saturating_sub(refusals);
            ensure!(
                permitted == 0,
                "{permitted} of {answers} requests were permitted"
            );
        } else {
            ensure!(refusals == 0, "{refusals} of {answers} were refused");
        }
        Ok(())
    }
}

/// Returns the percentile `share` (0 to 1) of sorted latencies.
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
