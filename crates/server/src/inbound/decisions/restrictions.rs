//! The parameters by which a calling proxy restricts who may enter. Each is understood and obeyed, or the request is denied.
//!
//! An unknown parameter could be the one that admits administrators only. So every query parameter of an endpoint, every
//! context extension of Envoy, and every header with the name of such a parameter is known here, or causes a denial.

use std::borrow::Cow;
use std::fmt;

use gate::Restriction;
use http::HeaderMap;
use percent_encoding::percent_decode_str;

/// What a parameter means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The e-mail addresses of users who may enter.
    Emails,
    /// The domains of the e-mail addresses of users who may enter.
    EmailDomains,
    /// The groups of users who may enter.
    Groups,
    /// The parameter does not restrict who may enter. Its value is ignored.
    Harmless,
}

/// The parameters that are understood in one place, such as the query of an endpoint.
pub(crate) type Vocabulary = &'static [(&'static str, Meaning)];

/// A parameter that may restrict who may enter, and whose name or value is not understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnsupportedParameter {
    /// The parameter's name, if it may be logged: clients can write some names, with secrets in them.
    word: Option<String>,
    place: &'static str,
}

impl UnsupportedParameter {
    fn new(word: &str, place: &'static str) -> Self {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'_' | b'-');
        let fit = word.len() <= LONGEST_SHOWN && word.bytes().all(plain) && !word.is_empty();
        Self {
            word: fit.then(|| word.to_owned()),
            place,
        }
    }
}

impl fmt::Display for UnsupportedParameter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.word {
            Some(word) => write!(formatter, "the {} `{word}`", self.place),
            None => write!(formatter, "a {} that is not shown here", self.place),
        }
    }
}

/// Reads the query parameters of a decision request.
///
/// Names and values are decoded like Go's `url.ParseQuery`, which oauth2-proxy uses; but a pair that Go silently drops (a `;`, an
/// invalid `%`) is treated as not understood.
///
/// `of_client` says that the query may be the client's own, because the original request has the same one. Then a parameter that
/// is not understood matters only if it restricts who may enter at the endpoint of some gateway.
///
/// # Errors
///
/// [`UnsupportedParameter`] when such a parameter is not in the vocabulary, or its value is not UTF-8.
pub(crate) fn from_query(
    query: &str,
    vocabulary: Vocabulary,
    of_client: bool,
) -> Result<Restriction, UnsupportedParameter> {
    let mut restriction = Restriction::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let word = decoded(name);
        let understood = word
            .as_deref()
            .and_then(|word| restrict(&mut restriction, vocabulary, word, || decoded(value)));
        let counts = !of_client || restricts_somewhere(name, value);
        if understood.is_none() && counts {
            let word = word.unwrap_or_default();
            return Err(UnsupportedParameter::new(&word, PARAMETER));
        }
    }
    Ok(restriction)
}

/// Whether a parameter restricts who may enter at the endpoint of any gateway: `allowed_…` of oauth2-proxy, `auth=basic` of
/// Authelia.
fn restricts_somewhere(name: &str, value: &str) -> bool {
    let lossy = |part| {
        let text = percent_decode_str(part).decode_utf8_lossy();
        text.to_ascii_lowercase().replace('-', "_")
    };
    let name = lossy(name);
    name.starts_with("allowed_") || (name == "auth" && lossy(value) == "basic")
}

/// Reads the context extensions of a gRPC call, which are not encoded.
///
/// # Errors
///
/// [`UnsupportedParameter`] when one of them is not in the vocabulary, or is not UTF-8.
pub(crate) fn from_extensions<'q>(
    extensions: impl Iterator<Item = (&'q [u8], &'q [u8])>,
) -> Result<Restriction, UnsupportedParameter> {
    let mut restriction = Restriction::default();
    for (name, value) in extensions {
        let name = str::from_utf8(name).unwrap_or_default();
        let value = || Some(Cow::Borrowed(str::from_utf8(value).ok()?));
        restrict(&mut restriction, BY_USER, name, value)
            .ok_or_else(|| UnsupportedParameter::new(name, EXTENSION))?;
    }
    Ok(restriction)
}

/// Checks that no header has the name of a restricting parameter. No gateway reads these parameters from headers, so such a
/// header is a misunderstanding of the operator.
///
/// # Errors
///
/// [`UnsupportedParameter`] when a header has such a name.
pub(crate) fn check_headers(headers: &HeaderMap) -> Result<(), UnsupportedParameter> {
    let narrows = |name: &&str| {
        // This alone rules out most names.
        name.contains("allowed") && IN_HEADERS.contains(&&*without_prefix(&name.replace('_', "-")))
    };
    let mut names = headers.keys().map(http::HeaderName::as_str);
    names
        .find(narrows)
        .map_or(Ok(()), |name| Err(UnsupportedParameter::new(name, HEADER)))
}

/// The error for a restriction to groups if the groups of users are unknown.
pub(crate) fn groups_without_any() -> UnsupportedParameter {
    UnsupportedParameter::new("allowed_groups", WORD)
}

/// The error for metadata of a route, which Envoy can send in addition to context extensions.
pub(crate) fn route_metadata() -> UnsupportedParameter {
    UnsupportedParameter::new("route_metadata_context", ATTRIBUTE)
}

/// Adds one parameter to the restriction. Returns `None` when it is not understood.
fn restrict<'v>(
    restriction: &mut Restriction,
    vocabulary: Vocabulary,
    name: &str,
    value: impl FnOnce() -> Option<Cow<'v, str>>,
) -> Option<()> {
    let (_, meaning) = vocabulary.iter().find(|(known, _)| *known == name)?;
    match meaning {
        Meaning::Emails => restriction.allow_emails(&value()?),
        Meaning::EmailDomains => restriction.allow_email_domains(&value()?),
        Meaning::Groups => restriction.allow_groups(&value()?),
        Meaning::Harmless => {}
    }
    Some(())
}

