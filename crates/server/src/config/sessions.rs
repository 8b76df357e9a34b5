//! Reads secrets, session cookies and the requirements on claims.

use std::str;
use std::time::Duration;

use session::{
    CacheStrategy, ClaimDemands, CookieCache, CookieName, KeyRing, Secret, SessionCookie, Weakness,
};

use super::raw::Reader;

/// The value of `SESSION_FORMAT`: which sessions are recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionFormat {
    /// All of them, distinguished by the cookie's name and the shape of its value.
    Auto,
    /// Encrypted sessions of Auth.js v5.
    AuthJs,
    /// Sessions in the database of an Auth.js or NextAuth app.
    AuthJsDatabase,
    /// Signed sessions of an Auth.js or NextAuth app with an `encode()` of its own.
    AuthJsSigned,
    /// Sessions of Better Auth.
    BetterAuth,
    /// Encrypted sessions of NextAuth v4.
    NextAuth,
}

impl SessionFormat {
    /// Reads `SESSION_FORMAT`.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let formats = [
            ("auto", Self::Auto),
            ("authjs", Self::AuthJs),
            ("authjs-database", Self::AuthJsDatabase),
            ("authjs-signed", Self::AuthJsSigned),
            ("better-auth", Self::BetterAuth),
            ("nextauth", Self::NextAuth),
        ];
        reader.choice("SESSION_FORMAT", Self::Auto, &formats)
    }

    /// The format of a cookie with this name, if nothing else says it.
    fn of_cookie(name: &CookieName) -> Self {
        let of_nextauth = [
            "__Secure-next-auth.session-token",
            "next-auth.session-token",
        ];
        match name.as_str() {
            name if of_nextauth.contains(&name) => Self::NextAuth,
            name if name.ends_with("session_token") => Self::BetterAuth,
            _ => Self::AuthJs,
        }
    }
}

/// Derives the keys of every recognized cookie, or reports why it cannot. `or_opaque` says that a cookie of Auth.js may also
/// contain the token of a session in a database; `optional`, that requests can enter without any cookie.
///
/// The returned format is the one of the keys: `auto` becomes the one that a fixed cookie name implies.
pub(super) fn key_ring(
    reader: &mut Reader<'_>,
    format: SessionFormat,
    or_opaque: bool,
    optional: bool,
    warnings: &mut Vec<String>,
) -> Option<(KeyRing, SessionFormat)> {
    let problems = reader.problems.len();
    let allow_weak = reader.switch(ALLOW_WEAK, false);
    let mut is_weak = false;
    let mut vet = |reader: &mut Reader<'_>, name: &str, secret: Secret| {
        is_weak |= matches!(secret.weakness(), Some(Weakness::TooShort { .. }));
        vet(reader, name, secret, allow_weak, warnings)
    };
    let authjs_secrets = authjs_secrets(reader, &mut vet);
    let better_auth_secrets = better_auth_secrets(reader, &authjs_secrets, &mut vet);

    let recognized = RecognizedCookies::read(reader, format, or_opaque);
    if reader.problems.len() > problems {
        return None;
    }
    if allow_weak && !is_weak {
        reader.idle(ALLOW_WEAK, "no session secret is too short");
    }
    let RecognizedCookies {
        format,
        authjs,
        better_auth,
        ..
    } = recognized;

    // Cookies without a secret cannot be opened, so they are not recognized.
    let keyless = format == SessionFormat::AuthJsDatabase;
    let mut groups = Vec::new();
    if keyless || !authjs_secrets.is_empty() {
        groups.push((&authjs_secrets[..], authjs));
    }
    if !better_auth_secrets.is_empty() {
        groups.push((&better_auth_secrets[..], better_auth));
    }
    if groups.iter().all(|(_, cookies)| cookies.is_empty()) {
        if optional && format == SessionFormat::Auto {
            return Some((KeyRing::without_cookies(), format));
        }
        let name = match format {
            SessionFormat::BetterAuth => "BETTER_AUTH_SECRET",
            SessionFormat::Auto
            | SessionFormat::AuthJs
            | SessionFormat::AuthJsDatabase
            | SessionFormat::AuthJsSigned
            | SessionFormat::NextAuth => "AUTH_SECRET",
        };
        // The environment has no settings for a realm.
        let what = match reader.is_of_table() {
            true => format!(
                "no secret is set; give the secret of this realm's app in this table: `{key} = \"…\"`, or in a file: \
                 `{key}_file = \"/run/secrets/…\"`",
                key = name.to_ascii_lowercase()
            ),
            false => "no secret is set; give the one that your app signs its sessions with, \
                      as AUTH_SECRET, NEXTAUTH_SECRET, BETTER_AUTH_SECRET or JWT_SECRET \
                      (or as a file: AUTH_SECRET_FILE)"
                .to_owned(),
        };
        reader.problem(name, what);
        return None;
    }
    name_idle_secrets(reader, format, authjs_secrets.len());
    KeyRing::of_groups(&groups)
        .map_err(|error| reader.problem(COOKIE_NAME, error.to_string()))
        .map(|ring| (ring, format))
        .ok()
}

