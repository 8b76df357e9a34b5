//! Ways to read a session that operators commonly mix up, and secrets to read it with.

use session::{CookieName, Secret, SessionCookie};

use super::super::super::inspection::Inspection;
use super::super::misspellings::misspellings;
use super::super::prefix::{SECURE, other_prefix};
use super::FailedSession;

/// One way to read the session, with its description.
pub(super) struct CookieReading {
    pub(super) cookie: SessionCookie,
    /// `None` if it is the configured way.
    pub(super) other: Option<Deviation>,
}

/// One secret to try, with its description.
pub(super) struct Candidate {
    pub(super) secret: Secret,
    /// `None` for the current secret as given.
    pub(super) other: Option<Deviation>,
}

/// How an attempt differs from the configuration.
#[derive(Clone)]
pub(super) struct Deviation {
    /// A phrase that follows "it opens".
    pub(super) how: String,
    /// What to do to correct it.
    pub(super) advice: String,
}

impl FailedSession<'_> {
    /// The ways to read the session: for each cookie those that differ from the configuration, then the configured one.
    pub(super) fn readings(&self) -> Vec<CookieReading> {
        let recognized = &self.inspection.recognized;
        let mut readings = Vec::new();
        let mut reading = |cookie, other| readings.push(CookieReading { cookie, other });
        let cookies = match self.found {
            Some(cookie) => vec![cookie.clone()],
            None => {
                let groups = self.inspection.groups();
                groups
                    .into_iter()
                    .flat_map(|(_, cookies)| cookies)
                    .collect()
            }
        };
        for cookie in cookies {
            let name = cookie.name();
            match cookie.expects() {
                "better-auth" => {
                    if let Some(cache) = &recognized.cache
                        && cache.strategy.is_some()
                    {
                        let any = session::CookieCache {
                            strategy: None,
                            version: cache.version.clone(),
                        };
                        let other = Deviation {
                            how: "with another strategy".to_owned(),
                            advice: "leave `--strategy` and BETTER_AUTH_CACHE_STRATEGY out, or compare them with the \
                                     app's `session.cookieCache.strategy`"
                                .to_owned(),
                        };
                        reading(cookie.clone().with_cache(Some(any)), Some(other));
                    }
                }
                expects => {
                    let own_name = |option: &str| match &recognized.cookie_name {
                        None => format!(
                            "give `--format {option} --cookie-name {name}`, and SESSION_FORMAT={option} and \
                             AUTH_COOKIE_NAME={name} to the gate"
                        ),
                        Some(_) => format!(
                            "give `--format {option}`, and SESSION_FORMAT={option} to the gate"
                        ),
                    };
                    let authjs = match expects {
                        expects if expects.starts_with("authjs-") => None,
                        _ => Some(Deviation {
                            how: "as a session of Auth.js v5, not of NextAuth v4".to_owned(),
                            advice: own_name("authjs"),
                        }),
                    };
                    let nextauth = Deviation {
                        how: "as a session of NextAuth v4, not of Auth.js v5".to_owned(),
                        advice: own_name("nextauth"),
                    };
                    match &authjs {
                        None => {
                            reading(SessionCookie::nextauth(name.clone()), Some(nextauth));
                        }
                        Some(_) if recognized.salt.is_some() => {
                            let other = Deviation {
                                how: "without the salt".to_owned(),
                                advice: "leave `--salt` out: NextAuth v4 uses none for sessions"
                                    .to_owned(),
                            };
                            reading(SessionCookie::nextauth(name.clone()), Some(other));
                        }
                        Some(_) => {}
                    }
                    for (salt, what) in salts(self.inspection, name) {
                        let how = format!("with the salt {what}");
                        let (how, advice) = match &authjs {
                            None => (how, self.advice_on_salt(name, &salt)),
                            Some(other) if salt == name.as_str() => {
                                (other.how.clone(), other.advice.clone())
                            }
                            Some(other) => (
                                format!("{} {how}", other.how),
                                format!("{} and `--salt {salt}`", other.advice),
                            ),
                        };
                        let cookie = SessionCookie::authjs(name.clone()).with_salt(&salt);
                        reading(cookie, Some(Deviation { how, advice }));
                    }
                }
            }
            reading(cookie, None);
        }
        readings
    }

    fn advice_on_salt(&self, name: &CookieName, salt: &str) -> String {
        match salt == name.as_str() {
            true => {
                "leave `--salt` out, and JWT_SALT too: the salt of Auth.js is the cookie's name"
                    .to_owned()
            }
            false => format!(
                "the cookie was renamed after it was sealed, or the app has a salt of its own: give `--salt {salt}`, \
                 and JWT_SALT={salt} and AUTH_COOKIE_NAME={name} to the gate"
            ),
        }
    }

    /// The secrets as given, then common misspellings.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let secrets = self.secrets();
        let name_of = |index: usize| match secrets.len() {
            1 => "the secret".to_owned(),
            count => format!("secret {} of {count}", index + 1),
        };
        let older = secrets.iter().enumerate().map(|(index, secret)| Candidate {
            secret: secret.clone(),
            other: (index > 0).then(|| Deviation {
                how: format!("with {}, which is not the current one", name_of(index)),
                advice: "such a session opens only with the current secret, which is the first"
                    .to_owned(),
            }),
        });
        let misspelt = secrets.iter().enumerate().flat_map(|(index, secret)| {
            misspellings(secret)
                .into_iter()
                .map(move |other| Candidate {
                    secret: other.secret,
                    other: Some(Deviation {
                        how: format!("with {} {}", name_of(index), other.how),
                        advice: other.advice.to_owned(),
                    }),
                })
        });
        older.chain(misspelt).collect()
    }
}

/// Salts of Auth.js that are commonly mixed up for a cookie with this name, with their descriptions.
pub(in crate::open::diagnosis) fn salts(
    inspection: &Inspection<'_>,
    name: &CookieName,
) -> Vec<(String, String)> {
    let mut salts: Vec<(String, String)> = vec![(
        name.to_string(),
        format!("{name}, which is the cookie's name"),
    )];
    if let Some(other) = other_prefix(name) {
        let difference = match other.as_str().starts_with(SECURE) {
            true => format!("with {SECURE}"),
            false => format!("without {SECURE}"),
        };
        salts.push((
            other.to_string(),
            format!("{other}, the cookie's name {difference}"),
        ));
    }
    if let Some(salt) = inspection.other_salt {
        salts.push((salt.to_owned(), "in JWT_SALT".to_owned()));
    }
    if let Some(own) = &inspection.recognized.cookie_name {
        salts.push((
            own.to_string(),
            format!("{own}, the configured cookie name"),
        ));
    }
    let defaults = SessionCookie::defaults();
    for default in defaults.iter().map(SessionCookie::name) {
        salts.push((
            default.to_string(),
            format!("{default}, the name of another cookie"),
        ));
    }
    salts
}
