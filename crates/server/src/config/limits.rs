//! Reads limits on connections, requests and rates, and the trusted proxies.

use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::time::Duration;

use gate::{ForwardedHeader, TrustedProxies};

use super::network;
use super::reader::Reader;
use super::stores;
use crate::wait_timer::FOREVER;
use ::stores::RedisSettings;

/// The limits of the whole gate. `None` means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LimitSettings {
    /// The most simultaneous connections per client address.
    pub(crate) connections_per_address: Option<NonZeroUsize>,
    /// The most simultaneous connections per listener.
    pub(crate) connections: Option<NonZeroUsize>,
    /// The most simultaneous requests.
    pub(crate) in_flight: Option<NonZeroUsize>,
    /// How long an event stream may be silent.
    pub(crate) stream_idle: Duration,
    /// The close code for a WebSocket whose session has ended; with `None`, WebSockets and event streams continue.
    pub(crate) session_end: Option<NonZeroU16>,
    /// The rate limits for clients, users and routes; all of them apply.
    pub(crate) rates: Vec<RateLimit>,
    /// The rate limit for invalid or unknown sessions, per client address.
    pub(crate) bad_sessions: Option<RateLimit>,
}

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RateLimit {
    pub(crate) by: CountedBy,
    /// The average number of requests per window.
    pub(crate) count: NonZeroU32,
    pub(crate) window: Duration,
    /// The number of requests that are allowed at once after a quiet time.
    pub(crate) burst: NonZeroU32,
}

/// The property by which requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CountedBy {
    /// By client address; for IPv6 by /64 network.
    Address,
    /// By route, for all clients together.
    Route,
    /// By user, regardless of the client address.
    User,
}

/// Reads the limits of the whole gate.
pub(super) fn settings(reader: &mut Reader<'_>) -> LimitSettings {
    let mut most = |name| {
        let most = reader.parsed(name, 0_usize, "a whole number (0: no limit)");
        NonZeroUsize::new(most)
    };
    let connections_per_address = most("CONNECTIONS_PER_ADDRESS");
    let connections = most("MAX_CONNECTIONS");
    let in_flight = most("MAX_IN_FLIGHT");
    let stream_idle = match reader.seconds("STREAM_IDLE_TIMEOUT", STREAM_IDLE) {
        Duration::ZERO => FOREVER,
        limit => limit,
    };
    let session_end = reader.read_or("SESSION_END_CLOSE_CODE", SESSION_END, close_code);
    let bad_sessions = reader.read_or("BAD_SESSION_RATE_LIMIT", BAD_SESSIONS, |text| {
        match text.trim() {
            "off" => Ok(None),
            text if text.contains(" by ") => Err(
                "it always counts by client address; remove the part that begins with `by`, as in `50/s burst 1000`".to_owned(),
            ),
            text => rate(text).map(Some),
        }
    });
    LimitSettings {
        connections_per_address,
        connections,
        in_flight,
        stream_idle,
        session_end: session_end.flatten(),
        rates: reader.list("RATE_LIMIT", rate),
        bad_sessions: bad_sessions.flatten(),
    }
}

/// The Redis in which all nodes count together, if they do. `is_limited` says that there is a limit that can be shared;
/// `stores` are those of the top level.
pub(super) fn shared(
    reader: &mut Reader<'_>,
    is_limited: bool,
    stores: Option<&::stores::Settings>,
) -> Option<RedisSettings> {
    const NAME: &str = "RATE_LIMIT_SHARED";
    if !reader.switch(NAME, false) {
        return None;
    }
    if !is_limited {
        reader.warn_about_unused(
            NAME,
            "neither RATE_LIMIT nor the rate_limit of a route is set, and BAD_SESSION_RATE_LIMIT is off",
        );
        return None;
    }
    let redis = stores::shared_redis(reader, stores);
    if redis.is_none() && reader.problems.is_empty() {
        let what = "it needs a Redis server, in which nodes count together: set REDIS_URL to a redis:// URL, or set \
             REDIS_HOST";
        reader.problem(NAME, what);
    }
    redis
}

/// Reads the trusted proxies, and the header in which they pass on the client's address.
pub(super) fn proxies(reader: &mut Reader<'_>, decides_for_others: bool) -> TrustedProxies {
    let networks = reader.list("TRUSTED_PROXIES", network::parse);
    let headers = [
        ("x-forwarded-for", ForwardedHeader::XForwardedFor),
        ("forwarded", ForwardedHeader::Forwarded),
    ];
    let header = reader.choice("FORWARDED_HEADER", ForwardedHeader::default(), &headers);
    if networks.is_empty() && !decides_for_others {
        reader.warn_about_unused("FORWARDED_HEADER", "TRUSTED_PROXIES is not set");
    }
    TrustedProxies::new(networks).with_header(header)
}

