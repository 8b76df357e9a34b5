//! The realm that knows a session, of a configuration with several.

use session::UnixTime;

use super::outcome::{Outcome, RefusedSession};
use crate::config::DEFAULT_REALM;

/// The answer that says most, of those of all realms that were asked.
#[derive(Debug)]
pub(crate) struct RealmOutcome {
    answer: Outcome,
    /// Which realm gives it; `None` where there is only one, or where no realm has found anything.
    realm: Option<String>,
    /// The realms that were asked, if nothing was found by any of several.
    tried: Vec<String>,
}

/// How much a realm knows of what it was given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Recognition {
    /// None of its cookies is there.
    Nothing,
    /// One of its cookies is there, and does not open.
    Name,
    /// Its secret opens a cookie that does not count: it may have the name that another realm's cookie has.
    Unnamed,
    /// That opens in another way.
    Value,
    /// It is genuine, and is refused for what it says.
    Session,
    /// It opens.
    All,
}

impl RealmOutcome {
    /// Of the only realm.
    pub(crate) fn alone(answer: Outcome) -> Self {
        Self {
            answer,
            realm: None,
            tried: Vec::new(),
        }
    }

    /// Of several realms, or of the one that was named; the first of those that know as much as each other. `None` where
    /// none was asked.
    pub(crate) fn of(answers: Vec<(String, Outcome)>) -> Option<Self> {
        let tried: Vec<_> = answers.iter().map(|(realm, _)| realm.clone()).collect();
        let most = |best: (String, Outcome), other: (String, Outcome)| match other.1.knows()
            > best.1.knows()
        {
            true => other,
            false => best,
        };
        let named = answers.iter().filter_map(|(realm, answer)| {
            let is_named = answer.knows() == Recognition::Name;
            Some((
                realm.clone(),
                answer.cookie().filter(|_| is_named)?.to_owned(),
            ))
        });
        let named: Vec<_> = named.collect();
        let (realm, answer) = answers.into_iter().reduce(most)?;
        let is_unnamed = answer.knows() == Recognition::Unnamed;
        let owner = named
            .iter()
            .find(|(_, cookie)| is_unnamed && answer.cookie() == Some(cookie));
        let answer = match owner {
            Some((owner, _)) => answer.under_the_name_of(owner, &realm),
            None => answer,
        };
        Some(
            match answer.knows() == Recognition::Nothing && tried.len() > 1 {
                true => Self {
                    answer,
                    realm: None,
                    tried,
                },
                false => Self {
                    answer: answer.advising(&realm),
                    realm: Some(realm),
                    tried: Vec::new(),
                },
            },
        )
    }

    /// Whether a gate would let it in, or ask the store whether to.
    pub(crate) fn is_opened(&self) -> bool {
        self.answer.is_opened()
    }

    /// For programs: one line of JSON.
    pub(crate) fn json(&self) -> String {
        self.answer.json(self.realm.as_deref())
    }

    /// For people.
    pub(crate) fn text(&self, now: UnixTime) -> String {
        let text = self.answer.text(now, self.realm.as_deref());
        match self.tried.is_empty() {
            true => text,
            false => format!("{text}\nTried: the realms {}.", self.tried.join(", ")),
        }
    }
}

impl Outcome {
    fn knows(&self) -> Recognition {
        let Self::Refused(refusal) = self else {
            return Recognition::All;
        };
        // Documented: what begins so was tried, and opened.
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

    /// The cookie that it is about.
    fn cookie(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.cookie.as_deref(),
            Self::Session { .. } | Self::Token { .. } => None,
        }
    }

    /// With a word about a cookie of this realm that has the name which the cookie of `owner` has.
    fn under_the_name_of(self, owner: &str, realm: &str) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(RefusedSession {
                likely_cause: refusal.likely_cause.map(|cause| {
                    format!(
                        "it is a session of the realm {realm} under the name of the realm {owner}'s cookie, whose secrets do not open \
                         it: two apps write the same cookie, and the last one wins. {cause}"
                    )
                }),
                ..refusal
            }),
            Self::Session { .. } | Self::Token { .. } => self,
        }
    }

    /// With advice that names the keys of this realm.
    fn advising(self, realm: &str) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(RefusedSession {
                likely_cause: refusal.likely_cause.map(|cause| in_realm(&cause, realm)),
                ..refusal
            }),
            Self::Session { .. } | Self::Token { .. } => self,
        }
    }
}

/// What a variable is called in the table of this realm.
pub(super) fn key(realm: Option<&str>, variable: &str) -> String {
    match realm {
        None | Some(DEFAULT_REALM) => variable.to_owned(),
        Some(_) => variable.to_ascii_lowercase(),
    }
}

/// Advice about variables of the gate, as advice about keys of the table of a realm.
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
    advice.replace("the gate is told", &format!("[realm.{realm}] has"))
}

/// The variables that advice is about. A realm has them as keys.
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
    fn advice_about_variables_becomes_advice_about_keys_of_a_realm() {
        for (advice, of_shop) in [
            (
                "give `--format x --cookie-name a.b`, and SESSION_FORMAT=x, AUTH_COOKIE_NAME=a.b to the gate",
                "give `--format x --cookie-name a.b`, and `session_format = \"x\"`, `auth_cookie_name = \"a.b\"` in \
                 [realm.shop]",
            ),
            (
                "the gate is told TOKEN_ISSUER, and of that the session says \"y\"",
                "[realm.shop] has token_issuer, and of that the session says \"y\"",
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
