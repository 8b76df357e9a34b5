//! Opens an issuer's bearer token as the gate does, and explains why it does not open.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Map, Value};
use session::{Format, Jwt, JwtKeys, OpenError};

use super::diagnosis::{is_about_claims, misspellings};
use super::inspection::Inspection;
use super::outcome::{Outcome, RefusedSession};
use crate::jwks::{KeySource, Settings};

/// The outcome for the token in `Authorization`; `None` if there is no token with three segments.
pub(super) fn answer(inspection: &Inspection<'_>, issuer: &Settings) -> Option<Outcome> {
    let jwt = Jwt::find(inspection.authorization).ok()??;
    let opened = jwt.open(&issuer.keys.known, &issuer.demands, inspection.now);
    Some(match opened {
        Ok(session) => Outcome::Session {
            cookie: None,
            format: session.format().as_str(),
            claims: session.claims(),
            expires_at: session.expires_at(),
            cache: None,
        },
        Err(error) => Outcome::Refused(RefusedSession {
            reason: error.reason(),
            message: error.to_string(),
            likely_cause: cause(inspection, issuer, &jwt, &error),
            cookie: None,
            format: Some(Format::Jwt.as_str()),
            needs_lookup: false,
            is_verified: is_about_claims(&error),
        }),
    })
}

fn cause(
    inspection: &Inspection<'_>,
    issuer: &Settings,
    jwt: &Jwt<'_>,
    error: &OpenError,
) -> Option<String> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other errors need no explanation, or get the same one as a session"
    )]
    match error {
        OpenError::WrongIssuer => Some(difference(inspection, "BEARER_ISSUER", "iss")),
        OpenError::WrongAudience => Some(difference(inspection, "BEARER_AUDIENCE", "aud")),
        OpenError::RejectedSignature | OpenError::UnknownKey => {
            let misspelt = issuer.keys.secret.as_ref().and_then(|secret| {
                misspellings(secret).into_iter().find_map(|other| {
                    let keys = JwtKeys::new(Some(&other.secret), None).ok()?;
                    let opened = jwt.open(&keys, &issuer.demands, inspection.now).is_ok();
                    opened.then(|| {
                        format!(
                            "it opens with BEARER_SECRET {}; {}",
                            other.how, other.advice
                        )
                    })
                })
            });
            misspelt.or_else(|| match issuer.keys.source {
                Some(KeySource::Url(_)) => Some(
                    "BEARER_JWKS is a URL, and `open` makes no requests. Save its content to a file, and give that: \
                     BEARER_JWKS=keys.json"
                        .to_owned(),
                ),
                Some(KeySource::File(_)) => Some(
                    "it was not signed with any key in the file BEARER_JWKS: the issuer has newer keys, or it is from \
                     another issuer"
                        .to_owned(),
                ),
                None => Some(
                    "it was signed with another key than BEARER_SECRET, common misspellings included".to_owned(),
                ),
            })
        }
        error => super::diagnosis::of_time(inspection, error),
    }
}

/// Compares a claim of a verified token with a variable.
fn difference(inspection: &Inspection<'_>, variable: &str, claim: &str) -> String {
    let actual = claims(inspection).and_then(|mut claims| claims.remove(claim));
    let actual = actual.map_or_else(|| "no such claim".to_owned(), |value| value.to_string());
    format!("{variable} does not match: the token has {actual}")
}

fn claims(inspection: &Inspection<'_>) -> Option<Map<String, Value>> {
    let payload = inspection
        .authorization?
        .split(|byte| *byte == b'.')
        .nth(1)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}
