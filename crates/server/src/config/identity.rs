//! Reads which users may enter, which of their e-mail addresses and groups services receive, and which claim has their id.

use gate::{ClaimPath, EmailHeader, Groups, GroupsSource, IdentityRules};

use super::reader::Reader;
use super::rules::RuleColumns;
use super::sessions::SessionFormat;
use stores::{self, Column};

/// Reads the rules about users: `EMAIL_HEADER` and `ALLOW_ANONYMOUS`.
pub(super) fn rules(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> IdentityRules {
    let words = [
        ("verified", EmailHeader::Verified),
        ("always", EmailHeader::Always),
    ];
    let email = reader.choice("EMAIL_HEADER", EmailHeader::Verified, &words);
    if email == EmailHeader::Always {
        warnings.push(
            "EMAIL_HEADER is `always`: services receive unverified e-mail addresses. If anybody can sign up, they can \
             impersonate others to a service that identifies users by e-mail address"
                .to_owned(),
        );
    }
    IdentityRules {
        email,
        allow_anonymous: reader.switch("ALLOW_ANONYMOUS", true),
        groups: None,
    }
}

/// Where a user's groups are found, according to the settings.
#[derive(Debug)]
pub(super) struct RawGroups {
    source: RawGroupsSource,
    separator: Box<str>,
}

#[derive(Debug)]
enum RawGroupsSource {
    Claim(ClaimPath),
    Column(Column),
}

impl RawGroups {
    /// Resolves the groups if a route uses them; the claim or column is read with every session from now on.
    pub(super) fn resolve(self, reader: &mut Reader<'_>, columns: &mut RuleColumns) -> Groups {
        let source = match self.source {
            RawGroupsSource::Claim(claim) => {
                if let Err(what) = columns.claim_of_setting(&claim) {
                    reader.problem("GROUPS_CLAIM", what);
                }
                GroupsSource::Claim(claim)
            }
            RawGroupsSource::Column(column) => {
                if let Some(place) = reader.place("GROUPS_COLUMN") {
                    columns.record_place(column.name(), place);
                }
                GroupsSource::Column(columns.value(column))
            }
        };
        Groups {
            source,
            separator: self.separator,
        }
    }
}

/// Reads where a user's groups are found: `GROUPS_CLAIM` or `GROUPS_COLUMN`.
pub(super) fn groups(reader: &mut Reader<'_>) -> Option<RawGroups> {
    let separator = reader.parsed("GROUPS_SEPARATOR", ",".to_owned(), "a text");
    let claim = reader.read("GROUPS_CLAIM", |text| {
        ClaimPath::new(text).ok_or("write the path of the claim with dots, such as `user.groups`")
    });
    let column = reader.read("GROUPS_COLUMN", Column::parse);
    let source = match (claim, column) {
        (None, None) => {
            let why = "neither GROUPS_CLAIM nor GROUPS_COLUMN is set";
            reader.warn_about_unused("GROUPS_SEPARATOR", why);
            return None;
        }
        (Some(claim), None) => RawGroupsSource::Claim(claim),
        (None, Some(column)) => RawGroupsSource::Column(column),
        (Some(_), Some(_)) => {
            reader.problem("GROUPS_COLUMN", "GROUPS_CLAIM is set too; keep one of them");
            return None;
        }
    };
    Some(RawGroups {
        source,
        separator: separator.into(),
    })
}

/// The warning if anonymous users are refused, but the database does not show which users are anonymous.
pub(super) fn unknown_anonymous_warning(
    rules: &IdentityRules,
    stores: Option<&stores::Settings>,
) -> Option<String> {
    let tables = stores?.database.as_ref()?.sessions.as_ref()?;
    let unknown = !rules.allow_anonymous && tables.standing.anonymous.is_none();
    unknown.then(|| {
        "ALLOW_ANONYMOUS is off, but no column shows which users are anonymous, so anonymous users with sessions in \
         the database are not refused; set USER_ANONYMOUS_FIELD"
            .to_owned()
    })
}

/// The claims with the user's id, where it is not `sub`.
#[derive(Debug)]
pub(super) struct SubjectClaims {
    /// The claim of sessions in cookies.
    pub(super) session: Option<String>,
    /// The claim of bearer tokens.
    pub(super) bearer: Option<String>,
}

/// Reads `SUBJECT_CLAIM`, and `BEARER_SUBJECT_CLAIM`, which defaults to it.
pub(super) fn subject_claims(
    reader: &mut Reader<'_>,
    format: SessionFormat,
    warnings: &mut Vec<String>,
) -> SubjectClaims {
    let mut claim = |name: &str| reader.read(name, subject_claim);
    let session = claim(SUBJECT);
    let own = claim(BEARER_SUBJECT);
    let has_tokens = ["BEARER_SECRET", "BEARER_JWKS"]
        .iter()
        .any(|name| reader.is_set(name));
    let has_claims = match format {
        SessionFormat::Auto
        | SessionFormat::AuthJs
        | SessionFormat::AuthJsSigned
        | SessionFormat::NextAuth => true,
        SessionFormat::AuthJsDatabase | SessionFormat::BetterAuth => false,
    };
    if session.is_some() && !has_claims && !(has_tokens && own.is_none()) {
        warnings.push(format!(
            "{SUBJECT} has no effect: sessions of this SESSION_FORMAT always contain the id from the app's user table"
        ));
    }
    if own.is_some() && !has_tokens {
        warnings.push(format!(
            "{BEARER_SUBJECT} has no effect without BEARER_SECRET or BEARER_JWKS"
        ));
    }
    SubjectClaims {
        bearer: own.or_else(|| session.clone()),
        session,
    }
}

fn subject_claim(text: &str) -> Result<String, &'static str> {
    if NOT_IDENTIFYING.contains(&text) {
        return Err("this claim does not identify a user");
    }
    if text.trim() != text || text.contains(char::is_control) {
        return Err("spaces before or after the name would be part of it; remove them");
    }
    Ok(text.to_owned())
}

/// Claims with other meanings: times, properties of the token, or properties of a user identified elsewhere.
const NOT_IDENTIFYING: [&str; 10] = [
    "aud",
    "email_verified",
    "emailVerified",
    "exp",
    "iat",
    "impersonatedBy",
    "isAnonymous",
    "is_anonymous",
    "iss",
    "nbf",
];

const SUBJECT: &str = "SUBJECT_CLAIM";
const BEARER_SUBJECT: &str = "BEARER_SUBJECT_CLAIM";
