//! What a cookie holds, whatever it is called: every framework is tried with the secrets that were given.

use session::{
    CookieCache, CookieName, Format, KeyRing, OpenError, Opened, SealedSession, Secret,
    SessionCookie, seal,
};

use super::super::inspection::Inspection;
use super::super::pasted::Pasted;
use super::keys::{Part, Trial, is_about_claims, salts};
use super::misspellings::misspellings;
use super::shape;

/// What a value turned out to be.
pub(super) struct Identity {
    /// The stable word of its format.
    pub(super) format: &'static str,
    /// Who writes such values.
    library: &'static str,
    /// Which secret it was, behind "it opens"; empty for one as it was given.
    how: String,
    /// What to do to have it count.
    advice: String,
}

/// Tries the value of the cookie `name` as every framework would write it. It may have ended.
pub(super) fn opens(
    inspection: &Inspection<'_>,
    name: &CookieName,
    value: &[u8],
) -> Option<Identity> {
    // No key is derived for what has not the shape of anything.
    match value.iter().filter(|byte| **byte == b'.').count() {
        4 => authjs(inspection, name, value)
            .or_else(|| nextauth(inspection, name, value))
            .or_else(|| cookie_cache(inspection, name, value)),
        1 => better_auth(inspection, name, value),
        // The same signature is genuine for both, so what is signed tells them apart.
        2 if shape::format(value) == Some("jwt") => authjs_signed(inspection, name, value),
        0 | 2 if value.starts_with(JSON_START) => cookie_cache(inspection, name, value),
        _ => None,
    }
}

/// The other framework's value in a cookie that counts as one of this framework.
pub(super) fn other_framework(
    trial: &Trial<'_>,
    pasted: &Pasted<'_>,
    name: &CookieName,
) -> Option<String> {
    if matches!(trial.part, Part::Cache(_)) {
        return None;
    }
    let identity = opens(trial.inspection, name, &pasted.value(name))?;
    let is_expected = match trial.is_better_auth() {
        true => identity.format == Format::BetterAuthToken.as_str(),
        // An app signs its sessions or encrypts them; which of the encrypted ones it is, others find out.
        false => {
            let is_signed = Format::AuthJsSigned.as_str() == identity.format;
            let expects_signed =
                trial.found.map(SessionCookie::expects) == Some(Format::AuthJsSigned.as_str());
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
    /// What to say when the cookie is not among those that count.
    pub(super) fn elsewhere(&self, name: &CookieName) -> String {
        format!(
            "the cookie {name} is not among those that count, and holds a value of the format {}, as {} writes it; it \
             opens{}. To have it count, {}",
            self.format, self.library, self.how, self.advice
        )
    }
}

/// How to have a cookie of this name count, with further options and variables.
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

/// The cookie cache of Better Auth, which needs a token beside it: one of our own, to which it does not belong.
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
            "give the cookie of the session token beside it, `--format better-auth`, and here as to the gate \
             BETTER_AUTH_DATA_COOKIE_NAME={name}"
        ),
    })
}

/// What the header opens as, and with which secret.
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

/// The secrets as given, then as people misspell them, each with words that go behind "it opens".
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

/// `{"` in base64url: how JSON begins, and with it every header of a token.
const JSON_START: &[u8] = b"eyJ";
