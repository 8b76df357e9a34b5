//! How many connections and requests there may be at once, and how often somebody may ask.

use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::time::Duration;

use gate::{ForwardedHeader, TrustedProxies};

use super::network;
use super::raw::Reader;
use super::stores;
use crate::wait_timer::FOREVER;
use ::stores::RedisSettings;

/// The limits of the whole gate. `None` is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LimitSettings {
    /// Connections of one address at a time.
    pub(crate) connections_per_address: Option<NonZeroUsize>,
    /// Connections of each listener at a time.
    pub(crate) connections: Option<NonZeroUsize>,
    /// Requests at a time.
    pub(crate) in_flight: Option<NonZeroUsize>,
    /// How long a service may say nothing in an answer that goes on for as long as somebody listens.
    pub(crate) stream_idle: Duration,
    /// The code with which a WebSocket is closed whose session has ended; `None` lets it go on, and event streams too.
    pub(crate) session_end: Option<NonZeroU16>,
    /// How often clients, users and routes may ask: all of these.
    pub(crate) rates: Vec<RateLimit>,
    /// How often an address may bring a session that does not open or does not exist.
    pub(crate) bad_sessions: Option<RateLimit>,
}

/// How often somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RateLimit {
    pub(crate) by: CountedBy,
    /// How many requests in a window, on the long run.
    pub(crate) count: NonZeroU32,
    pub(crate) window: Duration,
    /// How many at once, after a time without any.
    pub(crate) burst: NonZeroU32,
}

/// What a limit counts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CountedBy {
    /// Each client address, and each network of IPv6 with 64 bits.
    Address,
    /// Each route, whoever asks.
    Route,
    /// Each user, wherever they come from.
    User,
}

