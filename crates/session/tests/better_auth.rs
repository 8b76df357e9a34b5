//! Tests Better Auth's signed token, and the cookie cache beside it.

mod common;

use core::time::Duration;

use common::{NOW, PLAIN, secret, token as authjs_token};
use serde_json::{Map, Value, json};
use session::{
    CacheStrategy, ClaimDemands, CookieCache, Format, KeyRing, OpenError, Opened, SealedSession,
    Session, SessionCookie, SessionToken, UnixTime, cookies, seal,
};

const TOKEN: &str = "mWDgQ6D0uEGUhaKnhr3ShAc8oBX5gWti";
const TOKEN_COOKIE: &str = "better-auth.session_token";
const DATA_COOKIE: &str = "better-auth.session_data";

/// The default cookies of Better Auth and of Auth.js.
fn ring() -> KeyRing {
    ring_with(|cookie| cookie)
}

fn ring_with(adjust: fn(SessionCookie) -> SessionCookie) -> KeyRing {
    let better_auth = SessionCookie::better_auth_defaults("better-auth").expect("a prefix");
    let cookies = SessionCookie::defaults().into_iter().chain(better_auth);
    KeyRing::new(&[secret()], cookies.map(adjust).collect()).expect("a ring")
}

/// A cached session, which ends in an hour; its cache ends in five minutes.
fn cached() -> Map<String, Value> {
    let cached = json!({
        "session": {
            "expiresAt": "2030-03-17T18:46:40.000Z",
            "token": TOKEN,
            "createdAt": "2030-03-17T17:45:40.000Z",
            "userId": "user-1",
            "id": "session-1",
        },
        "user": { "name": "Ada", "email": "ada@example.com", "emailVerified": true, "id": "user-1" },
        "updatedAt": NOW.millis(),
        "version": "1",
        "iat": NOW.secs(),
        "exp": NOW.secs() + 300,
        "jti": "j-1",
    });
    cached.as_object().expect("an object").clone()
}

/// The cache in every strategy.
fn caches(cached: &Map<String, Value>) -> [(Format, String); 3] {
    let mut compact = cached.clone();
    compact.retain(|name, _| !["iat", "exp", "jti"].contains(&name.as_str()));
    let end = UnixTime::from_secs(NOW.secs() + 300);
    [
        (
            Format::BetterAuthCompact,
            seal::better_auth_compact(&secret(), &compact, end),
        ),
        (
            Format::BetterAuthJwe,
            seal::better_auth_jwe(&secret(), cached, [5; 16]),
        ),
        (
            Format::BetterAuthJwt,
            seal::better_auth_jwt(&secret(), cached),
        ),
    ]
}

fn header(cache: &str) -> String {
    let token = seal::better_auth_token(&secret(), TOKEN);
    format!("{TOKEN_COOKIE}={token}; {DATA_COOKIE}={cache}")
}

fn open_at(
    keys: &KeyRing,
    header: &str,
    demands: &ClaimDemands,
    now: UnixTime,
) -> Result<Option<Opened>, OpenError> {
    let Some(sealed) = SealedSession::find(keys, [header.as_bytes()], [])? else {
        return Ok(None);
    };
    sealed.open(keys, demands, now).map(Some)
}

fn open(keys: &KeyRing, header: &str) -> Result<Option<Opened>, OpenError> {
    open_at(keys, header, &ClaimDemands::default(), NOW)
}

fn session(keys: &KeyRing, header: &str) -> Session {
    match open(keys, header) {
        Ok(Some(Opened::Session(session))) => session,
        other => panic!("{other:?}"),
    }
}

/// The token to look up, and why the cache was rejected.
fn lookup(opened: Result<Option<Opened>, OpenError>) -> (SessionToken, Option<OpenError>) {
    match opened {
        Ok(Some(Opened::Lookup { token, cache })) => (token, cache),
        other => panic!("{other:?}"),
    }
}

/// Why a cache with these claims is rejected, in each strategy.
fn flaw(cached: &Map<String, Value>) -> Vec<Option<OpenError>> {
    let caches = caches(cached);
    caches
        .iter()
        .map(|(_, cache)| lookup(open(&ring(), &header(cache))).1)
        .collect()
}

#[test]
fn a_valid_cache_is_the_session() {
    for (format, cache) in caches(&cached()) {
        let session = session(&ring(), &header(&cache));
        assert_eq!(session.format(), format);
        assert_eq!(session.subject(), "user-1");
        assert_eq!(
            (session.email(), session.name()),
            (Some("ada@example.com"), Some("Ada"))
        );
        assert_eq!(
            session.issued_at(),
            Some(UnixTime::from_secs(NOW.secs() - 60))
        );
        assert_eq!(session.expires_at(), UnixTime::from_secs(NOW.secs() + 3600));
        assert_eq!(session.claims()["session"]["id"], "session-1");
    }
}

