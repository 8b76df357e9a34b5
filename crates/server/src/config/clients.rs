//! Reads the timeouts and limits of client connections.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use http1::{HeadLimits, LARGEST_HEAD, MOST_FIELDS};

use super::reader::Reader;

/// How long the gate waits for a client in each phase of a connection, and how large request heads may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientSettings {
    /// Timeout for the rest of a request's head, once it has begun.
    pub(crate) header: Duration,
    /// Timeout between two parts of a body, in either direction.
    pub(crate) body: Duration,
    /// Timeout for the next request on an open connection.
    pub(crate) idle: Duration,
    /// Timeout from a request's head to the last byte of its response, except event streams and WebSockets.
    pub(crate) total: Option<Duration>,
    /// The lowest average upload rate in bytes per second, not counting one body timeout.
    pub(crate) upload_rate: Option<NonZeroU64>,
    /// The lowest average download rate in bytes per second, not counting one body timeout.
    pub(crate) download_rate: Option<NonZeroU64>,
    /// The largest request head.
    pub(crate) head: HeadLimits,
    /// Whether clients may use HTTP/2.
    pub(crate) http2: bool,
}

/// Reads the settings of client connections.
pub(super) fn settings(reader: &mut Reader<'_>) -> ClientSettings {
    let total = reader.seconds("REQUEST_TIMEOUT", 0);
    let mut rate = |name| {
        let rate = reader.parsed(
            name,
            LEAST_RATE,
            "a whole number of bytes per second (0: no limit)",
        );
        NonZeroU64::new(u64::from(rate))
    };
    let (upload_rate, download_rate) = (rate("LEAST_UPLOAD_RATE"), rate("LEAST_DOWNLOAD_RATE"));
    ClientSettings {
        header: reader.limit("CLIENT_HEADER_TIMEOUT", 30),
        body: reader.limit("CLIENT_BODY_TIMEOUT", 60),
        idle: reader.limit("CLIENT_IDLE_TIMEOUT", 75),
        total: (!total.is_zero()).then_some(total),
        upload_rate,
        download_rate,
        head: HeadLimits {
            bytes: within(reader, "MAX_HEADER_BYTES", LARGEST_HEAD, 1024, 1024 * 1024),
            fields: within(reader, "MAX_HEADER_FIELDS", MOST_FIELDS, 1, 10_000),
        },
        http2: reader.switch("HTTP2", true),
    }
}

/// Reads a number from `least` to `most`.
fn within(reader: &mut Reader<'_>, name: &str, default: usize, least: usize, most: usize) -> usize {
    let read = reader.read_or(name, &default.to_string(), |text| {
        let number = text.trim().parse::<NonZeroUsize>().map(NonZeroUsize::get);
        let number = number.ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("write a number from {least} to {most}"))
    });
    read.unwrap_or(default)
}

/// The default rate in bytes per second, which is that of Apache's `mod_reqtimeout` for request bodies.
const LEAST_RATE: u32 = 500;
