//! Reads the settings of the issuer whose bearer tokens are accepted in addition to sessions.

use std::path::{Path, PathBuf};

use session::{JwtDemands, JwtKeys, Secret, Weakness};

use super::ascii_host;
use super::reader::Reader;
use crate::jwks::{self, JwksUrl, KeySource, Settings};
use crate::tls::Authorities;

/// Reads the issuer's settings; there is an issuer if `BEARER_SECRET` or `BEARER_JWKS` is set.
/// `subject_claim` is the claim with the user's id, if it is not `sub`.
pub(super) fn issuer(
    reader: &mut Reader<'_>,
    subject_claim: Option<String>,
    warnings: &mut Vec<String>,
) -> Option<Settings> {
    let secret = secret(reader);
    let jwks = reader.text("BEARER_JWKS");
    let [issuer, audience] = ["BEARER_ISSUER", "BEARER_AUDIENCE"].map(|name| reader.text(name));
    let check_user = reader.switch("BEARER_CHECK_USER", true);
    let authorities = authorities(reader);
    let source = jwks.and_then(|text| {
        source(&text, authorities)
            .map_err(|what| reader.problem("BEARER_JWKS", what))
            .ok()
    });
    match &source {
        Some(KeySource::Url(url)) if url.is_encrypted() => {}
        Some(KeySource::File(_) | KeySource::Url(_)) => {
            reader.warn_about_unused(CA_FILE, "BEARER_JWKS is not an https:// URL");
        }
        None if secret.is_some() => reader.warn_about_unused(CA_FILE, "BEARER_JWKS is not set"),
        None => {}
    }
    if secret.is_none() && source.is_none() {
        if reader.problems.is_empty() && (issuer.is_some() || audience.is_some()) {
            warnings.push(
                "BEARER_ISSUER and BEARER_AUDIENCE have no effect without BEARER_SECRET or BEARER_JWKS".to_owned(),
            );
        }
        return None;
    }
    for (name, value, claim) in [
        ("BEARER_ISSUER", &issuer, "iss"),
        ("BEARER_AUDIENCE", &audience, "aud"),
    ] {
        if value.is_none() {
            let what = format!(
                "not set, but bearer tokens are accepted: set the required value of their `{claim}` claim"
            );
            reader.problem(name, what);
        }
    }
    let known = known_keys(reader, secret.as_ref(), source.as_ref());
    Some(Settings {
        keys: jwks::KeySettings {
            secret,
            source,
            known: known?,
        },
        demands: JwtDemands::new(issuer?, audience?).with_subject_claim(subject_claim),
        check_user,
    })
}

fn secret(reader: &mut Reader<'_>) -> Option<Secret> {
    let secret = reader.key("BEARER_SECRET")?;
    match secret.weakness() {
        None => Some(secret),
        Some(weakness @ (Weakness::Empty | Weakness::Placeholder | Weakness::TooShort { .. })) => {
            reader.problem(
                "BEARER_SECRET",
                format!("{weakness}; make one with `openssl rand -base64 48`"),
            );
            None
        }
    }
}

fn source(text: &str, authorities: Authorities) -> Result<KeySource, String> {
    if let Some(advice) = ascii_host::advice(text) {
        return Err(format!("`{text}`: {advice}"));
    }
    if text.contains("://") {
        return JwksUrl::parse(text, authorities)
            .map(KeySource::Url)
            .map_err(|error| format!("`{text}`: {error}"));
    }
    Ok(KeySource::File(PathBuf::from(text)))
}

/// The issuer's keys at start-up. A file that cannot be read is a problem; an issuer that is down is not.
fn known_keys(
    reader: &mut Reader<'_>,
    secret: Option<&Secret>,
    source: Option<&KeySource>,
) -> Option<JwtKeys> {
    let known = match source {
        Some(KeySource::File(path)) => jwks::read_file(path).and_then(|text| {
            let keys = JwtKeys::new(secret, Some(&text))?;
            if keys.published() == 0 {
                return Err(jwks::JwksError::NoUsableKey);
            }
            Ok(keys)
        }),
        Some(KeySource::Url(_)) | None => JwtKeys::new(secret, None).map_err(Into::into),
    };
    known
        .map_err(|error| reader.problem("BEARER_JWKS", error.to_string()))
        .ok()
}

/// The certificate authorities to trust for the issuer's server: the public ones and those in `BEARER_JWKS_CA_FILE`.
fn authorities(reader: &mut Reader<'_>) -> Authorities {
    let mut authorities = Authorities::public();
    reader.read(CA_FILE, |path| authorities.add_file(Path::new(path)));
    authorities
}

const CA_FILE: &str = "BEARER_JWKS_CA_FILE";
