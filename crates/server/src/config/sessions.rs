//! Secrets, session cookies and what is demanded of claims.

use std::time::Duration;

use session::{ClaimDemands, CookieName, KeyRing, Secret, SessionCookie, Weakness};

use super::raw::Reader;

/// Every variable that may hold a session secret, newest first: the frameworks' own order for a rotation.
const SECRET_NAMES: [&str; 6] = [
    "JWT_SECRET",
    "AUTH_SECRET_3",
    "AUTH_SECRET_2",
    "AUTH_SECRET_1",
    "AUTH_SECRET",
    "NEXTAUTH_SECRET",
];

/// Derives the keys of every recognised cookie from every secret, or notes why that cannot be done.
pub(super) fn key_ring(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Option<KeyRing> {
    let secrets = secrets(reader, warnings);
    let cookies = cookies(reader);
    if secrets.is_empty() {
        return None;
    }
    KeyRing::new(&secrets, cookies)
        .map_err(|error| reader.problem("AUTH_SECRET", error.to_string()))
        .ok()
}

/// What the operator demands of claims beyond the format's own rules.
pub(super) fn demands(reader: &mut Reader<'_>) -> ClaimDemands {
    let max_age = reader.parsed("TOKEN_MAX_AGE", 0_u32, "a whole number of seconds");
    ClaimDemands {
        issuer: reader.text("TOKEN_ISSUER"),
        audience: reader.text("TOKEN_AUDIENCE"),
        max_age: (max_age > 0).then(|| Duration::from_secs(u64::from(max_age))),
    }
}

fn secrets(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Vec<Secret> {
    let allow_weak = reader.switch("ALLOW_WEAK_SECRET", false);
    let mut secrets: Vec<Secret> = Vec::new();
    let mut given = false;
    for name in SECRET_NAMES {
        let Some(secret) = reader.secret(name) else {
            continue;
        };
        given = true;
        match secret.weakness() {
            Some(weakness @ Weakness::TooShort { .. }) if allow_weak => {
                warnings.push(format!(
                    "{name}: {weakness}; accepted because ALLOW_WEAK_SECRET is on"
                ));
            }
            Some(weakness) => {
                reader.problem(
                    name,
                    format!("{weakness}; make one with `openssl rand -base64 33`"),
                );
                continue;
            }
            None => {}
        }
        if !secrets
            .iter()
            .any(|known| known.expose() == secret.expose())
        {
            secrets.push(secret);
        }
    }
    if !given
        && reader.problems.iter().all(|problem| {
            !SECRET_NAMES
                .iter()
                .any(|name| problem.name.starts_with(name))
        })
    {
        let what = "no secret is set; give the one that your app signs its sessions with, \
                    as AUTH_SECRET, NEXTAUTH_SECRET or JWT_SECRET (or as a file: AUTH_SECRET_FILE)";
        reader.problem("AUTH_SECRET", what);
    }
    secrets
}

/// The cookies that count as the session: every default name, or the one that `AUTH_COOKIE_NAME` or `JWT_SALT` fixes.
fn cookies(reader: &mut Reader<'_>) -> Vec<SessionCookie> {
    let salt = reader.text("JWT_SALT");
    let name = reader.read("AUTH_COOKIE_NAME", |name| CookieName::try_from(name));
    let format = reader
        .text("SESSION_FORMAT")
        .unwrap_or_else(|| "auto".to_owned());
    if !["auto", "authjs", "nextauth"].contains(&format.as_str()) {
        reader.problem(
            "SESSION_FORMAT",
            format!("`{format}` is none of `auto`, `authjs`, `nextauth`"),
        );
    }
    let name = name.or_else(|| match CookieName::try_from(salt.as_deref()?) {
        Ok(name) => Some(name),
        Err(error) => {
            reader.problem("JWT_SALT", format!("it is no cookie name: {error}"));
            None
        }
    });
    let defaults = SessionCookie::defaults();
    let Some(name) = name else {
        let wanted = |cookie: &SessionCookie| match cookie.expects() {
            "authjs-v5" => format != "nextauth",
            _ => format != "authjs",
        };
        return defaults.into_iter().filter(wanted).collect();
    };
    let is_default_of_v4 = defaults
        .iter()
        .any(|cookie| *cookie.name() == name && cookie.expects() == "nextauth-v4");
    if format == "nextauth" || (format == "auto" && is_default_of_v4) {
        return vec![SessionCookie::nextauth(name)];
    }
    let cookie = SessionCookie::authjs(name);
    vec![match salt {
        Some(salt) => cookie.with_salt(&salt),
        None => cookie,
    }]
}
