//! Identifies the content of a cookie regardless of its name, by trying every framework with the given secrets.

use session::{
    CookieCache, CookieName, Format, KeyRing, OpenError, Opened, SealedSession, Secret,
    SessionCookie, seal,
};

use super::super::inspection::Inspection;
use super::super::pasted::Pasted;
use super::keys::{FailedPart, FailedSession, is_about_claims, salts};
use super::misspellings::misspellings;
use super::shape;

/// The format that a value turned out to have.
pub(super) struct Identity {
    /// The stable name of its format.
    pub(super) format: &'static str,
    /// The library that writes such values.
    library: &'static str,
    /// Which variant of the secret opens it, as a phrase after "it opens"; empty for a secret as given.
    how: String,
    /// How to make the gate recognize it.
    advice: String,
}

/// Tries to open the value of the cookie `name` as every framework would write it. An expired session is identified too.
pub(super) fn opens(
    inspection: &Inspection<'_>,
    name: &CookieName,
    value: &[u8],
) -> Option<Identity> {
    // Do not derive keys for a value that resembles no format.
    match value.iter().filter(|byte| **byte == b'.').count() {
        4 => authjs(inspection, name, value)
            .or_else(|| nextauth(inspection, name, value))
            .or_else(|| cookie_cache(inspection, name, value)),
        1 => better_auth(inspection, name, value),
        // A signature is valid for Auth.js and for Better Auth, so the signed content decides.
        2 if shape::format(value) == Some("jwt") => authjs_signed(inspection, name, value),
        0 | 2 if value.starts_with(JSON_START) => cookie_cache(inspection, name, value),
        _ => None,
    }
}

/// Describes a value of another framework in a cookie that is recognized as one of this framework.
pub(super) fn other_framework(
    failed: &FailedSession<'_>,
    pasted: &Pasted<'_>,
    name: &CookieName,
) -> Option<String> {
    if matches!(failed.part, FailedPart::Cache(_)) {
        return None;
    }
    let identity = opens(failed.inspection, name, &pasted.value(name))?;
    let is_expected = match failed.is_better_auth() {
        true => identity.format == Format::BetterAuthToken.as_str(),
        // Only distinguishes signed from encrypted sessions; other checks find out which encrypted format it is.
        false => {
            let is_signed = Format::AuthJsSigned.as_str() == identity.format;
            let expects_signed =
                failed.found.map(SessionCookie::expects) == Some(Format::AuthJsSigned.as_str());
            !identity.format.starts_with("better-auth") && is_signed == expects_signed
        }
    };
    if is_expected {
        return None;
    }
    Some(format!(
        "it opens{} as {} writes it, a value of the format {}; {}",
        identity.how, identity.library, identity.format, identity.advice
    ))
}

impl Identity {
    /// The likely cause if this value is in a cookie that is not recognized.
    pub(super) fn unrecognized_cookie_cause(&self, name: &CookieName) -> String {
        format!(
            "the cookie {name} is not recognized, but contains a value of the format {}, as {} writes it; it opens{}. To \
             recognize it, {}",
            self.format, self.library, self.how, self.advice
        )
    }
}

/// Advice on how to recognize a cookie with this name. `options` and `variables` are added to it.
fn advice(format: &str, name: &CookieName, options: &str, variables: &str) -> String {
    format!(
        "give `--format {format} --cookie-name {name}{options}`, and SESSION_FORMAT={format}, \
         AUTH_COOKIE_NAME={name}{variables} to the gate"
    )
}

fn authjs(inspection: &Inspection<'_>, name: &CookieName, value: &[u8]) -> Option<Identity> {
    salts(inspection, name).into_iter().find_map(|(salt, _)| {
        let cookie = SessionCookie::authjs(name.clone()).with_salt(&salt);
        let (format, how) = attempt(
            inspection,
            &cookie,
            &header(name, value),
            inspection.authjs_secrets,
        )?;
        let own = match salt == name.as_str() {
            true => (String::new(), String::new()),
            false => (format!(" --salt {salt}"), format!(", JWT_SALT={salt}")),
        };
        Some(Identity {
            format,
            library: "Auth.js v5",
            how,
            advice: advice("authjs", name, &own.0, &own.1),
        })
    })
}

fn nextauth(inspection: &Inspection<'_>, name: &CookieName, value: &[u8]) -> Option<Identity> {
    let cookie = SessionCookie::nextauth(name.clone());
    let (format, how) = attempt(
        inspection,
        &cookie,
        &header(name, value),
        inspection.authjs_secrets,
    )?;
    Some(Identity {
        format,
        library: "NextAuth v4",
        how,
        advice: advice("nextauth", name, "", ""),
    })
}

