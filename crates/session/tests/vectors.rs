//! Walks `data/sessions.json`: sessions that the real libraries wrote, and changed copies of them, each with the
//! verdict a gate must reach.

use serde::Deserialize;
use serde_json::{Map, Value};
use session::{
    ClaimDemands, KeyRing, OpenError, SealedSession, Secret, Session, SessionCookie, UnixTime,
};

#[test]
fn every_vector_comes_out_as_it_says() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("data/sessions.json"))
        .expect("the file is as described below");
    let mut run = Counts::default();
    let mut failures = Vec::new();
    for vector in &vectors {
        let count = match vector.format {
            VectorFormat::AuthjsV5 => &mut run.authjs_v5,
            VectorFormat::AuthjsV5A256gcm => &mut run.authjs_v5_a256gcm,
            VectorFormat::NextauthV4 => &mut run.nextauth_v4,
            // Not yet.
            VectorFormat::BetterAuthCompact
            | VectorFormat::BetterAuthJwe
            | VectorFormat::BetterAuthJwt
            | VectorFormat::BetterAuthSignedToken => {
                run.not_yet += 1;
                continue;
            }
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
        nextauth_v4: 131,
        not_yet: 190,
    };
    assert_eq!(run, all);
}

#[derive(Debug, Default, PartialEq)]
struct Counts {
    authjs_v5: usize,
    authjs_v5_a256gcm: usize,
    nextauth_v4: usize,
    not_yet: usize,
}

/// One entry of the file. Fields that only describe the vector are read too, so that no field goes unnoticed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "some fields are for the reader of the file")]
struct Vector {
    name: String,
    format: VectorFormat,
    /// The current one first.
    secrets: Vec<String>,
    /// `None` where the format derives no key by salt.
    salt: Option<String>,
    cookie_name: String,
    /// The exact value of the `Cookie` header.
    cookie_header: String,
    /// The exact value of the `Authorization` header.
    authorization: Option<String>,
    /// Seconds since the epoch.
    now: u64,
    expect: Expect,
    /// Why, in the words of whoever made the vector; several checks may fire first.
    reason: Option<String>,
    /// Whether every correct gate agrees (`must`) or a reasonable one may differ (`policy`). This one never does.
    strictness: Strictness,
    /// The exact claims of a valid session.
    claims: Option<Map<String, Value>>,
    reference: String,
    reference_behaviour: String,
    gate_vs_reference: String,
    note: Option<String>,
    // Better Auth only.
    cache_version: Option<String>,
    cookie_prefix: Option<String>,
    reference_issuer_version: Option<String>,
    reference_middleware: Option<String>,
    secure: Option<bool>,
    token_cookie_name: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
enum VectorFormat {
    #[serde(rename = "authjs-v5")]
    AuthjsV5,
    #[serde(rename = "authjs-v5-a256gcm")]
    AuthjsV5A256gcm,
    #[serde(rename = "better-auth-compact")]
    BetterAuthCompact,
    #[serde(rename = "better-auth-jwe")]
    BetterAuthJwe,
    #[serde(rename = "better-auth-jwt")]
    BetterAuthJwt,
    #[serde(rename = "better-auth-signed-token")]
    BetterAuthSignedToken,
    #[serde(rename = "nextauth-v4")]
    NextauthV4,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Invalid,
    Valid,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Strictness {
    Must,
    Policy,
}

impl Vector {
    fn check(&self) -> Result<(), String> {
        let secrets: Vec<_> = self
            .secrets
            .iter()
            .map(|secret| Secret::new(secret.as_str()))
            .collect();
        let name = self
            .cookie_name
            .parse()
            .map_err(|error| format!("cookie name: {error}"))?;
        let cookie = match self.format {
            VectorFormat::AuthjsV5 | VectorFormat::AuthjsV5A256gcm => SessionCookie::authjs(name),
            VectorFormat::NextauthV4 => SessionCookie::nextauth(name),
            VectorFormat::BetterAuthCompact
            | VectorFormat::BetterAuthJwe
            | VectorFormat::BetterAuthJwt
            | VectorFormat::BetterAuthSignedToken => return Err("not yet".to_owned()),
        };
        let salt = self.salt.as_deref().ok_or("no salt")?;
        let keys = KeyRing::new(&secrets, vec![cookie.with_salt(salt)])
            .map_err(|error| format!("key ring: {error}"))?;

        match (self.expect, self.open(&keys)) {
            (Expect::Valid, Ok(Some(session))) => {
                let claims = session.claims();
                if Some(&claims) != self.claims.as_ref() {
                    return Err(format!("claims differ: {claims:?}"));
                }
                let text = |name: &str| claims.get(name).and_then(Value::as_str);
                let expected = (text("sub"), text("email"), text("name"), text("jti"));
                let found = (
                    Some(session.subject()),
                    session.email(),
                    session.name(),
                    session.id(),
                );
                if found != expected {
                    return Err(format!("identity differs: {found:?}"));
                }
                Ok(())
            }
            (Expect::Invalid, Ok(None) | Err(_)) => Ok(()),
            (Expect::Valid, Ok(None)) => Err("no session found".to_owned()),
            (Expect::Valid, Err(error)) => Err(format!("refused: {error}")),
            (Expect::Invalid, Ok(Some(_))) => Err(format!("accepted, despite {:?}", self.reason)),
        }
    }

    fn open(&self, keys: &KeyRing) -> Result<Option<Session>, OpenError> {
        let cookies = [self.cookie_header.as_bytes()];
        let authorization = self.authorization.as_deref().map(str::as_bytes);
        let Some(sealed) = SealedSession::find(keys, cookies, authorization)? else {
            return Ok(None);
        };
        sealed
            .open(
                keys,
                &ClaimDemands::default(),
                UnixTime::from_secs(self.now),
            )
            .map(Some)
    }
}