/// Warns about secrets of Auth.js that open no session of this format.
fn name_idle_secrets(reader: &mut Reader<'_>, format: SessionFormat, distinct: usize) {
    let has_its_own = ["BETTER_AUTH_SECRETS", "BETTER_AUTH_SECRET"]
        .iter()
        .any(|name| reader.is_set(name));
    let (spared, why) = match format {
        SessionFormat::AuthJsDatabase => (0, "sessions in a database need no secret"),
        SessionFormat::BetterAuth if has_its_own => (
            0,
            "the secret of Better Auth is in BETTER_AUTH_SECRET or BETTER_AUTH_SECRETS",
        ),
        SessionFormat::NextAuth if distinct > 1 => (
            1,
            "NextAuth v4 has only one secret, and another variable takes precedence",
        ),
        SessionFormat::Auto
        | SessionFormat::AuthJs
        | SessionFormat::AuthJsSigned
        | SessionFormat::BetterAuth
        | SessionFormat::NextAuth => return,
    };
    let given = AUTHJS_SECRETS
        .into_iter()
        .filter(|name| reader.is_set(name));
    let idle: Vec<_> = given.skip(spared).collect();
    for name in idle {
        reader.idle(name, why);
    }
}

/// The cookies that hold sessions, and their formats.
#[derive(Clone, Debug)]
pub(crate) struct RecognizedCookies {
    /// The format; a fixed cookie name may have determined it.
    pub(crate) format: SessionFormat,
    /// The fixed name of the session cookie, if there is one; for Better Auth that of the session token.
    pub(crate) cookie_name: Option<CookieName>,
    /// The salt for Auth.js, if the app has its own.
    pub(crate) salt: Option<String>,
    /// What is expected of Better Auth's cookie cache; `None` if it is not trusted.
    pub(crate) cache: Option<CookieCache>,
    /// The cookies of Auth.js and NextAuth, the preferred one first.
    pub(crate) authjs: Vec<SessionCookie>,
    /// The cookies of Better Auth, the preferred one first.
    pub(crate) better_auth: Vec<SessionCookie>,
}

