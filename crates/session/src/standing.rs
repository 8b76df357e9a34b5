//! What a session says about its user beyond the user's id: whether the e-mail address was verified, whether the user is a guest,
//! and whether another user impersonates the user.
//!
//! | | e-mail address | guest | acting |
//! |---|---|---|---|
//! | Better Auth (`@better-auth/core` `dist/db/get-tables.mjs`, plugins `anonymous` and `admin`) | `user.emailVerified`, a boolean | `user.isAnonymous` | `session.impersonatedBy` |
//! | Auth.js, in a database (`@auth/core` `src/adapters.ts`) | `emailVerified`, a time or null | | |
//! | claims of sealed sessions and signed tokens | `email_verified` (OpenID Connect Core section 5.1) or `emailVerified` | `isAnonymous` or `is_anonymous` | `impersonatedBy` |
//!
//! Auth.js itself writes none of the claims, but applications copy them from their users, and so does the `jwt` plugin of Better
//! Auth. Some issuers write booleans as strings.

use std::borrow::Cow;

use crate::json::Kept;
use crate::text_claim::TextClaim;

/// What a store says about a session's user beyond the user's id. The default says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Whether the user's e-mail address was verified; `None` when it is not known.
    pub email_verified: Option<bool>,
    /// Whether the user is a guest, who has never signed up.
    pub is_anonymous: bool,
    /// The id of the user who impersonates this one.
    pub impersonated_by: Option<&'a str>,
}

/// A [`Standing`] that a session owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnStanding {
    pub(crate) email_verified: Option<bool>,
    pub(crate) is_anonymous: bool,
    pub(crate) impersonated_by: Option<TextClaim>,
}

