//! The names of clients' certificates, as conditions spell them.

use std::str::FromStr;

use gate::ClientCertificate;
use rustls::pki_types::CertificateDer;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::RdnSequence;

/// Returns the names in a client's certificate: its subject and its alternative names. `None` if it is not a valid certificate.
pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
    let body = parsed.tbs_certificate;
    let alternative = match body.get::<SubjectAltName>() {
        Ok(Some((_, SubjectAltName(names)))) => names,
        Ok(None) | Err(_) => Vec::new(),
    };
    let subject = Some(body.subject.to_string()).filter(|subject| !subject.is_empty());
    let alternative = alternative.iter().filter_map(spelled);
    Some(ClientCertificate::new(
        subject.into_iter().chain(alternative),
    ))
}

/// Reads a name that a condition demands, and spells it as [`of`] does.
///
/// # Errors
/// A message that says what to write.
pub(crate) fn parse(text: &str) -> Result<String, &'static str> {
    match text.split_once(':') {
        Some((kind @ ("URI" | "email"), name)) if !name.is_empty() => Ok(format!("{kind}:{name}")),
        Some(("DNS", name)) if !name.is_empty() => Ok(format!("DNS:{}", name.to_ascii_lowercase())),
        Some(_) | None => match RdnSequence::from_str(text) {
            Ok(subject) if !subject.is_empty() => Ok(subject.to_string()),
            Ok(_) | Err(_) => Err(HELP),
        },
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other kinds of names are not those of programs or people"
)]
fn spelled(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(format!("DNS:{}", name.as_str().to_ascii_lowercase())),
        GeneralName::Rfc822Name(name) => Some(format!("email:{}", name.as_str())),
        GeneralName::UniformResourceIdentifier(uri) => Some(format!("URI:{}", uri.as_str())),
        _ => None,
    }
}

const HELP: &str = "give a subject such as `CN=billing,O=Example`, as `openssl x509 -noout -subject -nameopt RFC2253` prints it, or \
                    `DNS:`, `URI:` or `email:` and an alternative name";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_canonical_spelling() {
        for (text, spelled) in [
            ("CN=billing,O=Example", "CN=billing,O=Example"),
            ("cn=billing,o=Example", "CN=billing,O=Example"),
            (r"CN=a\,O=b", r"CN=a\,O=b"),
            ("DNS:Billing.Internal", "DNS:billing.internal"),
            (
                "URI:spiffe://example/Billing",
                "URI:spiffe://example/Billing",
            ),
            ("email:ada@example.com", "email:ada@example.com"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(spelled), "{text}");
        }
        for text in [
            "",
            "billing",
            "DNS:",
            "/O=Example/CN=billing",
            "CN=a, O=b",
            "IP:10.0.0.1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    /// A name that contains a comma is never taken for two names.
    #[test]
    fn a_comma_within_a_name_is_escaped() {
        let subject = RdnSequence::from_str(r"CN=billing\,O=Example").unwrap();
        assert_eq!(subject.0.len(), 1);
        assert_ne!(subject.to_string(), parse("CN=billing,O=Example").unwrap());
    }
}