/// Reads `100/s`, `100/s burst 200` or `1000/h burst 50 by user`.
pub(super) fn rate(text: &str) -> Result<RateLimit, String> {
    let mut words = text.split_ascii_whitespace();
    let speed = words.next().unwrap_or_default();
    let (count, unit) = speed.split_once('/').ok_or_else(|| {
        format!("`{speed}` has no time unit; write the number of requests per s, m or h, such as `100/s`")
    })?;
    let count = number(count)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => {
            return Err(format!(
                "`{unit}` is not a time unit; write s, m or h, such as `{count}/m`"
            ));
        }
    };
    let (mut burst, mut by) = (None, None);
    while let Some(word) = words.next() {
        let value = words.next();
        match (word, value) {
            ("burst", Some(value)) if burst.is_none() => burst = Some(number(value)?),
            ("by", Some(value)) if by.is_none() => by = Some(counted_by(value)?),
            ("burst" | "by", None) => return Err(format!("the value after `{word}` is missing")),
            ("burst" | "by", Some(_)) => return Err(format!("`{word}` is given twice")),
            _ => {
                return Err(format!(
                    "`{word}` is unknown; write a limit such as `100/s burst 200 by user`"
                ));
            }
        }
    }
    Ok(RateLimit {
        by: by.unwrap_or(CountedBy::Address),
        count,
        window: Duration::from_secs(seconds),
        burst: burst.unwrap_or(count),
    })
}

/// Reads the code of a Close frame, or `off`.
fn close_code(text: &str) -> Result<Option<NonZeroU16>, &'static str> {
    if text.trim() == "off" {
        return Ok(None);
    }
    let code = text.trim().parse().ok();
    // 1008 means a policy violation; RFC 6455 §7.4.2 reserves 3000 to 4999 for libraries and applications.
    code.filter(|code: &NonZeroU16| code.get() == 1008 || (3000..=4999).contains(&code.get()))
        .map(Some)
        .ok_or("give a close code from 3000 to 4999, or 1008; or `off`, which lets WebSockets and event streams outlive \
             their sessions")
}

fn counted_by(word: &str) -> Result<CountedBy, String> {
    match word {
        "address" => Ok(CountedBy::Address),
        "route" => Ok(CountedBy::Route),
        "user" => Ok(CountedBy::User),
        _ => Err(format!(
            "`{word}` is unknown; write `address`, `user` or `route`"
        )),
    }
}

fn number(text: &str) -> Result<NonZeroU32, String> {
    let number = text.parse().ok().filter(|number| *number <= MOST);
    number.ok_or_else(|| format!("`{text}` is not a number from 1 to {MOST}"))
}

/// The largest number in a rate limit: with a million, the arithmetic of the longest window stays far below 64 bits of
/// nanoseconds.
const MOST: NonZeroU32 = NonZeroU32::new(1_000_000).expect("not zero");

/// The default of `STREAM_IDLE_TIMEOUT`, in seconds. TCP keep-alive detects a dead connection long before.
const STREAM_IDLE: u32 = 3600;

/// The default close code. It resembles 401, the status of a request without a valid session.
const SESSION_END: &str = "4401";

/// The default limit for bad sessions. It is generous: a legitimate client never reaches it, and a database can answer that
/// many lookups.
const BAD_SESSIONS: &str = "50/s burst 1000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_of_applications_are_accepted() {
        for (text, code) in [("off", 0), ("1008", 1008), ("3000", 3000), (" 4999 ", 4999)] {
            assert_eq!(close_code(text), Ok(NonZeroU16::new(code)), "{text}");
        }
        for text in ["", "0", "1000", "1001", "2999", "5000", "70000", "no"] {
            assert!(close_code(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_read_and_mistakes_reported() {
        let read = |text| {
            let RateLimit {
                by,
                count,
                window,
                burst,
            } = rate(text)?;
            Ok::<_, String>(format!(
                "{count} in {} s, {burst} by {by:?}",
                window.as_secs()
            ))
        };
        for (text, wanted) in [
            ("100/s", Ok("100 in 1 s, 100 by Address")),
            ("100/s burst 200", Ok("100 in 1 s, 200 by Address")),
            ("5/m by user", Ok("5 in 60 s, 5 by User")),
            (
                "1000000/h by route burst 1",
                Ok("1000000 in 3600 s, 1 by Route"),
            ),
            (
                "100",
                Err(
                    "`100` has no time unit; write the number of requests per s, m or h, such as `100/s`",
                ),
            ),
            (
                "100/d",
                Err("`d` is not a time unit; write s, m or h, such as `100/m`"),
            ),
            ("0/s", Err("`0` is not a number from 1 to 1000000")),
            (
                "1000001/s",
                Err("`1000001` is not a number from 1 to 1000000"),
            ),
            (
                "1/s burst -1",
                Err("`-1` is not a number from 1 to 1000000"),
            ),
            ("1/s burst", Err("the value after `burst` is missing")),
            ("1/s by user by user", Err("`by` is given twice")),
            (
                "1/s by ip",
                Err("`ip` is unknown; write `address`, `user` or `route`"),
            ),
            (
                "1/s each user",
                Err("`each` is unknown; write a limit such as `100/s burst 200 by user`"),
            ),
        ] {
            let wanted = wanted.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(read(text), wanted, "{text}");
        }
    }
}