impl RecognizedCookies {
    /// Reads which cookies are recognized. `or_opaque` says that a cookie of Auth.js may also contain the token of a session
    /// in a database.
    pub(super) fn read(reader: &mut Reader<'_>, format: SessionFormat, or_opaque: bool) -> Self {
        let salt = reader.text("JWT_SALT");
        let salt_may_name = format != SessionFormat::BetterAuth;
        let name = cookie_name(reader, salt.as_deref().filter(|_| salt_may_name));
        let format = match (format, &name) {
            (SessionFormat::Auto, Some(name)) => SessionFormat::of_cookie(name),
            (format, _) => format,
        };
        if format != SessionFormat::AuthJs && (!salt_may_name || reader.is_set(COOKIE_NAME)) {
            let why = "it is the salt of encrypted sessions of Auth.js v5, and does not name a cookie here";
            reader.idle("JWT_SALT", why);
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

    /// These cookies with the salt that the app passes to `encode()`.
    #[must_use]
    pub(crate) fn with_salt(mut self, salt: &str) -> Self {
        let salted = |cookie: SessionCookie| cookie.with_salt(salt);
        self.authjs = self.authjs.into_iter().map(salted).collect();
        self.salt = Some(salt.to_owned());
        self
    }
}

/// Reads the operator's requirements on claims, beyond the format's own rules. `subject_claim` has the user's id, if it is
/// not `sub`.
pub(super) fn demands(reader: &mut Reader<'_>, subject_claim: Option<String>) -> ClaimDemands {
    let max_age = reader.parsed("TOKEN_MAX_AGE", 0_u32, "a whole number of seconds");
    ClaimDemands {
        issuer: reader.text("TOKEN_ISSUER"),
        audience: reader.text("TOKEN_AUDIENCE"),
        max_age: (max_age > 0).then(|| Duration::from_secs(u64::from(max_age))),
        subject_claim,
        sign_in_claim: reader.text("SIGN_IN_TIME_CLAIM"),
    }
}

/// Returns the secret if it is strong enough, and reports a problem if not.
fn vet(
    reader: &mut Reader<'_>,
    name: &str,
    secret: Secret,
    allow_weak: bool,
    warnings: &mut Vec<String>,
) -> Option<Secret> {
    match secret.weakness() {
        None => Some(secret),
        Some(weakness @ Weakness::TooShort { .. }) if allow_weak => {
            warnings.push(format!(
                "{name}: {weakness}; accepted because ALLOW_WEAK_SECRET is on"
            ));
            Some(secret)
        }
        Some(weakness) => {
            let what = format!("{weakness}; make one with `openssl rand -base64 33`");
            reader.problem(name, what);
            None
        }
    }
}

/// The secrets of Auth.js and NextAuth, newest first: the frameworks' own order for a rotation.
pub(super) fn authjs_secrets(
    reader: &mut Reader<'_>,
    vet: &mut impl FnMut(&mut Reader<'_>, &str, Secret) -> Option<Secret>,
) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::new();
    for name in AUTHJS_SECRETS {
        let secret = reader.secret(name);
        let secret = secret.and_then(|secret| vet(reader, name, secret));
        secrets.extend(secret.filter(|secret| !has(&secrets, secret)));
    }
    secrets
}

/// The secrets of Better Auth, the current one first. As in the framework, `BETTER_AUTH_SECRETS` comes before
/// `BETTER_AUTH_SECRET`, and `AUTH_SECRET` is the fallback (`dist/context/create-context.mjs`).
pub(super) fn better_auth_secrets(
    reader: &mut Reader<'_>,
    authjs_secrets: &[Secret],
    vet: &mut impl FnMut(&mut Reader<'_>, &str, Secret) -> Option<Secret>,
) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::new();
    if let Some(list) = reader.secret_list("BETTER_AUTH_SECRETS") {
        match versioned(&list) {
            Ok(versioned) => {
                for (index, secret) in versioned.iter().enumerate() {
                    reader.saw(format!("BETTER_AUTH_SECRETS, entry {}", index + 1), secret);
                }
                let vetted = versioned
                    .into_iter()
                    .filter_map(|secret| vet(reader, "BETTER_AUTH_SECRETS", secret));
                secrets.extend(vetted);
            }
            Err(what) => reader.problem("BETTER_AUTH_SECRETS", what),
        }
    }
    let single = reader.secret("BETTER_AUTH_SECRET");
    let single = single.and_then(|secret| vet(reader, "BETTER_AUTH_SECRET", secret));
    secrets.extend(single.filter(|secret| !has(&secrets, secret)));
    if secrets.is_empty() {
        return authjs_secrets.to_vec();
    }
    secrets
}

fn has(secrets: &[Secret], secret: &Secret) -> bool {
    secrets
        .iter()
        .any(|known| known.expose() == secret.expose())
}

/// The secrets in `2:new-secret,1:old-secret` (`dist/context/secret-utils.mjs`): the first is the current one, whatever its
/// version. Errors do not repeat them.
fn versioned(list: &Secret) -> Result<Vec<Secret>, String> {
    let list = str::from_utf8(list.expose()).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let mut versions = Vec::new();
    let mut secrets = Vec::new();
    for (index, entry) in list.split(',').enumerate() {
        let position = index + 1;
        let (version, secret) = entry
            .trim()
            .split_once(':')
            .ok_or_else(|| format!("entry {position} is not of the form version:secret"))?;
        let version: u32 = version
            .trim()
            .parse()
            .map_err(|_| format!("the version of entry {position} is not a whole number"))?;
        if versions.contains(&version) {
            return Err(format!("version {version} is given twice"));
        }
        versions.push(version);
        secrets.push(Secret::new(secret.trim()));
    }
    Ok(secrets)
}

/// The fixed name of the session cookie: `AUTH_COOKIE_NAME`, or else the salt of Auth.js.
fn cookie_name(reader: &mut Reader<'_>, salt: Option<&str>) -> Option<CookieName> {
    let name = reader.read(COOKIE_NAME, |name| CookieName::try_from(name));
    name.or_else(|| {
        CookieName::try_from(salt?)
            .map_err(|error| {
                reader.problem("JWT_SALT", format!("it is not a cookie name: {error}"))
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

/// The recognized cookies of Better Auth, and what is expected of the cookie cache.
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
        reader.idle(
            COOKIE_PREFIX,
            "AUTH_COOKIE_NAME or JWT_SALT sets the cookie's name",
        );
    }
    if !trusted {
        for name in ["BETTER_AUTH_CACHE_STRATEGY", "BETTER_AUTH_CACHE_VERSION"] {
            reader.idle(
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
            (Some(data_name), None) => Some(beside(data_name, cookie.name())),
        };
        let cookie = cookie.with_cache(cache.clone());
        match own {
            Some(own) => cookie.with_data_name(own),
            None => cookie,
        }
    });
    (adjusted.collect(), cache)
}

/// The name that the cookie cache has beside the token in the cookie `token`: Better Auth puts `__Secure-` before both or
/// before none, also where the app gave a name of its own (1.7.25, `dist/cookies/index.mjs` `createCookie`).
fn beside(data_name: &CookieName, token: &CookieName) -> CookieName {
    let bare = data_name.as_str();
    let bare = bare.strip_prefix(SECURE).unwrap_or(bare);
    let own = match token.as_str().starts_with(SECURE) {
        true => CookieName::try_from(format!("{SECURE}{bare}").as_str()),
        false => CookieName::try_from(bare),
    };
    own.unwrap_or_else(|_| data_name.clone())
}

const ALLOW_WEAK: &str = "ALLOW_WEAK_SECRET";
const COOKIE_NAME: &str = "AUTH_COOKIE_NAME";
const COOKIE_PREFIX: &str = "BETTER_AUTH_COOKIE_PREFIX";

/// The prefix of cookie names over HTTPS.
const SECURE: &str = "__Secure-";
/// Every variable that may hold a secret of sessions, those of Auth.js and NextAuth first.
pub(super) const SESSION_SECRETS: [&str; 8] = {
    let [a, b, c, d, e, f] = AUTHJS_SECRETS;
    [
        a,
        b,
        c,
        d,
        e,
        f,
        "BETTER_AUTH_SECRETS",
        "BETTER_AUTH_SECRET",
    ]
};

/// Every variable that may hold a secret of Auth.js or NextAuth, newest first.
const AUTHJS_SECRETS: [&str; 6] = [
    "JWT_SECRET",
    "AUTH_SECRET_3",
    "AUTH_SECRET_2",
    "AUTH_SECRET_1",
    "AUTH_SECRET",
    "NEXTAUTH_SECRET",
];
