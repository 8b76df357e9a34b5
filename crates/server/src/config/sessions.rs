//! Reads secrets, session cookies and the requirements on claims.

mod cookies;

use std::str;
use std::time::Duration;

use session::{ClaimDemands, CookieName, KeyRing, Secret, Weakness};

use self::cookies::COOKIE_NAME;
pub(crate) use self::cookies::RecognizedCookies;
use super::reader::Reader;

/// The value of `SESSION_FORMAT`, which says which sessions are recognized.
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

    /// The format that the name of a cookie implies, if no setting says the format.
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
/// contain the token of a session in a database. `optional` says that requests can enter without any cookie.
///
/// Also returns the format of the keys: instead of `auto`, it is the format that a fixed cookie name implies, if there is one.
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
    let mut check = |reader: &mut Reader<'_>, name: &str, secret: Secret| {
        is_weak |= matches!(secret.weakness(), Some(Weakness::TooShort { .. }));
        check_strength(reader, name, secret, allow_weak, warnings)
    };
    let authjs_secrets = authjs_secrets(reader, &mut check);
    let better_auth_secrets = better_auth_secrets(reader, &authjs_secrets, &mut check);

    let recognized = RecognizedCookies::read(reader, format, or_opaque);
    if reader.problems.len() > problems {
        return None;
    }
    if allow_weak && !is_weak {
        reader.warn_about_unused(ALLOW_WEAK, "no session secret is too short");
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
    warn_about_unused_secrets(reader, format, authjs_secrets.len());
    KeyRing::of_groups(&groups)
        .map_err(|error| reader.problem(COOKIE_NAME, error.to_string()))
        .map(|ring| (ring, format))
        .ok()
}

/// Warns about secrets of Auth.js that open no session of this format.
fn warn_about_unused_secrets(reader: &mut Reader<'_>, format: SessionFormat, distinct: usize) {
    let has_its_own = ["BETTER_AUTH_SECRETS", "BETTER_AUTH_SECRET"]
        .iter()
        .any(|name| reader.is_set(name));
    let (used, why) = match format {
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
    let unused: Vec<_> = given.skip(used).collect();
    for name in unused {
        reader.warn_about_unused(name, why);
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
fn check_strength(
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
    check: &mut impl FnMut(&mut Reader<'_>, &str, Secret) -> Option<Secret>,
) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::new();
    for name in AUTHJS_SECRETS {
        let secret = reader.secret(name);
        let secret = secret.and_then(|secret| check(reader, name, secret));
        secrets.extend(secret.filter(|secret| !contains(&secrets, secret)));
    }
    secrets
}

/// The secrets of Better Auth, the current one first. As in the framework, `BETTER_AUTH_SECRETS` comes before
/// `BETTER_AUTH_SECRET`, and `AUTH_SECRET` is the fallback (`dist/context/create-context.mjs`).
pub(super) fn better_auth_secrets(
    reader: &mut Reader<'_>,
    authjs_secrets: &[Secret],
    check: &mut impl FnMut(&mut Reader<'_>, &str, Secret) -> Option<Secret>,
) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::new();
    if let Some(list) = reader.secret_list("BETTER_AUTH_SECRETS") {
        match versioned(&list) {
            Ok(versioned) => {
                for (index, secret) in versioned.iter().enumerate() {
                    reader
                        .record_secret(format!("BETTER_AUTH_SECRETS, entry {}", index + 1), secret);
                }
                let checked = versioned
                    .into_iter()
                    .filter_map(|secret| check(reader, "BETTER_AUTH_SECRETS", secret));
                secrets.extend(checked);
            }
            Err(what) => reader.problem("BETTER_AUTH_SECRETS", what),
        }
    }
    let single = reader.secret("BETTER_AUTH_SECRET");
    let single = single.and_then(|secret| check(reader, "BETTER_AUTH_SECRET", secret));
    secrets.extend(single.filter(|secret| !contains(&secrets, secret)));
    if secrets.is_empty() {
        return authjs_secrets.to_vec();
    }
    secrets
}

fn contains(secrets: &[Secret], secret: &Secret) -> bool {
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

const ALLOW_WEAK: &str = "ALLOW_WEAK_SECRET";

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