fn authjs_signed(inspection: &Inspection<'_>, name: &CookieName, value: &[u8]) -> Option<Identity> {
    let cookie = SessionCookie::authjs_signed(name.clone());
    let secrets = inspection.authjs_secrets;
    let (format, how) = attempt(inspection, &cookie, &header(name, value), secrets)?;
    Some(Identity {
        format,
        library: "an Auth.js or NextAuth app with an `encode()` of its own",
        how,
        advice: advice("authjs-signed", name, "", ""),
    })
}

fn better_auth(inspection: &Inspection<'_>, name: &CookieName, value: &[u8]) -> Option<Identity> {
    let cookie = SessionCookie::better_auth(name.clone());
    let (format, how) = attempt(
        inspection,
        &cookie,
        &header(name, value),
        inspection.better_auth_secrets,
    )?;
    Some(Identity {
        format,
        library: "Better Auth",
        how,
        advice: advice("better-auth", name, "", ""),
    })
}

/// Tries to open the value as Better Auth's cookie cache. A cache needs a token beside it, so this makes one up. The cache does
/// not belong to that token, so a genuine cache is refused because of its claims.
fn cookie_cache(inspection: &Inspection<'_>, name: &CookieName, value: &[u8]) -> Option<Identity> {
    let token_name: CookieName = "sessiongate.session_token".parse().ok()?;
    let any = CookieCache {
        strategy: None,
        version: "1".into(),
    };
    let cookie = SessionCookie::better_auth(token_name.clone())
        .with_data_name(name.clone())
        .with_cache(Some(any));
    let how = variants(inspection.better_auth_secrets).find_map(|(secret, how)| {
        let token = seal::better_auth_token(&secret, &"A".repeat(32));
        let mut header = format!("{token_name}={token}; {name}=").into_bytes();
        header.extend(value);
        let keys = KeyRing::new(&[secret], vec![cookie.clone()]).ok()?;
        match open(&keys, &header, inspection)? {
            Ok(Opened::Lookup {
                cache: Some(error), ..
            }) => is_about_claims(&error).then_some(how),
            Ok(Opened::Lookup { cache: None, .. } | Opened::Session(_)) | Err(_) => None,
        }
    })?;
    let format = match value.iter().filter(|byte| **byte == b'.').count() {
        0 => Format::BetterAuthCompact,
        2 => Format::BetterAuthJwt,
        _ => Format::BetterAuthJwe,
    };
    Some(Identity {
        format: format.as_str(),
        library: "Better Auth",
        how,
        advice: format!(
            "give the cookie of the session token beside it, `--format better-auth`, and set \
             BETTER_AUTH_DATA_COOKIE_NAME={name} both here and to the gate"
        ),
    })
}

/// The format of the session in the header, and the variant of the secret that opened it.
fn attempt(
    inspection: &Inspection<'_>,
    cookie: &SessionCookie,
    header: &[u8],
    secrets: &[Secret],
) -> Option<(&'static str, String)> {
    variants(secrets).find_map(|(secret, how)| {
        let keys = KeyRing::new(&[secret], vec![cookie.clone()]).ok()?;
        let format = match open(&keys, header, inspection)? {
            Ok(Opened::Session(session)) => session.format().as_str(),
            Ok(Opened::Lookup { token, .. }) => token.format().as_str(),
            Err(error) if is_about_claims(&error) => cookie.expects(),
            Err(_) => return None,
        };
        Some((format, how))
    })
}

/// The secrets as given, then common misspellings, each with a phrase that follows "it opens".
fn variants(secrets: &[Secret]) -> impl Iterator<Item = (Secret, String)> {
    let given = secrets.iter().map(|secret| (secret.clone(), String::new()));
    let misspelt = secrets.iter().flat_map(|secret| {
        misspellings(secret).into_iter().map(|other| {
            let how = format!(" with the secret {} ({})", other.how, other.advice);
            (other.secret, how)
        })
    });
    given.chain(misspelt)
}

fn open(
    keys: &KeyRing,
    header: &[u8],
    inspection: &Inspection<'_>,
) -> Option<Result<Opened, OpenError>> {
    let sealed = SealedSession::find(keys, [header], None).ok().flatten()?;
    Some(sealed.open(keys, &inspection.demands, inspection.now))
}

fn header(name: &CookieName, value: &[u8]) -> Vec<u8> {
    [name.as_str().as_bytes(), b"=", value].concat()
}

/// `{"` in base64url: the beginning of JSON, and so of every token's header.
const JSON_START: &[u8] = b"eyJ";
