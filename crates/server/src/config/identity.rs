//! Which users may enter, what is written about them, and which claim names them.

use gate::{ClaimPath, EmailHeader, Groups, GroupsSource, IdentityRules};

use super::raw::Reader;
use super::rules::RuleColumns;
use super::sessions::SessionFormat;
use stores::{self, Column};

/// The rules about people: `EMAIL_HEADER` and `ALLOW_ANONYMOUS`.
pub(super) fn rules(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> IdentityRules {
    let words = [
        ("verified", EmailHeader::Verified),
        ("always", EmailHeader::Always),
    ];
    let email = reader.choice("EMAIL_HEADER", EmailHeader::Verified, &words);
    if email == EmailHeader::Always {
        warnings.push(
            "EMAIL_HEADER is `always`: an e-mail address that nobody has verified is written as identity, so where \
             sign-up is open, anybody can be somebody else to a service that knows its users by address"
                .to_owned(),
        );
    }
    IdentityRules {
        email,
        allow_anonymous: reader.switch("ALLOW_ANONYMOUS", true),
        groups: None,
    }
}

/// Where the groups of a user are, as far as the settings say it.
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
    /// The groups, where somebody has use for them: what they are read from is asked for from now on.
    pub(super) fn used(self, reader: &mut Reader<'_>, columns: &mut RuleColumns) -> Groups {
        let source = match self.source {
            RawGroupsSource::Claim(claim) => {
                if let Err(what) = columns.claim_of_setting(&claim) {
                    reader.problem("GROUPS_CLAIM", what);
                }
                GroupsSource::Claim(claim)
            }
            RawGroupsSource::Column(column) => {
                if let Some(place) = reader.place("GROUPS_COLUMN") {
                    columns.named_at(column.name(), place);
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

/// Where the groups of a user are: `GROUPS_CLAIM`, or `GROUPS_COLUMN`.
pub(super) fn groups(reader: &mut Reader<'_>) -> Option<RawGroups> {
    let separator = reader.parsed("GROUPS_SEPARATOR", ",".to_owned(), "a text");
    let claim = reader.read("GROUPS_CLAIM", |text| {
        ClaimPath::new(text)
            .ok_or("give the names of members with a dot between them, such as `user.groups`")
    });
    let column = reader.read("GROUPS_COLUMN", Column::parse);
    let source = match (claim, column) {
        (None, None) => {
            let why = "neither GROUPS_CLAIM nor GROUPS_COLUMN says where groups are";
            reader.idle("GROUPS_SEPARATOR", why);
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

/// What to say where guests are refused and the database is not asked who is one.
pub(super) fn unknown_guests(
    rules: &IdentityRules,
    stores: Option<&stores::Settings>,
) -> Option<String> {
    let tables = stores?.database.as_ref()?.sessions.as_ref()?;
    let unknown = !rules.allow_anonymous && tables.standing.anonymous.is_none();
    unknown.then(|| {
        "ALLOW_ANONYMOUS is off, and no column says who is a guest: sessions that are looked up in the database count as \
         those of users; name the column in USER_ANONYMOUS_FIELD"
            .to_owned()
    })
}

/// The claims that say who the user is, in place of `sub`.
#[derive(Debug)]
pub(super) struct SubjectClaims {
    /// Of sealed and signed sessions.
    pub(super) session: Option<String>,
    /// Of signed tokens.
    pub(super) bearer: Option<String>,
}

/// `SUBJECT_CLAIM`, and `BEARER_SUBJECT_CLAIM`, which is the same unless it says otherwise.
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
            "{SUBJECT} has no effect: sessions of this SESSION_FORMAT name their user by the id in the app's table"
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
    if NEVER_WHO.contains(&text) {
        return Err("this claim says something else than who the user is");
    }
    if text.trim() != text || text.contains(char::is_control) {
        return Err("a blank before or after the name would be a part of it; remove it");
    }
    Ok(text.to_owned())
}

/// The claims that are read for what they say of times, of the token, or of a user who is named elsewhere.
const NEVER_WHO: [&str; 10] = [
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
