//! The cookies that are recognized as sessions: their names, and the kinds of their values.

mod name;

pub use self::name::{CookieName, CookieNameError};

/// One cookie that is recognized as a session: its name, and what its value is expected to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionCookie {
    name: CookieName,
    pub(crate) kind: CookieKind,
}

/// What the value of a session cookie is expected to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CookieKind {
    /// The token of a session in the application's store, as the database strategy of Auth.js writes it.
    AuthJsDatabase,
    /// A signed session of an application with an `encode()` of its own.
    AuthJsSigned,
    /// Better Auth's signed token, with the cookie cache beside it.
    BetterAuth(BetterAuth),
    /// An encrypted session. With `or_opaque` the value may also be one of [`CookieKind::AuthJsDatabase`].
    Encrypted {
        library: Library,
        salt: Box<str>,
        or_opaque: bool,
    },
}

/// The library that encrypts the session, which decides how keys are derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Library {
    AuthJs,
    NextAuth,
}

/// What is specific to a Better Auth cookie.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BetterAuth {
    /// The name of the cookie that holds the cached session.
    pub(crate) data_name: CookieName,
    /// The demands on that cookie; `None` ignores it, so that every session is looked up.
    pub(crate) cache: Option<CookieCache>,
}

/// The demands on Better Auth's cookie cache (`session.cookieCache` in its options). A cache that does not meet them is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CookieCache {
    /// The only strategy to accept; `None` accepts all three, which differ in shape. All are bound to the secret.
    pub strategy: Option<CacheStrategy>,
    /// The version that the cached session must have. Better Auth writes `1` unless the application configures another.
    pub version: Box<str>,
}

impl Default for CookieCache {
    /// Any strategy, version `1`.
    fn default() -> Self {
        Self {
            strategy: None,
            version: "1".into(),
        }
    }
}

/// How Better Auth protects the cached session (`session.cookieCache.strategy` in its options).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheStrategy {
    /// JSON with an HMAC over it, the default.
    Compact,
    /// An encrypted token, the default of applications without a database.
    Jwe,
    /// A token signed with HS256.
    Jwt,
}

impl SessionCookie {
    /// A cookie that Auth.js v5 writes. The salt is the cookie's name, prefix included
    /// (`@auth/core` `src/lib/actions/session.ts`), so a token works only under the name that it was minted for.
    #[must_use]
    pub fn authjs(name: CookieName) -> Self {
        let salt = name.0.clone();
        Self::encrypted(name, Library::AuthJs, salt)
    }

    /// A cookie of Auth.js v5 or NextAuth v4 whose value only names a session in the application's database
    /// (`session.strategy: "database"`, the default of applications with an adapter).
    #[must_use]
    pub fn authjs_database(name: CookieName) -> Self {
        Self {
            name,
            kind: CookieKind::AuthJsDatabase,
        }
    }

    /// A cookie of Auth.js v5 or NextAuth v4 whose value the application signs instead of encrypting it, with an `encode()`
    /// of its own: a JWT (RFC 7519) by HS256, HS384 or HS512, with the secret itself as the key.
    #[must_use]
    pub fn authjs_signed(name: CookieName) -> Self {
        Self {
            name,
            kind: CookieKind::AuthJsSigned,
        }
    }

    /// The cookie `session_token` of Better Auth under its full name. The name of `session_data`, the cookie cache beside it,
    /// follows: it differs only in the last part. Caches are accepted as [`CookieCache::default`] demands.
    #[must_use]
    pub fn better_auth(name: CookieName) -> Self {
        let data_name = better_auth_data_name(&name);
        let cache = Some(CookieCache::default());
        Self {
            name,
            kind: CookieKind::BetterAuth(BetterAuth { data_name, cache }),
        }
    }

    /// A cookie that NextAuth v4 writes. The salt of session cookies is empty (`next-auth` 4 `src/jwt/index.ts`).
    #[must_use]
    pub fn nextauth(name: CookieName) -> Self {
        Self::encrypted(name, Library::NextAuth, "".into())
    }

    fn encrypted(name: CookieName, library: Library, salt: Box<str>) -> Self {
        let kind = CookieKind::Encrypted {
            library,
            salt,
            or_opaque: false,
        };
        Self { name, kind }
    }

    /// Sets the salt, for applications that pass their own to `encode()`. Has no effect on a cookie that uses no salt.
    /// [`KeyRing::new`](crate::KeyRing::new) refuses a salt that is too long.
    #[must_use]
    pub fn with_salt(mut self, own: &str) -> Self {
        if let CookieKind::Encrypted { salt, .. } = &mut self.kind {
            *salt = own.into();
        }
        self
    }

    /// Also accepts a value that [`SessionCookie::authjs_database`] expects: both strategies of Auth.js use the same cookie
    /// name, and their values cannot be mistaken for one another. Has an effect on encrypted cookies only.
    #[must_use]
    pub fn or_opaque(mut self) -> Self {
        if let CookieKind::Encrypted { or_opaque, .. } = &mut self.kind {
            *or_opaque = true;
        }
        self
    }

    /// Sets which cookie caches of Better Auth are accepted; with `None` every session is looked up. Has no effect on other
    /// cookies.
    #[must_use]
    pub fn with_cache(mut self, own: Option<CookieCache>) -> Self {
        if let CookieKind::BetterAuth(better_auth) = &mut self.kind {
            better_auth.cache = own;
        }
        self
    }

    /// Sets the name of Better Auth's cache cookie, for applications that name it themselves
    /// (`advanced.cookies.session_data.name`). Has no effect on other cookies.
    #[must_use]
    pub fn with_data_name(mut self, own: CookieName) -> Self {
        if let CookieKind::BetterAuth(better_auth) = &mut self.kind {
            better_auth.data_name = own;
        }
        self
    }