/// The members from which a [`Standing`] is read, as far as they exist.
pub(crate) struct StandingClaims<'c> {
    pub(crate) email_verified: [Option<Kept<'c>>; 2],
    pub(crate) is_anonymous: [Option<Kept<'c>>; 2],
    pub(crate) impersonated_by: Option<Kept<'c>>,
}

impl OwnStanding {
    /// Reads the members of `claims`. When two members disagree, the one that grants the user less is used.
    pub(crate) fn of(claims: &str, members: StandingClaims<'_>) -> Self {
        let [one, other] = members.email_verified.map(|claim| verified(&claim?));
        let email_verified = match (one, other) {
            (Some(one), Some(other)) => Some(one && other),
            (one, other) => one.or(other),
        };
        let is_anonymous = members.is_anonymous.iter().flatten().any(guest);
        let impersonated_by = members.impersonated_by.and_then(id);
        Self {
            email_verified,
            is_anonymous,
            impersonated_by: impersonated_by.map(|id| TextClaim::of(claims, id)),
        }
    }

    /// Copies the standing that a store returned.
    pub(crate) fn stored(standing: Standing<'_>) -> Self {
        Self {
            email_verified: standing.email_verified,
            is_anonymous: standing.is_anonymous,
            impersonated_by: standing.impersonated_by.map(|id| TextClaim::Own(id.into())),
        }
    }

    pub(crate) fn standing<'s>(&'s self, claims: &'s str) -> Standing<'s> {
        Standing {
            email_verified: self.email_verified,
            is_anonymous: self.is_anonymous,
            impersonated_by: self.impersonated_by.as_ref().map(|id| id.text(claims)),
        }
    }
}

/// Whether a text, as databases print booleans and times, says that an address was verified. It does if it is `true`, `t` or `1`,
/// in any case, or a time: a date that begins with `YYYY-MM-DD`, or a whole number other than 0. Any other text says that the
/// address was not verified, so that an unknown word, such as `pending`, does not verify an address.
///
/// The caller has to interpret `NULL`: adapters of Auth.js write it for every user of an OAuth provider.
#[must_use]
pub fn means_verified(text: &str) -> bool {
    let text = text.trim_ascii();
    let yes = ["true", "t", "1"];
    if yes.iter().any(|yes| text.eq_ignore_ascii_case(yes)) {
        return true;
    }
    let is_date = text
        .as_bytes()
        .first_chunk()
        .is_some_and(|date: &[u8; 10]| {
            let fits = |(byte, wanted): (&u8, &u8)| match wanted {
                b'0' => byte.is_ascii_digit(),
                wanted => byte == wanted,
            };
            date.iter().zip(b"0000-00-00").all(fits)
        });
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_zero = text.bytes().all(|byte| byte == b'0');
    is_date || (is_number && !is_zero)
}

/// Whether a text, as databases print booleans, says that a user is a guest. Only an empty text, `0`, `f` and `false` mean no, so
/// that an unknown word does not turn a guest into a user.
#[must_use]
pub fn means_guest(text: &str) -> bool {
    let no = ["", "0", "f", "false"];
    !no.iter()
        .any(|no| text.trim_ascii().eq_ignore_ascii_case(no))
}

/// What a claim says about the address; `None` when it is `null`.
fn verified(claim: &Kept<'_>) -> Option<bool> {
    match claim {
        Kept::Null => None,
        Kept::Bool(verified) => Some(*verified),
        Kept::Integer(time) => Some(*time > 0),
        Kept::Text(text) => Some(means_verified(text)),
        Kept::Number(_) | Kept::Other | Kept::Texts(_) => Some(false),
    }
}

fn guest(claim: &Kept<'_>) -> bool {
    match claim {
        Kept::Null => false,
        Kept::Bool(guest) => *guest,
        Kept::Integer(number) => *number != 0,
        Kept::Text(text) => means_guest(text),
        Kept::Number(_) | Kept::Other | Kept::Texts(_) => true,
    }
}

/// An id: a text, or a number where the application's database generates numeric ids.
fn id(claim: Kept<'_>) -> Option<Cow<'_, str>> {
    match claim {
        Kept::Integer(id) => Some(id.to_string().into()),
        Kept::Text(id) => Some(id).filter(|id| !id.is_empty()),
        Kept::Bool(_) | Kept::Null | Kept::Number(_) | Kept::Other | Kept::Texts(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn standing(claims: &str) -> OwnStanding {
        let wanted = ["a", "b", "g", "h", "i"];
        let [a, b, g, h, impersonated_by] = json::members(claims, wanted).expect("strict");
        let members = StandingClaims {
            email_verified: [a, b],
            is_anonymous: [g, h],
            impersonated_by,
        };
        OwnStanding::of(claims, members)
    }

    #[test]
    fn true_or_a_time_verifies_an_address() {
        for (value, verified) in [
            ("true", Some(true)),
            ("false", Some(false)),
            ("null", None),
            ("\"true\"", Some(true)),
            ("\"false\"", Some(false)),
            ("\"\"", Some(false)),
            ("\"2026-01-02T03:04:05.000Z\"", Some(true)),
            ("1767322800000", Some(true)),
            ("1", Some(true)),
            ("0", Some(false)),
            ("-1", Some(false)),
            ("0.5", Some(false)),
            ("\"pending\"", Some(false)),
            ("{}", Some(false)),
            ("[\"true\"]", Some(false)),
        ] {
            let claims = format!(r#"{{"a":{value}}}"#);
            assert_eq!(standing(&claims).email_verified, verified, "{value}");
        }
        assert_eq!(standing("{}"), OwnStanding::default());
    }

    #[test]
    fn the_less_favorable_of_two_members_applies() {
        let verified = |claims| standing(claims).email_verified;
        assert_eq!(verified(r#"{"a":true,"b":false}"#), Some(false));
        assert_eq!(verified(r#"{"a":false,"b":true}"#), Some(false));
        assert_eq!(verified(r#"{"a":null,"b":true}"#), Some(true));
        assert_eq!(verified(r#"{"a":null,"b":false}"#), Some(false));
        assert!(standing(r#"{"g":false,"h":true}"#).is_anonymous);
    }

    #[test]
    fn everything_except_false_makes_a_guest() {
        for (value, guest) in [
            ("true", true),
            ("false", false),
            ("null", false),
            ("1", true),
            ("0", false),
            ("\"true\"", true),
            ("\"false\"", false),
            ("\"\"", false),
            ("\"yes\"", true),
            ("{}", true),
        ] {
            let claims = format!(r#"{{"g":{value}}}"#);
            assert_eq!(standing(&claims).is_anonymous, guest, "{value}");
        }
    }

    #[test]
    fn an_impersonator_needs_an_id() {
        for (value, id) in [
            ("\"admin-1\"", Some("admin-1")),
            ("7", Some("7")),
            ("null", None),
            ("\"\"", None),
            ("true", None),
        ] {
            let claims = format!(r#"{{"i":{value}}}"#);
            let own = standing(&claims);
            assert_eq!(own.standing(&claims).impersonated_by, id, "{value}");
        }
    }

    #[test]
    fn printed_database_values_are_read() {
        for yes in [
            "true",
            "t",
            "1",
            "TRUE",
            "2026-01-02 03:04:05+00",
            "2026-01-02",
            "1767322800",
        ] {
            assert!(means_verified(yes), "{yes}");
        }
        for no in [
            "", "false", "f", "0", "00", "no", "pending", "-1", "infinity", "2026-1-2",
        ] {
            assert!(!means_verified(no), "{no}");
        }
    }
}
