//! Finds the realm of a session in a configuration with several realms.

use session::UnixTime;

use super::outcome::{Outcome, RefusedSession};
use crate::config::DEFAULT_REALM;

/// The most informative outcome of all realms that were tried.
#[derive(Debug)]
pub(crate) struct RealmOutcome {
    answer: Outcome,
    /// The realm of the outcome; `None` if there is only one, or if no realm recognized anything.
    realm: Option<String>,
    /// The realms that were tried, if none of several recognized anything.
    tried: Vec<String>,
}

/// How much of the input a realm recognizes, from nothing to everything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Recognition {
    /// The input has none of its cookies.
    Nothing,
    /// The input has one of its cookies, which does not open.
    Name,
    /// Its secret opens a cookie that it does not recognize, which may have the name of another realm's cookie.
    Unnamed,
    /// The input has one of its cookies, which opens in another way.
    Value,
    /// The session is genuine, but refused because of its claims.
    Session,
    /// The session opens, or a gate would look it up in the store.
    All,
}

impl RealmOutcome {
    /// The outcome of the only realm.
    pub(crate) fn alone(answer: Outcome) -> Self {
        Self {
            answer,
            realm: None,
            tried: Vec::new(),
        }
    }

    /// Chooses from the outcomes of several realms, or of the one that was named; the first one if several are equally
    /// informative. `None` if none was tried.
    pub(crate) fn of(answers: Vec<(String, Outcome)>) -> Option<Self> {
        let tried: Vec<_> = answers.iter().map(|(realm, _)| realm.clone()).collect();
        let most = |best: (String, Outcome), other: (String, Outcome)| match other.1.recognition()
            > best.1.recognition()
        {
            true => other,
            false => best,
        };
        let named = answers.iter().filter_map(|(realm, answer)| {
            let is_named = answer.recognition() == Recognition::Name;
            Some((
                realm.clone(),
                answer.cookie().filter(|_| is_named)?.to_owned(),
            ))
        });
        let named: Vec<_> = named.collect();
        let (realm, answer) = answers.into_iter().reduce(most)?;
        let is_unnamed = answer.recognition() == Recognition::Unnamed;
        let owner = named
            .iter()
            .find(|(_, cookie)| is_unnamed && answer.cookie() == Some(cookie));
        let answer = match owner {
            Some((owner, _)) => answer.in_cookie_of(owner, &realm),
            None => answer,
        };
        Some(
            match answer.recognition() == Recognition::Nothing && tried.len() > 1 {
                true => Self {
                    answer,
                    realm: None,
                    tried,
                },
                false => Self {
                    answer: answer.with_advice_for(&realm),
                    realm: Some(realm),
                    tried: Vec::new(),
                },
            },
        )
    }

    /// Whether a gate would accept the session, or look it up in the store.
    pub(crate) fn is_opened(&self) -> bool {
        self.answer.is_opened()
    }

    /// The outcome as one line of JSON.
    pub(crate) fn json(&self) -> String {
        self.answer.json(self.realm.as_deref())
    }

    /// The outcome as text.
    pub(crate) fn text(&self, now: UnixTime) -> String {
        let text = self.answer.text(now, self.realm.as_deref());
        match self.tried.is_empty() {
            true => text,
            false => format!("{text}\nTried: the realms {}.", self.tried.join(", ")),
        }
    }
}

impl Outcome {
    fn recognition(&self) -> Recognition {
        let Self::Refused(refusal) = self else {
            return Recognition::All;
        };
        // As docs/explaining-cookies.md says, a cause with these words is about a value that was tried and opened.
        let opens = refusal.likely_cause.as_ref();
        let opens = opens.is_some_and(|cause| cause.contains("it opens"));
        match (refusal.reason, opens) {
            ("no_credential", false) => Recognition::Nothing,
            ("no_credential", true) => Recognition::Unnamed,
            _ if refusal.is_verified => Recognition::Session,
            (_, true) => Recognition::Value,
            (_, false) => Recognition::Name,
        }
    }

