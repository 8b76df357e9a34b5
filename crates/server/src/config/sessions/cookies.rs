//! Reads which cookies hold sessions.

use session::{CacheStrategy, CookieCache, CookieName, SessionCookie};

use super::super::reader::Reader;
use super::SessionFormat;

/// The cookies that hold sessions, and their formats.
#[derive(Clone, Debug)]
pub(crate) struct RecognizedCookies {
    /// The format; a fixed cookie name may have determined it.
    pub(crate) format: SessionFormat,
    /// The fixed name of the session cookie, if there is one; for Better Auth that of the session token.
    pub(crate) cookie_name: Option<CookieName>,
    /// The salt for Auth.js, if the app has its own.
    pub(crate) salt: Option<String>,
    /// The requirements on Better Auth's cookie cache; `None` if it is not trusted.
    pub(crate) cache: Option<CookieCache>,
    /// The cookies of Auth.js and NextAuth, the preferred one first.
    pub(crate) authjs: Vec<SessionCookie>,
    /// The cookies of Better Auth, the preferred one first.
    pub(crate) better_auth: Vec<SessionCookie>,
}

impl RecognizedCookies {
    /// Reads which cookies are recognized. `or_opaque` says that a cookie of Auth.js may also contain the token of a session
    /// in a database.
    pub(in crate::config) fn read(
        reader: &mut Reader<'_>,
        format: SessionFormat,
        or_opaque: bool,
    ) -> Self {
        let salt = reader.text("JWT_SALT");
        let salt_may_name = format != SessionFormat::BetterAuth;
        let name = cookie_name(reader, salt.as_deref().filter(|_| salt_may_name));
        let format = match (format, &name) {
            (SessionFormat::Auto, Some(name)) => SessionFormat::of_cookie(name),
            (format, _) => format,
        };
        if format != SessionFormat::AuthJs && (!salt_may_name || reader.is_set(COOKIE_NAME)) {
            let why = "it is the salt of encrypted sessions of Auth.js v5, and does not name a cookie here";
            reader.warn_about_unused("JWT_SALT", why);
        }
        let authjs = authjs_cookies(format, name.as_ref(), salt.as_deref(), or_opaque);
        let (better_auth, cache) = better_auth_cookies(reader, format, name.as_ref());
        Self {
            format,
            cookie_name: name,
            salt,
            cache,
            authjs,
            better_auth,
        }
    }

    /// Sets the salt that the app passes to `encode()`.
    #[must_use]
    pub(crate) fn with_salt(mut self, salt: &str) -> Self {
        let salted = |cookie: SessionCookie| cookie.with_salt(salt);
        self.authjs = self.authjs.into_iter().map(salted).collect();
        self.salt = Some(salt.to_owned());
        self
    }
}

/// The fixed name of the session cookie: `AUTH_COOKIE_NAME`, or else the salt of Auth.js.
fn cookie_name(reader: &mut Reader<'_>, salt: Option<&str>) -> Option<CookieName> {
    let name = reader.read(COOKIE_NAME, |name| CookieName::try_from(name));
    name.or_else(|| {
        CookieName::try_from(salt?)
            .map_err(|error| {
                reader.problem("JWT_SALT", format!("it is not a cookie name: {error}"));
            })
            .ok()
    })
}

/// The recognized cookies of Auth.js and NextAuth: all default names, or the fixed one.
fn authjs_cookies(
    format: SessionFormat,
    name: Option<&CookieName>,
    salt: Option<&str>,
    or_opaque: bool,
) -> Vec<SessionCookie> {
    let [authjs @ .., _, _] = SessionCookie::defaults();
    let [_, _, nextauth @ ..] = SessionCookie::defaults();
    let named =
        |cookie: fn(CookieName) -> SessionCookie| name.map(|name| vec![cookie(name.clone())]);
    let every = |cookie: fn(CookieName) -> SessionCookie| {
        let names = SessionCookie::defaults().map(|cookie| cookie.name().clone());
        names.map(cookie).into()
    };
    let cookies = match format {
        SessionFormat::Auto => SessionCookie::defaults().into(),
        SessionFormat::AuthJs => named(SessionCookie::authjs).unwrap_or(authjs.into()),
        SessionFormat::AuthJsDatabase => named(SessionCookie::authjs_database)
            .unwrap_or_else(|| every(SessionCookie::authjs_database)),
        SessionFormat::AuthJsSigned => named(SessionCookie::authjs_signed)
            .unwrap_or_else(|| every(SessionCookie::authjs_signed)),
        SessionFormat::BetterAuth => Vec::new(),
        SessionFormat::NextAuth => named(SessionCookie::nextauth).unwrap_or(nextauth.into()),
    };
    let own_salt = salt.filter(|_| format == SessionFormat::AuthJs);
    let adjusted = cookies.into_iter().map(|cookie| {
        let cookie = match own_salt {
            Some(salt) => cookie.with_salt(salt),
            None => cookie,
        };
        if or_opaque {
            cookie.or_opaque()
        } else {
            cookie
        }
    });
    adjusted.collect()
}