#[test]
fn a_session_has_one_id_with_and_without_its_cache() {
    let token = seal::better_auth_token(&secret(), TOKEN);
    let (token, flaw) = lookup(open(&ring(), &format!("{TOKEN_COOKIE}={token}")));
    assert_eq!(
        (token.expose(), token.format()),
        (TOKEN, Format::BetterAuthToken)
    );
    assert_eq!(flaw, None);
    for (_, cache) in caches(&cached()) {
        assert_eq!(session(&ring(), &header(&cache)).id(), token.id());
    }
    assert!(!format!("{token:?}").contains(TOKEN));
}

#[test]
fn a_token_with_any_character_changed_is_refused() {
    let keys = ring();
    let token = seal::better_auth_token(&secret(), TOKEN);
    for at in 0..token.len() {
        for other in "AQgw-_.=+/~%".chars() {
            let mut changed = token.clone();
            changed.replace_range(at..=at, other.encode_utf8(&mut [0; 4]));
            let opened = open(&keys, &format!("{TOKEN_COOKIE}={changed}"));
            assert!(
                changed == token || opened.is_err(),
                "{at}, {other}: {opened:?}"
            );
        }
    }
}

#[test]
fn a_cache_with_any_character_changed_or_cut_is_refused() {
    let keys = ring();
    let is_session = |cache: &str| {
        let opened = open(&keys, &header(cache));
        matches!(opened, Ok(Some(Opened::Session(_))))
    };
    for (format, cache) in caches(&cached()) {
        for at in 0..cache.len() {
            assert!(!is_session(&cache[..at]), "{format} cut at {at}");
            for other in "AQgw-_.=+/~".chars() {
                let mut changed = cache.clone();
                changed.replace_range(at..=at, other.encode_utf8(&mut [0; 4]));
                assert!(
                    changed == cache || !is_session(&changed),
                    "{format}, {at}, {other}"
                );
            }
        }
    }
}

#[test]
fn a_cache_is_valid_only_with_its_own_token() {
    let other = "x".repeat(32);
    let token = seal::better_auth_token(&secret(), &other);
    for (_, cache) in caches(&cached()) {
        let header = format!("{TOKEN_COOKIE}={token}; {DATA_COOKIE}={cache}");
        let (token, flaw) = lookup(open(&ring(), &header));
        assert_eq!(token.expose(), other);
        assert_eq!(flaw, Some(OpenError::WrongToken));
        let alone = open(&ring(), &format!("{DATA_COOKIE}={cache}"));
        let name = TOKEN_COOKIE.parse().expect("a name");
        assert_eq!(alone.err(), Some(OpenError::MissingToken { name }));
    }
}

#[test]
fn a_cache_without_its_token_does_not_block_another_session() {
    let [(_, cache), ..] = caches(&cached());
    let authjs = authjs_token(PLAIN, "u");
    let header = format!("{DATA_COOKIE}={cache}; {PLAIN}={authjs}");
    assert_eq!(session(&ring(), &header).subject(), "u");
}

#[test]
fn an_untrusted_cache_or_another_strategy_is_ignored() {
    let untrusting = ring_with(|cookie| cookie.with_cache(None));
    let only_jwt = ring_with(|cookie| {
        cookie.with_cache(Some(CookieCache {
            strategy: Some(CacheStrategy::Jwt),
            ..CookieCache::default()
        }))
    });
    for (format, cache) in caches(&cached()) {
        assert_eq!(lookup(open(&untrusting, &header(&cache))).1, None);
        let accepted = matches!(
            open(&only_jwt, &header(&cache)),
            Ok(Some(Opened::Session(_)))
        );
        assert_eq!(accepted, format == Format::BetterAuthJwt);
    }
}

#[test]
fn a_cache_expires_by_itself_and_with_its_session() {
    let end = NOW.secs() + 300;
    let holds = |cached: &Map<String, Value>, format, now: u64| {
        let (_, cache) = caches(cached)
            .into_iter()
            .find(|(other, _)| *other == format)
            .expect("a strategy");
        let now = UnixTime::from_millis(now);
        let opened = open_at(&ring(), &header(&cache), &ClaimDemands::default(), now);
        matches!(opened, Ok(Some(Opened::Session(_))))
    };
    // Caches of two strategies are valid to the last millisecond. For the library that reads the third, the cache has ended at
    // `exp` itself.
    for (format, last) in [
        (Format::BetterAuthCompact, end * 1000),
        (Format::BetterAuthJwe, end * 1000),
        (Format::BetterAuthJwt, end * 1000 - 1),
    ] {
        assert!(holds(&cached(), format, last), "{format}");
        assert!(!holds(&cached(), format, last + 1), "{format}");
        let mut short = cached();
        short["session"]["expiresAt"] = json!("2030-03-17T17:46:41.500Z");
        let session_end = NOW.millis() + 1500;
        assert!(holds(&short, format, session_end), "{format}");
        assert!(!holds(&short, format, session_end + 1), "{format}");
    }
}

