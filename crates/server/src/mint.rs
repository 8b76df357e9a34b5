//! `sessiongate mint`: makes session cookies as the frameworks write them, for tests and development.

use std::time::Duration;

use serde_json::{Map, Value, json};
use session::{CookieName, CookieNameError, Secret, UnixTime, seal};

/// A session to mint.
#[derive(Debug)]
pub(crate) struct NewSession {
    /// Its format.
    pub(crate) format: MintFormat,
    /// The user's id.
    pub(crate) user: String,
    /// The user's e-mail address.
    pub(crate) email: Option<String>,
    /// The user's name.
    pub(crate) name: Option<String>,
    /// The cookie's name, if it is not the framework's default for plain HTTP; for Better Auth that of the session token.
    pub(crate) cookie_name: Option<CookieName>,
    /// Further claims, or other values for those above; for Better Auth, members of `user`.
    pub(crate) claims: Vec<(String, Value)>,
    /// Seconds from now until it expires; negative for an expired session.
    pub(crate) expires_in: i64,
    /// The version of Better Auth's cookie cache.
    pub(crate) cache_version: String,
    /// The time at which it is minted.
    pub(crate) now: UnixTime,
}

/// The format of a minted session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MintFormat {
    /// Auth.js v5.
    #[value(name = "authjs")]
    AuthJs,
    /// Auth.js v5 as its first releases wrote it: A256GCM, without a key id.
    #[value(name = "authjs-gcm")]
    AuthJsGcm,
    /// An Auth.js or NextAuth app that signs its sessions with an `encode()` of its own: a JWT with HS256.
    #[value(name = "authjs-signed")]
    AuthJsSigned,
    /// Better Auth's session token and its cookie cache, strategy `compact`.
    BetterAuthCompact,
    /// Better Auth's session token and its cookie cache, strategy `jwe`.
    BetterAuthJwe,
    /// Better Auth's session token and its cookie cache, strategy `jwt`.
    BetterAuthJwt,
    /// Only Better Auth's session token, which is valid only if the app's store has a session with it.
    BetterAuthToken,
    /// NextAuth v4.
    #[value(name = "nextauth")]
    NextAuth,
}

impl MintFormat {
    /// Whether it is a format of Better Auth.
    pub(crate) fn is_better_auth(self) -> bool {
        match self {
            Self::AuthJs | Self::AuthJsGcm | Self::AuthJsSigned | Self::NextAuth => false,
            Self::BetterAuthCompact
            | Self::BetterAuthJwe
            | Self::BetterAuthJwt
            | Self::BetterAuthToken => true,
        }
    }

    /// Whether the cookies contain claims, such as the user and the expiry time.
    pub(crate) fn has_claims(self) -> bool {
        self != Self::BetterAuthToken
    }
}

/// The random parts of a session.
#[derive(Debug)]
pub(crate) struct Random {
    /// The initialization vector, of which A256GCM uses the first 12 bytes.
    pub(crate) iv: [u8; 16],
    /// The session's id: claim `jti`, or `session.id` of Better Auth.
    pub(crate) id: String,
    /// The session token of Better Auth, 32 letters and digits.
    pub(crate) token: String,
}

/// Mints the cookies of the session, as names and values.
///
/// # Errors
/// [`CookieNameError`] if no name for the cache can be derived from a Better Auth cookie name.
pub(crate) fn cookies(
    session: &NewSession,
    secret: &Secret,
    random: &Random,
) -> Result<Vec<(String, String)>, CookieNameError> {
    let name = match &session.cookie_name {
        Some(name) => name.clone(),
        None => match session.format {
            MintFormat::AuthJs | MintFormat::AuthJsGcm | MintFormat::AuthJsSigned => {
                "authjs.session-token".parse()?
            }
            MintFormat::NextAuth => "next-auth.session-token".parse()?,
            MintFormat::BetterAuthCompact
            | MintFormat::BetterAuthJwe
            | MintFormat::BetterAuthJwt
            | MintFormat::BetterAuthToken => "better-auth.session_token".parse()?,
        },
    };
    let [gcm_iv @ .., _, _, _, _] = random.iv;
    let (token, limit) = match session.format {
        MintFormat::AuthJs => (
            seal::authjs(secret, &name, &session.claims(random), random.iv),
            seal::AUTHJS_CHUNK_LEN,
        ),
        MintFormat::AuthJsGcm => (
            seal::authjs_gcm(secret, &name, &session.claims(random), gcm_iv),
            seal::AUTHJS_CHUNK_LEN,
        ),
        MintFormat::AuthJsSigned => (
            seal::authjs_signed(secret, &session.claims(random)),
            seal::AUTHJS_CHUNK_LEN,
        ),
        MintFormat::NextAuth => (
            seal::nextauth(secret, &session.claims(random), gcm_iv),
            seal::NEXTAUTH_CHUNK_LEN,
        ),
        MintFormat::BetterAuthCompact
        | MintFormat::BetterAuthJwe
        | MintFormat::BetterAuthJwt
        | MintFormat::BetterAuthToken => return Ok(session.better_auth(secret, &name, random)),
    };
    Ok(seal::chunks(&name, &token, limit))
}

