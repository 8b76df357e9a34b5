//! Checks the vectors of `data/sessions.json`: sessions that the real libraries wrote, and changed copies of them, each with the
//! verdict that a gate must reach.

#[path = "common/vector.rs"]
mod vector;

use serde_json::{Map, Value};
use session::{
    CacheStrategy, ClaimDemands, CookieCache, CookieName, Format, KeyRing, OpenError, Opened,
    SealedSession, Secret, SessionCookie, UnixTime,
};

use vector::{Expect, Vector, VectorFormat};

#[test]
fn every_vector_has_its_expected_outcome() {
    let vectors = vector::all();
    let mut run = Counts::default();
    let mut failures = Vec::new();
    for vector in &vectors {
        let count = match vector.format {
            VectorFormat::AuthjsV5 => &mut run.authjs_v5,
            VectorFormat::AuthjsV5A256gcm => &mut run.authjs_v5_a256gcm,
            VectorFormat::BetterAuthCompact => &mut run.better_auth_compact,
            VectorFormat::BetterAuthJwe => &mut run.better_auth_jwe,
            VectorFormat::BetterAuthJwt => &mut run.better_auth_jwt,
            VectorFormat::BetterAuthSignedToken => &mut run.better_auth_signed_token,
            VectorFormat::NextauthV4 => &mut run.nextauth_v4,
        };
        *count += 1;
        if let Err(problem) = vector.check() {
            failures.push(format!("{}: {problem}", vector.name));
        }
    }
    assert!(
        failures.is_empty(),
        "{} vectors fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
    let all = Counts {
        authjs_v5: 199,
        authjs_v5_a256gcm: 26,
        better_auth_compact: 60,
        better_auth_jwe: 50,
        better_auth_jwt: 51,
        better_auth_signed_token: 29,
        nextauth_v4: 131,
    };
    assert_eq!(run, all);
}

/// Checks that this crate opens no vector that the vector's own library refuses, except those in [`LOOSER`].
#[test]
fn every_session_that_opens_also_opens_in_the_real_library() {
    let vectors = vector::all();
    let mut looser = Vec::new();
    for vector in &vectors {
        for cookie in vector.cookies() {
            let verdict = vector.open_as(cookie).expect("a vector that makes sense");
            let Ok(Some(verdict)) = verdict else { continue };
            if vector.reference_behaviour != "accepts" && !looser.contains(&&*vector.name) {
                looser.push(&*vector.name);
            }
            if let Some(claims) = &vector.claims {
                assert_eq!(&verdict.claims, claims, "{}", vector.name);
            }
        }
    }
    looser.sort_unstable();
    assert_eq!(looser, LOOSER);
}

/// The vectors that open although the library refuses them. The scheme of a Bearer value may be in any case, as in RFC 9110. An
/// unrelated cookie with a similar name is ignored. A date may have another form than JavaScript writes. When no strategy is
/// configured, a cache of any strategy is valid.
const LOOSER: [&str; 8] = [
    "public/authjs-v5/bearer-lowercase-scheme",
    "public/authjs-v5/prefix-collision",
    "public/better-auth-compact/iso-date-without-ms",
    "public/better-auth-compact/other-strategy",
    "public/better-auth-jwe/other-strategy",
    "public/better-auth-jwt/other-strategy",
    "public/nextauth-v4/bearer-lowercase-scheme",
    "public/nextauth-v4/prefix-collision",
];

#[derive(Debug, Default, PartialEq)]
struct Counts {
    authjs_v5: usize,
    authjs_v5_a256gcm: usize,
    better_auth_compact: usize,
    better_auth_jwe: usize,
    better_auth_jwt: usize,
    better_auth_signed_token: usize,
    nextauth_v4: usize,
}

/// The session in a request.
#[derive(Debug)]
struct Verdict {
    format: Format,
    claims: Map<String, Value>,
}

impl Vector {
    fn check(&self) -> Result<(), String> {
        match (self.expect, self.open()?) {
            (Expect::Valid, Ok(Some(verdict))) => {
                let format = match self.format {
                    VectorFormat::AuthjsV5 | VectorFormat::AuthjsV5A256gcm => Format::AuthJs,
                    VectorFormat::BetterAuthCompact => Format::BetterAuthCompact,
                    VectorFormat::BetterAuthJwe => Format::BetterAuthJwe,
                    VectorFormat::BetterAuthJwt => Format::BetterAuthJwt,
                    VectorFormat::BetterAuthSignedToken => Format::BetterAuthToken,
                    VectorFormat::NextauthV4 => Format::NextAuth,
                };
                if verdict.format != format || Some(&verdict.claims) != self.claims.as_ref() {
                    return Err(format!("it came out as {verdict:?}"));
                }
                Ok(())
            }
            (Expect::Invalid, Ok(None) | Err(_)) => Ok(()),
            (Expect::Valid, Ok(None)) => Err("no session found".to_owned()),
            (Expect::Valid, Err(error)) => Err(format!("refused: {error}")),
            (Expect::Invalid, Ok(Some(_))) => Err(format!("accepted, despite {:?}", self.reason)),
        }
    }

    /// Opens the session in the request. The outer error means that the vector makes no sense.
    fn open(&self) -> Result<Result<Option<Verdict>, OpenError>, String> {
        self.open_as(self.cookie()?)
    }

    /// The session cookie, in every way in which an operator could reasonably have configured it: expecting only the vector's own
    /// format, or other formats too.
    fn cookies(&self) -> Vec<SessionCookie> {
        let cookie = self.cookie().expect("a vector that makes sense");
        let any_strategy = CookieCache {
            strategy: None,
            version: self.cache_version.as_deref().unwrap_or("1").into(),
        };
        let wider = match self.format {
            VectorFormat::BetterAuthSignedToken => return vec![cookie],
            VectorFormat::AuthjsV5 | VectorFormat::AuthjsV5A256gcm | VectorFormat::NextauthV4 => {
                cookie.clone().or_opaque()
            }
            VectorFormat::BetterAuthCompact
            | VectorFormat::BetterAuthJwe
            | VectorFormat::BetterAuthJwt => cookie.clone().with_cache(Some(any_strategy)),
        };
        vec![cookie, wider]
    }

    fn open_as(&self, cookie: SessionCookie) -> Result<Result<Option<Verdict>, OpenError>, String> {
        let secrets: Vec<_> = self
            .secrets
            .iter()
            .map(|secret| Secret::new(secret.as_str()))
            .collect();
        let keys =
            KeyRing::new(&secrets, vec![cookie]).map_err(|error| format!("key ring: {error}"))?;
        let cookies = [self.cookie_header.as_bytes()];
        let authorization = self.authorization.as_deref().map(str::as_bytes);
        let now = UnixTime::from_secs(self.now);
        let opened = SealedSession::find(&keys, cookies, authorization).and_then(|sealed| {
            sealed
                .map(|sealed| sealed.open(&keys, &ClaimDemands::default(), now))
                .transpose()
        });
        match opened {
            Ok(Some(Opened::Session(session))) => {
                self.check_identity(&session)?;
                let (format, claims) = (session.format(), session.claims());
                Ok(Ok(Some(Verdict { format, claims })))
            }
            // A vector of a cache expects the cache to be valid or not; one of the token expects a token to look up.
            Ok(Some(Opened::Lookup { token, cache })) => match (self.format, cache) {
                (VectorFormat::BetterAuthSignedToken, _) => {
                    let claims = Map::from_iter([("token".to_owned(), token.expose().into())]);
                    let format = token.format();
                    Ok(Ok(Some(Verdict { format, claims })))
                }
                (_, Some(error)) => Ok(Err(error)),
                (_, None) => Ok(Ok(None)),
            },
            Ok(None) => Ok(Ok(None)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// The session cookie, expecting only the vector's own format.
    fn cookie(&self) -> Result<SessionCookie, String> {
        let name = |name: &str| {
            name.parse::<CookieName>()
                .map_err(|error| format!("cookie name: {error}"))
        };
        let own_name = name(&self.cookie_name)?;
        let salted = |cookie: SessionCookie| {
            let salt = self.salt.as_deref().ok_or("no salt")?;
            Ok::<_, String>(cookie.with_salt(salt))
        };
        let strategy = match self.format {
            VectorFormat::AuthjsV5 | VectorFormat::AuthjsV5A256gcm => {
                return salted(SessionCookie::authjs(own_name));
            }
            VectorFormat::BetterAuthCompact => CacheStrategy::Compact,
            VectorFormat::BetterAuthJwe => CacheStrategy::Jwe,
            VectorFormat::BetterAuthJwt => CacheStrategy::Jwt,
            VectorFormat::BetterAuthSignedToken => {
                return Ok(SessionCookie::better_auth(own_name).with_cache(None));
            }
            VectorFormat::NextauthV4 => return salted(SessionCookie::nextauth(own_name)),
        };
        let token_name = self.token_cookie_name.as_deref().ok_or("no token name")?;
        let cookie = SessionCookie::better_auth(name(token_name)?);
        if cookie.data_name() != Some(&own_name) {
            return Err(format!("the name of the cache would be {cookie:?}"));
        }
        let version = self.cache_version.as_deref().unwrap_or("1").into();
        Ok(cookie.with_cache(Some(CookieCache {
            strategy: Some(strategy),
            version,
        })))
    }

    /// Checks that the session's identity is that of its claims.
    fn check_identity(&self, session: &session::Session) -> Result<(), String> {
        let claims = session.claims();
        let text = |path: &str| {
            let pointer = format!("/{path}");
            let value = serde_json::Value::from(claims.clone());
            value
                .pointer(&pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let (subject, email, name) = match claims.contains_key("user") {
            false => ("sub", "email", "name"),
            true => ("user/id", "user/email", "user/name"),
        };
        // A number is read as its decimal text.
        let number = claims.get(subject).and_then(Value::as_i64);
        let id = text(subject).or_else(|| Some(number?.to_string()));
        let expected = (id, text(email), text(name));
        let owned = |text: &str| text.to_owned();
        let found = (
            Some(session.subject().to_owned()),
            session.email().map(owned),
            session.name().map(owned),
        );
        if found != expected {
            return Err(format!("identity differs: {found:?}"));
        }
        let own_id = text("jti").filter(|_| subject == "sub");
        match own_id {
            Some(jti) if jti != session.id() => Err(format!("id differs: {}", session.id())),
            None if session.id().len() != 43 => Err(format!("id is no hash: {}", session.id())),
            Some(_) | None => Ok(()),
        }
    }
}
