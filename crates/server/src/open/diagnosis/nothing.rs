//! Finds out why a header contains no recognized session.

use session::{CookieName, SessionCookie};

use super::super::inspection::Inspection;
use super::super::pasted::Pasted;
use super::prefix::{SECURE, other_prefix};
use super::{identify, shape, whole_names, without_number};

/// The likely reason why the header contains no recognized session.
pub(in crate::open) fn of_nothing(inspection: &Inspection<'_>) -> Option<String> {
    let header = inspection.cookie_header.trim_ascii();
    let pasted = Pasted::new(header);
    if let Some(authorization) = inspection.authorization
        && !is_bearer(authorization)
    {
        return Some(
            "the Authorization value must be `Bearer`, one space, and the token".to_owned(),
        );
    }
    if header.is_empty() {
        return match inspection.authorization {
            Some(_) => None,
            None => Some("the header is empty".to_owned()),
        };
    }
    if pasted.is_empty() {
        return Some(
            "it is a value without the cookie's name; add the name, as in `authjs.session-token=…`"
                .to_owned(),
        );
    }
    if let Some(name) = inspection.recognized.cookie_name.as_ref()
        && let Some(other) = other_prefix(name)
        && pasted.has(&other)
    {
        return Some(match other.as_str().starts_with(SECURE) {
            true => format!(
                "the cookie is named {other}: the app runs on HTTPS, where it adds the prefix {SECURE} to the name. \
                 Give `--cookie-name {other}`, and AUTH_COOKIE_NAME={other} to the gate"
            ),
            false => format!(
                "the cookie is named {other}, without {SECURE}: the app assumes that it runs on plain HTTP. Behind a \
                 proxy that terminates TLS it needs AUTH_URL or NEXTAUTH_URL, or the header X-Forwarded-Proto"
            ),
        });
    }
    let identified = || {
        whole_names(&pasted).into_iter().find_map(|name| {
            let identity = identify::opens(inspection, &name, &pasted.value(&name))?;
            Some(identity.unrecognized_cookie_cause(&name))
        })
    };
    let of_another = || {
        let (name, library, option) = default_of_another(inspection, &pasted)?;
        Some(format!(
            "the header has the cookie {name}, which is the session cookie of {library}; give `{option}`"
        ))
    };
    // If the session cookie has a custom name, a cookie with a default name may belong to another app, so a value that opens is a
    // better hint.
    let cause = match inspection.recognized.cookie_name.is_some() {
        true => identified().or_else(of_another),
        false => of_another().or_else(identified),
    };
    if cause.is_some() {
        return cause;
    }
    if let Some(name) = pasted.names().find(|name| pasted.is_emptied(name)) {
        return Some(format!(
            "the cookie {name} is empty: the app has signed this browser out"
        ));
    }
    let shaped = |name: &CookieName| shape::format(&pasted.value(name));
    if let Some((name, format)) = whole_names(&pasted)
        .into_iter()
        .find_map(|name| Some((name.clone(), shaped(&name)?)))
    {
        return Some(format!(
            "the header has the cookie {name}, whose value looks like {format}; it is not a recognized cookie, and \
            no secret that was given opens it. Names are compared with upper and lower case. If it is the app's \
            session, give `--cookie-name {name}`, and AUTH_COOKIE_NAME={name} to the gate"
        ));
    }
    let looks_like_one = |name: &CookieName| {
        let name = without_number(name).to_ascii_lowercase();
        name.ends_with("session-token") || name.ends_with("session_token")
    };
    if let Some(name) = pasted.names().find(looks_like_one) {
        let name = without_number(&name);
        return Some(format!(
            "the header has the cookie {name}, which looks like a session but is not a recognized cookie; names are \
            compared with upper and lower case. If it is the app's, give `--cookie-name {name}`, and \
            AUTH_COOKIE_NAME={name} to the gate"
        ));
    }
    let csrf = |name: &CookieName| {
        let name = name.as_str();
        name.ends_with("authjs.csrf-token") || name.ends_with("next-auth.csrf-token")
    };
    pasted.names().find(csrf).map(|name| {
        format!(
            "the header has the app's cookie {name} but no session cookie: no user is signed in, or the browser did \
             not send it, as with a {SECURE} name over plain HTTP"
        )
    })
}

/// A default cookie of a framework that is not recognized here: its name, the framework, and the option to recognize it.
fn default_of_another(
    inspection: &Inspection<'_>,
    pasted: &Pasted<'_>,
) -> Option<(CookieName, &'static str, String)> {
    let better_auth = SessionCookie::better_auth_defaults("better-auth").ok()?;
    let found = SessionCookie::defaults()
        .into_iter()
        .chain(better_auth)
        .find(|cookie| pasted.has(cookie.name()))?;
    let (library, format) = match found.expects() {
        "authjs-v5" => ("Auth.js v5", "authjs"),
        "better-auth" => ("Better Auth", "better-auth"),
        _ => ("NextAuth v4", "nextauth"),
    };
    let name = found.name().clone();
    let option = match &inspection.recognized.cookie_name {
        Some(_) => format!("--cookie-name {name}"),
        None => format!("--format {format}"),
    };
    Some((name, library, option))
}

/// Whether the scheme of the value is `Bearer`, ignoring case.
fn is_bearer(authorization: &[u8]) -> bool {
    let scheme = authorization.get(.."Bearer ".len());
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Bearer "))
}