/// The recognized cookies of Better Auth, and the requirements on the cookie cache.
fn better_auth_cookies(
    reader: &mut Reader<'_>,
    format: SessionFormat,
    name: Option<&CookieName>,
) -> (Vec<SessionCookie>, Option<CookieCache>) {
    let prefix = reader.parsed(COOKIE_PREFIX, "better-auth".to_owned(), "a prefix");
    let data_name = reader.read("BETTER_AUTH_DATA_COOKIE_NAME", |name| {
        CookieName::try_from(name)
    });
    let strategies = [
        ("any", None),
        ("compact", Some(CacheStrategy::Compact)),
        ("jwe", Some(CacheStrategy::Jwe)),
        ("jwt", Some(CacheStrategy::Jwt)),
    ];
    let strategy = reader.choice("BETTER_AUTH_CACHE_STRATEGY", None, &strategies);
    let version = reader.parsed("BETTER_AUTH_CACHE_VERSION", "1".to_owned(), "a version");
    let trusted = reader.switch("TRUST_COOKIE_CACHE", true);
    let cache = trusted.then(|| CookieCache {
        strategy,
        version: version.into(),
    });
    if !matches!(format, SessionFormat::Auto | SessionFormat::BetterAuth) {
        return (Vec::new(), cache);
    }
    if name.is_some() {
        reader.warn_about_unused(
            COOKIE_PREFIX,
            "AUTH_COOKIE_NAME or JWT_SALT sets the cookie's name",
        );
    }
    if !trusted {
        for name in ["BETTER_AUTH_CACHE_STRATEGY", "BETTER_AUTH_CACHE_VERSION"] {
            reader.warn_about_unused(
                name,
                "TRUST_COOKIE_CACHE is off, so the cookie cache is ignored",
            );
        }
    }
    let cookies = match name {
        Some(name) => vec![SessionCookie::better_auth(name.clone())],
        None => match SessionCookie::better_auth_defaults(&prefix) {
            Ok(cookies) => cookies.into(),
            Err(error) => {
                reader.problem(COOKIE_PREFIX, error.to_string());
                return (Vec::new(), cache);
            }
        },
    };
    let adjusted = cookies.into_iter().map(|cookie| {
        let own = match (&data_name, name) {
            (None, _) => None,
            (Some(exact), Some(_)) => Some(exact.clone()),
            (Some(data_name), None) => Some(data_cookie_name(data_name, cookie.name())),
        };
        let cookie = cookie.with_cache(cache.clone());
        match own {
            Some(own) => cookie.with_data_name(own),
            None => cookie,
        }
    });
    (adjusted.collect(), cache)
}

/// The name of the cookie cache that belongs to the token in the cookie `token`. Better Auth puts `__Secure-` before both names
/// or before neither, even if the app chose the name (1.7.25, `dist/cookies/index.mjs` `createCookie`).
fn data_cookie_name(data_name: &CookieName, token: &CookieName) -> CookieName {
    let bare = data_name.as_str();
    let bare = bare.strip_prefix(SECURE).unwrap_or(bare);
    let own = match token.as_str().starts_with(SECURE) {
        true => CookieName::try_from(format!("{SECURE}{bare}").as_str()),
        false => CookieName::try_from(bare),
    };
    own.unwrap_or_else(|_| data_name.clone())
}

pub(super) const COOKIE_NAME: &str = "AUTH_COOKIE_NAME";

const COOKIE_PREFIX: &str = "BETTER_AUTH_COOKIE_PREFIX";

/// The prefix of cookie names over HTTPS.
const SECURE: &str = "__Secure-";