/// The decoded text of a part of a query. `None` if parsers read it differently.
fn decoded(part: &str) -> Option<Cow<'_, str>> {
    let mut escapes = part.split('%').skip(1);
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if part.contains(';') || !escapes.all(is_escape) {
        return None;
    }
    let spaced = part.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(Cow::Owned(text.into_owned()))
}

fn without_prefix(name: &str) -> String {
    let prefixes = ["x-auth-request-", "x-"];
    let rest = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
    rest.unwrap_or(name).to_owned()
}

/// The parameters that can be checked against the session's e-mail address, and against the user's groups if the realm defines
/// them.
pub(crate) const BY_USER: Vocabulary = &[
    ("allowed_emails", Meaning::Emails),
    ("allowed_email_domains", Meaning::EmailDomains),
    ("allowed_groups", Meaning::Groups),
];

/// The names of the restricting parameters, in the form of header names.
const IN_HEADERS: [&str; 3] = ["allowed-email-domains", "allowed-emails", "allowed-groups"];

const ATTRIBUTE: &str = "attribute";
const EXTENSION: &str = "context extension";
const HEADER: &str = "header";
const PARAMETER: &str = "parameter";
const WORD: &str = "word";

/// Longer than the name of every parameter that a gateway knows.
const LONGEST_SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Vocabulary = &[
        ("allowed_emails", Meaning::Emails),
        ("allowed_email_domains", Meaning::EmailDomains),
        ("rd", Meaning::Harmless),
    ];

    fn restriction(emails: &[&str], domains: &[&str]) -> Restriction {
        let mut restriction = Restriction::default();
        emails
            .iter()
            .for_each(|list| restriction.allow_emails(list));
        domains
            .iter()
            .for_each(|list| restriction.allow_email_domains(list));
        restriction
    }

    #[test]
    fn parameters_are_read_as_oauth2_proxy_reads_them() {
        for (query, expected) in [
            ("", restriction(&[], &[])),
            ("&&", restriction(&[], &[])),
            ("allowed_emails=", restriction(&[], &[])),
            ("allowed_emails", restriction(&[], &[])),
            ("allowed_emails=a@b,c@d", restriction(&["a@b", "c@d"], &[])),
            (
                "allowed_emails=a@b&allowed_emails=c@d",
                restriction(&["a@b", "c@d"], &[]),
            ),
            (
                "allowed%5Femails=a%40b%2Cc%40d",
                restriction(&["a@b", "c@d"], &[]),
            ),
            ("allowed_emails=a+b@c", restriction(&["a b@c"], &[])),
            ("allowed_emails=a%2Bb@c", restriction(&["a+b@c"], &[])),
            (
                "allowed_email_domains=.b&rd=/x%zz;y&allowed_emails=a=b@c",
                restriction(&["a=b@c"], &[".b"]),
            ),
        ] {
            assert_eq!(from_query(query, WORDS, false), Ok(expected), "{query}");
        }
    }

    #[test]
    fn unsupported_parameter_is_named_where_that_is_safe() {
        for (query, shown) in [
            ("allowed_groups=admins", "the parameter `allowed_groups`"),
            ("rd=/&allowed_groups", "the parameter `allowed_groups`"),
            ("allowed%5fgroups=a", "the parameter `allowed_groups`"),
            ("allowed_emails=a@b;c", "the parameter `allowed_emails`"),
            ("allowed_emails=a%4", "the parameter `allowed_emails`"),
            ("allowed_emails=%ff", "the parameter `allowed_emails`"),
            ("Allowed_Emails=a@b", "a parameter that is not shown here"),
            ("dG9rZW4=", "a parameter that is not shown here"),
            ("=x", "a parameter that is not shown here"),
            ("%zz=x", "a parameter that is not shown here"),
        ] {
            let flaw = from_query(query, WORDS, false).expect_err(query);
            assert_eq!(flaw.to_string(), shown, "{query}");
        }
    }

    #[test]
    fn clients_own_query_may_contain_unsupported_parameters_that_restrict_nothing() {
        for query in ["page=2", "%zz;=&%", "=", "token=x&auth=bearer", "rd=/&a"] {
            assert!(from_query(query, WORDS, false).is_err(), "{query}");
            let read = from_query(query, WORDS, true);
            assert_eq!(read, Ok(Restriction::default()), "{query}");
        }
        for query in [
            "page=2&allowed_groups=admins",
            "%61llowed_groups",
            "Allowed-Roles=x",
            "allowed_emails=a;b",
            "allowed_emails=%zz",
            "auth=basic",
            "a%75th=BASIC",
        ] {
            assert!(from_query(query, WORDS, true).is_err(), "{query}");
        }
        assert_eq!(
            from_query("page=2&allowed_emails=a@b", WORDS, true),
            Ok(restriction(&["a@b"], &[]))
        );
    }

    #[test]
    fn header_with_a_restricting_name_is_found_in_every_spelling() {
        let with = |name: &'static str| {
            let name = http::HeaderName::from_static(name);
            let value = http::HeaderValue::from_static("admins");
            check_headers(&HeaderMap::from_iter([(name, value)]))
        };
        for name in [
            "allowed-groups",
            "allowed_emails",
            "x-allowed-email-domains",
            "x-auth-request-allowed_groups",
        ] {
            assert!(with(name).is_err(), "{name}");
        }
        for name in ["accept", "x-user-groups", "access-control-allowed-groups"] {
            assert!(with(name).is_ok(), "{name}");
        }
    }
}