#[test]
fn the_two_places_that_name_the_user_must_agree() {
    let mut numbered = cached();
    numbered["session"]["userId"] = json!(42);
    numbered["user"]["id"] = json!("42");
    let [(_, cache), ..] = caches(&numbered);
    assert_eq!(session(&ring(), &header(&cache)).subject(), "42");
    for other in [json!("user-2"), json!(42.5), json!(null), json!(["user-1"])] {
        let mut cached = cached();
        cached["session"]["userId"] = other;
        let malformed = OpenError::MalformedClaim {
            claim: "session.userId",
        };
        assert_eq!(flaw(&cached), vec![Some(malformed); 3]);
    }
}

#[test]
fn the_version_must_match() {
    let mut unversioned = cached();
    unversioned.remove("version");
    assert_eq!(
        session(&ring(), &header(&caches(&unversioned)[0].1)).subject(),
        "user-1"
    );
    let mut newer = cached();
    newer["version"] = json!("2");
    assert_eq!(flaw(&newer), vec![Some(OpenError::WrongCacheVersion); 3]);
}

#[test]
fn a_maximum_age_counts_from_the_beginning_of_the_session() {
    let [(_, cache), ..] = caches(&cached());
    let verdict = |secs| {
        let demands = ClaimDemands {
            max_age: Some(Duration::from_secs(secs)),
            ..ClaimDemands::default()
        };
        open_at(&ring(), &header(&cache), &demands, NOW)
    };
    assert!(matches!(verdict(60), Ok(Some(Opened::Session(_)))));
    let (_, flaw) = lookup(verdict(10));
    assert!(matches!(flaw, Some(OpenError::TooOld { .. })), "{flaw:?}");
}

#[test]
fn a_bearer_value_must_be_signed() {
    let keys = ring();
    let open = |value: &str| {
        let authorization = format!("Bearer {value}");
        let sealed = SealedSession::find(&keys, [], [authorization.as_bytes()])?;
        let sealed = sealed.expect("a bearer value");
        sealed.open(&keys, &ClaimDemands::default(), NOW)
    };
    let (token, _) = lookup(open(&seal::better_auth_token(&secret(), TOKEN)).map(Some));
    assert_eq!(token.expose(), TOKEN);
    assert!(open(TOKEN).is_err());
    assert!(open(&format!("{TOKEN}.{}", "A".repeat(44))).is_err());
}

#[test]
fn both_cookies_can_be_removed_from_a_request() {
    let [(_, cache), ..] = caches(&cached());
    let header = format!("theme=dark; {}; {DATA_COOKIE}.0=x", header(&cache));
    let rest = cookies::without_session(&ring(), header.as_bytes());
    assert_eq!(rest.as_deref(), Some(&b"theme=dark"[..]));
}

#[test]
fn a_cached_session_shows_guests_and_impersonation() {
    let opened = |of_user: Value, of_session: Value| {
        let mut cached = cached();
        for (part, members) in [("user", of_user), ("session", of_session)] {
            let part = cached[part].as_object_mut().expect("an object");
            part.extend(members.as_object().expect("an object").clone());
        }
        let all = caches(&cached).map(|(format, cache)| {
            let session = session(&ring(), &header(&cache));
            assert_eq!(session.format(), format);
            let by = session.impersonated_by().map(str::to_owned);
            (session.email_verified(), session.is_anonymous(), by)
        });
        assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
        all[0].clone()
    };
    assert_eq!(opened(json!({}), json!({})), (Some(true), false, None));
    let guest = json!({"emailVerified": false, "isAnonymous": true});
    assert_eq!(opened(guest, json!({})), (Some(false), true, None));
    // The framework treats only `true` as verified.
    let unknown = json!({"emailVerified": null, "isAnonymous": null});
    let no_admin = json!({"impersonatedBy": null});
    assert_eq!(opened(unknown, no_admin), (Some(false), false, None));
    let acting = json!({"impersonatedBy": "admin-1"});
    assert_eq!(
        opened(json!({"isAnonymous": false}), acting),
        (Some(true), false, Some("admin-1".to_owned()))
    );
}