    /// The cookie that the outcome is about.
    fn cookie(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.cookie.as_deref(),
            Self::Session { .. } | Self::Token { .. } => None,
        }
    }

    /// Adds to the cause that a session of this realm is in the cookie of the realm `owner`.
    fn in_cookie_of(self, owner: &str, realm: &str) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(RefusedSession {
                likely_cause: refusal.likely_cause.map(|cause| {
                    format!(
                        "it is a session of the realm {realm} in the cookie of the realm {owner}, whose secrets do not \
                         open it: two apps write the same cookie, and the last one wins. {cause}"
                    )
                }),
                ..refusal
            }),
            Self::Session { .. } | Self::Token { .. } => self,
        }
    }

    /// Rewrites advice to name the keys of this realm.
    fn with_advice_for(self, realm: &str) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(RefusedSession {
                likely_cause: refusal.likely_cause.map(|cause| in_realm(&cause, realm)),
                ..refusal
            }),
            Self::Session { .. } | Self::Token { .. } => self,
        }
    }
}

/// The name of a setting of this realm: the variable if the top level defines the realm, or else the key in its table.
pub(super) fn key(realm: Option<&str>, variable: &str) -> String {
    match realm {
        None | Some(DEFAULT_REALM) => variable.to_owned(),
        Some(_) => variable.to_ascii_lowercase(),
    }
}

/// Rewrites advice about variables of the gate to advice about keys in the table of a realm.
fn in_realm(advice: &str, realm: &str) -> String {
    if realm == DEFAULT_REALM {
        return advice.to_owned();
    }
    let words = advice.split(' ').map(|word| {
        let bare = word.trim_end_matches([',', ';', '.', ':']);
        let after = &word[bare.len()..];
        match bare.split_once('=') {
            Some((name, value)) if VARIABLES.contains(&name) => {
                format!("`{} = {value:?}`{after}", name.to_ascii_lowercase())
            }
            None if VARIABLES.contains(&bare) => format!("{}{after}", bare.to_ascii_lowercase()),
            Some(_) | None => word.to_owned(),
        }
    });
    let advice = words.collect::<Vec<_>>().join(" ");
    let advice = advice.replace(" to the gate", &format!(" in [realm.{realm}]"));
    advice.replace("the gate has", &format!("[realm.{realm}] has"))
}

/// The variables that appear in advice, which are keys of a realm.
const VARIABLES: [&str; 14] = [
    "AUTH_COOKIE_NAME",
    "BEARER_AUDIENCE",
    "BEARER_ISSUER",
    "BEARER_JWKS",
    "BEARER_SECRET",
    "BETTER_AUTH_CACHE_STRATEGY",
    "BETTER_AUTH_CACHE_VERSION",
    "BETTER_AUTH_DATA_COOKIE_NAME",
    "JWT_SALT",
    "SESSION_FORMAT",
    "TOKEN_AUDIENCE",
    "TOKEN_ISSUER",
    "TOKEN_MAX_AGE",
    "TRUST_COOKIE_CACHE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_keys_of_the_realm() {
        for (advice, of_shop) in [
            (
                "give `--format x --cookie-name a.b`, and SESSION_FORMAT=x, AUTH_COOKIE_NAME=a.b to the gate",
                "give `--format x --cookie-name a.b`, and `session_format = \"x\"`, `auth_cookie_name = \"a.b\"` in \
                 [realm.shop]",
            ),
            (
                "the gate has TOKEN_ISSUER set, but the session's claim is \"y\"",
                "[realm.shop] has token_issuer set, but the session's claim is \"y\"",
            ),
            (
                "it needs AUTH_URL or NEXTAUTH_URL",
                "it needs AUTH_URL or NEXTAUTH_URL",
            ),
        ] {
            assert_eq!(in_realm(advice, "shop"), of_shop);
            assert_eq!(in_realm(advice, DEFAULT_REALM), advice);
        }
    }
}
