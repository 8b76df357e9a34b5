//! The loop breaker: a browser that is redirected to sign in again and again gets an explanation instead of another redirect.
//!
//! A redirect loop occurs if the app has a session that this gate cannot use: the app sends the browser back at once, and
//! the gate redirects it there again. The count is in a short-lived cookie that only a gate with the same secret can write,
//! so it needs no store, and any number of gates count together.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use session::UnixTime;

/// Counts how often a browser was redirected to sign in.
#[derive(Clone)]
pub(crate) struct LoopBreaker {
    key: hmac::Key,
}

/// What to do with a browser that must sign in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SignInAttempt {
    /// It was redirected too often.
    Looping,
    /// Redirect it, with this `Set-Cookie`.
    Redirect(HeaderValue),
}

impl LoopBreaker {
    /// Makes a breaker whose key is derived from a secret that all gates of an installation share.
    pub(crate) fn of_secret(secret: &[u8]) -> Self {
        let extracted = Salt::new(HKDF_SHA256, &[]).extract(secret);
        let expanded = extracted.expand(&[LABEL], HMAC_SHA256);
        let key = expanded.expect("the key is as long as a digest");
        Self { key: key.into() }
    }

    /// Decides whether to redirect the browser that sent these headers once more.
    pub(crate) fn attempt(
        &self,
        headers: &HeaderMap,
        now: UnixTime,
        is_https: bool,
    ) -> SignInAttempt {
        let mut times = self.recent(headers, now);
        if times.len() >= MOST_REDIRECTS {
            return SignInAttempt::Looping;
        }
        times.push(now.millis());
        SignInAttempt::Redirect(self.cookie(&times, is_https))
    }

    /// The times of the recent redirects, in milliseconds.
    fn recent(&self, headers: &HeaderMap, now: UnixTime) -> Vec<u64> {
        let fields = headers.get_all(COOKIE).iter();
        let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
        let values = pairs.filter_map(|pair| {
            let pair = pair.trim_ascii();
            pair.strip_prefix(NAME.as_bytes())?.strip_prefix(b"=")
        });
        // A site on a sibling domain can set further cookies with this name.
        let genuine = values
            .take(MOST_COOKIES)
            .find_map(|value| self.verified(value));
        let mut times = genuine.unwrap_or_default();
        // The clocks of two gates differ a little, so a time may also be in the future.
        times.retain(|time| now.millis().abs_diff(*time) <= WINDOW_SECS * 1000);
        times
    }

    /// The times in a valid cookie: `TIME.TIME.TAG`.
    fn verified(&self, value: &[u8]) -> Option<Vec<u64>> {
        let value = std::str::from_utf8(value)
            .ok()
            .filter(|value| value.len() <= LONGEST_VALUE)?;
        let (times, tag) = value.rsplit_once('.')?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.key, times.as_bytes(), &tag).ok()?;
        times.split('.').map(|time| time.parse().ok()).collect()
    }

    fn cookie(&self, times: &[u64], is_https: bool) -> HeaderValue {
        let times: Vec<_> = times.iter().map(u64::to_string).collect();
        let times = times.join(".");
        let tag = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, times.as_bytes()));
        let secure = if is_https { "; Secure" } else { "" };
        let cookie = format!(
            "{NAME}={times}.{tag}; Path=/; Max-Age={WINDOW_SECS}; HttpOnly; SameSite=Lax{secure}"
        );
        HeaderValue::try_from(cookie).expect("digits and base64 are visible ASCII")
    }
}

impl fmt::Debug for LoopBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopBreaker").finish_non_exhaustive()
    }
}

/// The most redirects of a browser within [`WINDOW_SECS`].
const MOST_REDIRECTS: usize = 3;

/// How long a redirect is counted. Users do not sign in three times in so short a time.
const WINDOW_SECS: u64 = 10;

const NAME: &str = "sessiongate-redirects";

/// The label that separates this key from all others derived from the secret.
const LABEL: &[u8] = b"sessiongate redirect loop breaker";

/// The most cookies with this name that are checked per request.
const MOST_COOKIES: usize = 4;

/// The longest cookie value in bytes: three times, a tag and the dots between them take at most 106.
const LONGEST_VALUE: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn browser(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookie).unwrap())])
    }

    /// The name and value of the cookie, as a browser sends them back.
    fn sent_on(attempt: SignInAttempt) -> String {
        let SignInAttempt::Redirect(cookie) = attempt else {
            panic!("looping");
        };
        let cookie = cookie.to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    fn at(millis: u64) -> UnixTime {
        UnixTime::from_millis(1_900_000_000_000 + millis)
    }

    #[test]
    fn fourth_redirect_within_ten_seconds_is_a_loop() {
        let gates = [(); 2].map(|()| LoopBreaker::of_secret(b"secret"));
        let mut cookie = String::from("a=b");
        for (index, time) in [0, 3000, 6000].into_iter().enumerate() {
            let gate = &gates[index % 2];
            cookie = format!(
                "a=b; {}",
                sent_on(gate.attempt(&browser(&cookie), at(time), false))
            );
        }
        let last = |time| gates[0].attempt(&browser(&cookie), at(time), false);
        assert_eq!(last(6001), SignInAttempt::Looping);
        assert_eq!(last(10_000), SignInAttempt::Looping);
        assert!(matches!(last(10_001), SignInAttempt::Redirect(_)));
    }

    #[test]
    fn only_genuine_cookies_are_counted() {
        let gate = LoopBreaker::of_secret(b"secret");
        let time = at(0).millis();
        let forged = LoopBreaker::of_secret(b"another").cookie(&[time; 3], false);
        let forged = forged.to_str().unwrap().split(';').next().unwrap();
        for cookie in [
            forged,
            &format!("{NAME}={time}.{time}.{time}."),
            &format!("{NAME}={time}.{time}.{time}"),
            &format!("{NAME}="),
            &format!("{NAME}={}", "1.".repeat(5000)),
        ] {
            let attempt = gate.attempt(&browser(cookie), at(0), false);
            assert!(matches!(attempt, SignInAttempt::Redirect(_)), "{cookie}");
        }
        let genuine = gate.cookie(&[time; 3], false);
        let genuine = genuine.to_str().unwrap().split(';').next().unwrap();
        let both = browser(&format!("{forged};{genuine}"));
        assert_eq!(gate.attempt(&both, at(0), false), SignInAttempt::Looping);
    }

    #[test]
    fn cookie_is_secure_over_https() {
        let gate = LoopBreaker::of_secret(b"secret");
        let cookie = |is_https| match gate.attempt(&HeaderMap::new(), at(0), is_https) {
            SignInAttempt::Redirect(cookie) => cookie.to_str().unwrap().to_owned(),
            SignInAttempt::Looping => panic!("looping"),
        };
        let attributes = "; Path=/; Max-Age=10; HttpOnly; SameSite=Lax";
        assert!(cookie(false).ends_with(attributes));
        assert!(cookie(true).ends_with(&format!("{attributes}; Secure")));
    }
}