/// The attributes that the frameworks set on a session cookie, as written in `Set-Cookie`.
pub(crate) fn attributes(name: &str, expires_in: i64) -> String {
    let secure = match name.starts_with("__Secure-") || name.starts_with("__Host-") {
        true => "; Secure",
        false => "",
    };
    format!(
        "Path=/; HttpOnly; SameSite=Lax{secure}; Max-Age={}",
        expires_in.max(0)
    )
}

impl NewSession {
    /// When the session expires.
    pub(crate) fn expires_at(&self) -> UnixTime {
        let span = self.expires_in.unsigned_abs();
        match self.expires_in < 0 {
            true => UnixTime::from_secs(self.now.secs().saturating_sub(span)),
            false => self.now.saturating_add(Duration::from_secs(span)),
        }
    }

    /// The claims of Auth.js and NextAuth.
    fn claims(&self, random: &Random) -> Map<String, Value> {
        let mut claims = Map::new();
        for (name, text) in [("name", &self.name), ("email", &self.email)] {
            if let Some(text) = text {
                claims.insert(name.to_owned(), text.as_str().into());
            }
        }
        claims.insert("sub".to_owned(), self.user.as_str().into());
        claims.insert("iat".to_owned(), self.now.secs().into());
        claims.insert("exp".to_owned(), self.expires_at().secs().into());
        claims.insert("jti".to_owned(), random.id.as_str().into());
        claims.extend(self.claims.iter().cloned());
        claims
    }

    fn better_auth(
        &self,
        secret: &Secret,
        name: &CookieName,
        random: &Random,
    ) -> Vec<(String, String)> {
        let token = seal::better_auth_token(secret, &random.token);
        let mut cookies = vec![(name.to_string(), token)];
        let data = match self.format {
            MintFormat::BetterAuthCompact => {
                seal::better_auth_compact(secret, &self.cached(random), self.expires_at())
            }
            MintFormat::BetterAuthJwe => {
                let claims = self.with_times(self.cached(random), random);
                seal::better_auth_jwe(secret, &claims, random.iv)
            }
            MintFormat::BetterAuthJwt => {
                let mut claims = self.with_times(self.cached(random), random);
                claims.remove("jti");
                seal::better_auth_jwt(secret, &claims)
            }
            MintFormat::AuthJs
            | MintFormat::AuthJsGcm
            | MintFormat::AuthJsSigned
            | MintFormat::BetterAuthToken
            | MintFormat::NextAuth => return cookies,
        };
        let cookie = session::SessionCookie::better_auth(name.clone());
        if let Some(data_name) = cookie.data_name() {
            cookies.extend(seal::chunks(data_name, &data, seal::BETTER_AUTH_CHUNK_LEN));
        }
        cookies
    }

    /// The content of Better Auth's cookie cache, in which name and e-mail address must be strings.
    fn cached(&self, random: &Random) -> Map<String, Value> {
        let (now, end) = (iso(self.now), iso(self.expires_at()));
        let session = json!({
            "id": random.id,
            "token": random.token,
            "userId": self.user,
            "expiresAt": end,
            "createdAt": now,
            "updatedAt": now,
            "ipAddress": "",
            "userAgent": "",
        });
        let mut user = Map::from_iter([
            ("id".to_owned(), self.user.as_str().into()),
            (
                "name".to_owned(),
                self.name.as_deref().unwrap_or_default().into(),
            ),
            (
                "email".to_owned(),
                self.email.as_deref().unwrap_or_default().into(),
            ),
            ("emailVerified".to_owned(), true.into()),
            ("image".to_owned(), Value::Null),
            ("createdAt".to_owned(), now.as_str().into()),
            ("updatedAt".to_owned(), now.as_str().into()),
        ]);
        user.extend(self.claims.iter().cloned());
        Map::from_iter([
            ("session".to_owned(), session),
            ("user".to_owned(), user.into()),
            ("updatedAt".to_owned(), self.now.millis().into()),
            ("version".to_owned(), self.cache_version.as_str().into()),
        ])
    }

    fn with_times(&self, mut cached: Map<String, Value>, random: &Random) -> Map<String, Value> {
        cached.insert("iat".to_owned(), self.now.secs().into());
        cached.insert("exp".to_owned(), self.expires_at().secs().into());
        cached.insert("jti".to_owned(), random.id.as_str().into());
        cached
    }
}

/// A time as `JSON.stringify` writes a date, at most the end of the year 9999.
fn iso(time: UnixTime) -> String {
    let millis = i64::try_from(time.millis()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_milliseconds() {
        assert_eq!(iso(UnixTime::from_millis(5)), "1970-01-01T00:00:00.005Z");
        assert_eq!(
            iso(UnixTime::from_secs(u64::MAX)),
            "9999-12-30T22:00:00.999Z"
        );
    }
}
