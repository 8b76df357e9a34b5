//! How long a client may keep the gate waiting, and how large what it sends may be.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use http1::{HeadLimits, LARGEST_HEAD, MOST_FIELDS};

use super::raw::Reader;

/// How long a client may keep us waiting in each phase of a connection, and how large the heads of its requests may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientSettings {
    /// For the rest of a request's head once it has begun.
    pub(crate) header: Duration,
    /// Between two pieces of a body, in either direction.
    pub(crate) body: Duration,
    /// For the next request on an open connection.
    pub(crate) idle: Duration,
    /// From a request's head to the last byte of its answer, but for answers that go on for as long as somebody listens.
    pub(crate) total: Option<Duration>,
    /// In bytes a second, beyond the time that a request's body may take anyway.
    pub(crate) upload_rate: Option<NonZeroU64>,
    /// In bytes a second, beyond the time that a client may take nothing of an answer.
    pub(crate) download_rate: Option<NonZeroU64>,
    /// How large a request's head may be.
    pub(crate) head: HeadLimits,
    /// Whether clients may speak HTTP/2.
    pub(crate) http2: bool,
}

/// Reads what is demanded of clients.
pub(super) fn settings(reader: &mut Reader<'_>) -> ClientSettings {
    let total = reader.seconds("REQUEST_TIMEOUT", 0);
    let mut rate = |name| {
        let rate = reader.parsed(
            name,
            LEAST_RATE,
            "a whole number of bytes a second; 0 is no limit",
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

/// A number between two others, both included.
fn within(reader: &mut Reader<'_>, name: &str, default: usize, least: usize, most: usize) -> usize {
    let read = reader.named(name, &default.to_string(), |text| {
        let number = text.trim().parse::<NonZeroUsize>().map(NonZeroUsize::get);
        let number = number.ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("write a number from {least} to {most}"))
    });
    read.unwrap_or(default)
}

/// In bytes a second. Apache's `mod_reqtimeout` demands the same of request bodies.
const LEAST_RATE: u32 = 500;