    /// The four cookies that Auth.js v5 and NextAuth v4 write by default, in order of preference: Auth.js v5 before
    /// NextAuth v4, and `__Secure-` before the plain name, which a page on plain HTTP could have set.
    #[must_use]
    pub fn defaults() -> [Self; 4] {
        [
            Self::authjs(known("__Secure-authjs.session-token")),
            Self::authjs(known("authjs.session-token")),
            Self::nextauth(known("__Secure-next-auth.session-token")),
            Self::nextauth(known("next-auth.session-token")),
        ]
    }

    /// The two cookies that Better Auth writes by default, in order of preference. `prefix` is its `cookiePrefix`, `better-auth`
    /// unless the application configures another.
    ///
    /// # Errors
    /// [`CookieNameError`] when the prefix does not make a valid cookie name.
    pub fn better_auth_defaults(prefix: &str) -> Result<[Self; 2], CookieNameError> {
        let plain: CookieName = format!("{prefix}.{SESSION_TOKEN}").parse()?;
        let secure = format!("{SECURE}{plain}").parse()?;
        Ok([secure, plain].map(Self::better_auth))
    }

    /// The cookie's name, without a chunk suffix. For Better Auth it is the name of the `session_token` cookie.
    #[must_use]
    pub fn name(&self) -> &CookieName {
        &self.name
    }

    /// The name of the cookie in which Better Auth caches the session, without a chunk suffix; `None` for other libraries.
    #[must_use]
    pub fn data_name(&self) -> Option<&CookieName> {
        match &self.kind {
            CookieKind::BetterAuth(better_auth) => Some(&better_auth.data_name),
            CookieKind::AuthJsDatabase
            | CookieKind::AuthJsSigned
            | CookieKind::Encrypted { .. } => None,
        }
    }

    pub(crate) fn is_better_auth(&self) -> bool {
        matches!(self.kind, CookieKind::BetterAuth(_))
    }

    /// The expected kind of value, under a stable name: `authjs-v5`, `nextauth-v4`, either of them followed by
    /// ` or authjs-database`, `authjs-database`, `authjs-signed`, or `better-auth`.
    #[must_use]
    pub const fn expects(&self) -> &'static str {
        match &self.kind {
            CookieKind::AuthJsDatabase => "authjs-database",
            CookieKind::AuthJsSigned => "authjs-signed",
            CookieKind::BetterAuth(_) => "better-auth",
            CookieKind::Encrypted {
                library, or_opaque, ..
            } => match (library, or_opaque) {
                (Library::AuthJs, false) => "authjs-v5",
                (Library::AuthJs, true) => "authjs-v5 or authjs-database",
                (Library::NextAuth, false) => "nextauth-v4",
                (Library::NextAuth, true) => "nextauth-v4 or authjs-database",
            },
        }
    }
}

/// The name of the cache cookie: `session_data` in place of `session_token`. An application that renames `session_token`
/// (`advanced.cookies.session_token.name`) keeps the default name of `session_data`, with the same prefix
/// (Better Auth `dist/cookies/index.mjs`).
fn better_auth_data_name(name: &CookieName) -> CookieName {
    let name = name.as_str();
    let own = match name.strip_suffix(SESSION_TOKEN) {
        Some(rest) => format!("{rest}{SESSION_DATA}"),
        None if name.starts_with(SECURE) => format!("{SECURE}better-auth.{SESSION_DATA}"),
        None => format!("better-auth.{SESSION_DATA}"),
    };
    CookieName(own.into())
}

fn known(name: &str) -> CookieName {
    CookieName(name.into())
}

/// The prefix that browsers accept only from secure origins (RFC 6265bis section 4.1.3).
const SECURE: &str = "__Secure-";

const SESSION_DATA: &str = "session_data";
const SESSION_TOKEN: &str = "session_token";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_name_is_a_bounded_token() {
        assert_eq!(
            "__Host-a.b"
                .parse::<CookieName>()
                .map(|name| name.to_string()),
            Ok("__Host-a.b".to_owned())
        );
        assert_eq!("".parse::<CookieName>(), Err(CookieNameError::Empty));
        assert_eq!(
            "a b".parse::<CookieName>(),
            Err(CookieNameError::NotAToken { at: 1 })
        );
        assert_eq!(
            "a=".parse::<CookieName>(),
            Err(CookieNameError::NotAToken { at: 1 })
        );
        assert_eq!(
            "é".parse::<CookieName>(),
            Err(CookieNameError::NotAToken { at: 0 })
        );
        assert!("x".repeat(989).parse::<CookieName>().is_ok());
        assert_eq!(
            "x".repeat(990).parse::<CookieName>(),
            Err(CookieNameError::TooLong { len: 990 })
        );
    }

    #[test]
    fn default_names_are_valid_names() {
        let better_auth = SessionCookie::better_auth_defaults("better-auth").expect("a prefix");
        for cookie in SessionCookie::defaults().iter().chain(&better_auth) {
            assert_eq!(cookie.name().as_str().parse(), Ok(cookie.name().clone()));
        }
    }

    #[test]
    fn the_name_of_the_cookie_cache_follows_from_that_of_the_token() {
        for (token, data) in [
            ("better-auth.session_token", "better-auth.session_data"),
            (
                "__Secure-my-app.session_token",
                "__Secure-my-app.session_data",
            ),
            ("session_token", "session_data"),
            ("sid", "better-auth.session_data"),
            ("__Secure-sid", "__Secure-better-auth.session_data"),
        ] {
            let cookie = SessionCookie::better_auth(token.parse().expect("a name"));
            assert_eq!(cookie.data_name().map(CookieName::as_str), Some(data));
        }
    }
}