/// Reads the limits of the whole gate.
pub(super) fn settings(reader: &mut Reader<'_>) -> LimitSettings {
    let mut most = |name| {
        let most = reader.parsed(name, 0_usize, "a whole number; 0 is no limit");
        NonZeroUsize::new(most)
    };
    let connections_per_address = most("CONNECTIONS_PER_ADDRESS");
    let connections = most("MAX_CONNECTIONS");
    let in_flight = most("MAX_IN_FLIGHT");
    let stream_idle = match reader.seconds("STREAM_IDLE_TIMEOUT", STREAM_IDLE) {
        Duration::ZERO => FOREVER,
        limit => limit,
    };
    let session_end = reader.named("SESSION_END_CLOSE_CODE", SESSION_END, close_code);
    let bad_sessions = reader.named("BAD_SESSION_RATE_LIMIT", BAD_SESSIONS, |text| {
        match text.trim() {
            "off" => Ok(None),
            text if text.contains(" by ") => Err(
                "it always counts by address; leave out what begins with `by`, as in `50/s burst 1000`".to_owned(),
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

/// The Redis in which all nodes count together, if they are to. `is_limited` says that anything is counted that can be, and
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
        reader.idle(
            NAME,
            "there is neither RATE_LIMIT nor a route with rate_limit, and BAD_SESSION_RATE_LIMIT is off",
        );
        return None;
    }
    let redis = stores::shared_redis(reader, stores);
    if redis.is_none() && reader.problems.is_empty() {
        let what = "nodes count together in Redis, so say where it is: a redis:// URL in REDIS_URL, or REDIS_HOST";
        reader.problem(NAME, what);
    }
    redis
}

/// Reads which proxies are in front of the gate, and in which header they say where a request comes from.
pub(super) fn proxies(reader: &mut Reader<'_>, decides_for_others: bool) -> TrustedProxies {
    let networks = reader.list("TRUSTED_PROXIES", network::parse);
    let headers = [
        ("x-forwarded-for", ForwardedHeader::XForwardedFor),
        ("forwarded", ForwardedHeader::Forwarded),
    ];
    let header = reader.choice("FORWARDED_HEADER", ForwardedHeader::default(), &headers);
    if networks.is_empty() && !decides_for_others {
        reader.idle(
            "FORWARDED_HEADER",
            "TRUSTED_PROXIES names nobody who could write it",
        );
    }
    TrustedProxies::new(networks).writing(header)
}

/// Reads `100/s`, `100/s burst 200` or `1000/h burst 50 by user`.
pub(super) fn rate(text: &str) -> Result<RateLimit, String> {
    let mut words = text.split_ascii_whitespace();
    let speed = words.next().unwrap_or_default();
    let (count, unit) = speed.split_once('/').ok_or_else(|| {
        format!("`{speed}` has no unit of time; write a number of requests per s, m or h, such as `100/s`")
    })?;
    let count = number(count)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => {
            return Err(format!(
                "`{unit}` is no unit of time; write s, m or h, such as `{count}/m`"
            ));
        }
    };
    let (mut burst, mut by) = (None, None);
    while let Some(word) = words.next() {
        let value = words.next();
        match (word, value) {
            ("burst", Some(value)) if burst.is_none() => burst = Some(number(value)?),
            ("by", Some(value)) if by.is_none() => by = Some(counted_by(value)?),
            ("burst" | "by", None) => return Err(format!("nothing stands behind `{word}`")),
            ("burst" | "by", Some(_)) => return Err(format!("`{word}` stands there twice")),
            _ => {
                return Err(format!(
                    "`{word}` is not understood; write such as `100/s burst 200 by user`"
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
    // 1008 is what a policy ends; RFC 6455 §7.4.2 leaves these to libraries and applications.
    code.filter(|code: &NonZeroU16| code.get() == 1008 || (3000..=4999).contains(&code.get()))
        .map(Some)
        .ok_or("give a close code from 3000 to 4999, or 1008; or off, which lets WebSockets and event streams outlive their sessions")
}

fn counted_by(word: &str) -> Result<CountedBy, String> {
    match word {
        "address" => Ok(CountedBy::Address),
        "route" => Ok(CountedBy::Route),
        "user" => Ok(CountedBy::User),
        _ => Err(format!("`{word}` is none of `address`, `user`, `route`")),
    }
}

fn number(text: &str) -> Result<NonZeroU32, String> {
    let number = text.parse().ok().filter(|number| *number <= MOST);
    number.ok_or_else(|| format!("`{text}` is not a number from 1 to {MOST}"))
}

/// A million: with it the arithmetic of the longest window stays far below 64 bits of nanoseconds.
const MOST: NonZeroU32 = NonZeroU32::new(1_000_000).expect("not zero");

/// In seconds. A connection that died without a word is noticed by TCP keep-alive long before.
const STREAM_IDLE: u32 = 3600;

/// As 401 is the status of a request without a good session.
const SESSION_END: &str = "4401";

/// Generous: nobody who has a session comes near it, and a database answers as many look-ups at once.
const BAD_SESSIONS: &str = "50/s burst 1000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_an_application_may_say_are_read() {
        for (text, code) in [("off", 0), ("1008", 1008), ("3000", 3000), (" 4999 ", 4999)] {
            assert_eq!(close_code(text), Ok(NonZeroU16::new(code)), "{text}");
        }
        for text in ["", "0", "1000", "1001", "2999", "5000", "70000", "no"] {
            assert!(close_code(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_read_and_mistakes_are_named() {
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
                    "`100` has no unit of time; write a number of requests per s, m or h, such as `100/s`",
                ),
            ),
            (
                "100/d",
                Err("`d` is no unit of time; write s, m or h, such as `100/m`"),
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
            ("1/s burst", Err("nothing stands behind `burst`")),
            ("1/s by user by user", Err("`by` stands there twice")),
            (
                "1/s by ip",
                Err("`ip` is none of `address`, `user`, `route`"),
            ),
            (
                "1/s each user",
                Err("`each` is not understood; write such as `100/s burst 200 by user`"),
            ),
        ] {
            let wanted = wanted.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(read(text), wanted, "{text}");
        }
    }
}
