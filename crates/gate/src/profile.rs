//! Under which names an identity is written, and how: profiles of headers, ours and those of the proxies and applications that
//! people come from.

mod built_in;
mod encoding;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};
use session::Secret;

pub use self::built_in::IdentityHeaders;
pub use self::encoding::Encoding;
use crate::condition::{ClaimPath, ColumnRef};
use crate::{Admission, IdentityRules, Route, User};

/// The headers that tell a service who is calling. The only maker of identity headers.
#[derive(Clone, Debug)]
pub struct HeaderProfile {
    /// Its name, for people.
    pub name: Arc<str>,
    /// Every header of it. All are written on every request that enters by it, empty where nothing is known. Without a user
    /// only the name of the route is.
    pub headers: Vec<IdentityHeader>,
}

/// A header, and what it says.
#[derive(Clone, Debug)]
pub struct IdentityHeader {
    /// Its name.
    pub name: HeaderName,
    /// What it says.
    pub source: HeaderSource,
    /// How text becomes a field value.
    pub encoding: Encoding,
    /// What stands between the entries of a list.
    pub separator: Box<str>,
}

/// What a header says of a user.
#[derive(Clone, Debug)]
pub enum HeaderSource {
    /// A claim of the session.
    Claim(ClaimPath),
    /// A column of the user's row.
    Column(ColumnRef),
    /// A text that is the same for everybody, and perhaps a secret between us and the service.
    Constant(Secret),
    /// The e-mail address, if it counts.
    Email,
    /// That there is a user: `true`.
    Entered,
    /// The groups, where the realm says which claim or column holds them.
    Groups,
    /// The name that the user chose to be called.
    Name,
    /// The name of the route.
    Route,
    /// The user's id.
    Subject,
    /// Nothing that a session of ours says. The header is written, empty, because others write it.
    Unknown,
}

/// Which claim or column holds a user's groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Where they are.
    pub source: GroupsSource,
    /// What divides them, where they are one text.
    pub separator: Box<str>,
}

/// Where groups are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupsSource {
    /// In a claim of the session.
    Claim(ClaimPath),
    /// In a column of the user's row.
    Column(ColumnRef),
}

/// Who is written about. Claims are parsed when the first header asks for one.
pub(crate) struct Portrait<'p> {
    admission: &'p Admission,
    identity: &'p IdentityRules,
    route: &'p Route,
    claims: OnceCell<Map<String, Value>>,
}

/// A value that a header cannot hold in its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unwritable;

impl HeaderProfile {
    /// Whether some value may not be writable.
    pub(crate) fn can_refuse(&self) -> bool {
        self.headers
            .iter()
            .any(|header| header.encoding.can_refuse())
    }

    /// Sees that everything can be written.
    pub(crate) fn check(&self, portrait: &Portrait<'_>) -> Result<(), Unwritable> {
        let mut headers = self.headers.iter();
        headers.try_for_each(|header| header.value(portrait).map(drop))
    }

    /// Every header, with what is known for it.
    pub(crate) fn values<'p>(
        &'p self,
        portrait: &'p Portrait<'p>,
    ) -> impl Iterator<Item = (&'p HeaderName, Cow<'p, [u8]>)> {
        self.headers.iter().map(|header| {
            // Who has something that cannot be written was refused.
            let value = header.value(portrait).unwrap_or_default();
            (&header.name, value)
        })
    }

    /// As [`values`](Self::values), made into headers.
    pub(crate) fn fields(&self, portrait: &Portrait<'_>) -> Vec<(HeaderName, HeaderValue)> {
        let field = |(name, value): (&HeaderName, Cow<'_, [u8]>)| {
            let value = HeaderValue::from_bytes(&value);
            (name.clone(), value.expect("an encoded value is one"))
        };
        self.values(portrait).map(field).collect()
    }
}

impl IdentityHeader {
    fn value<'p>(&'p self, portrait: &'p Portrait<'p>) -> Result<Cow<'p, [u8]>, Unwritable> {
        if let HeaderSource::Constant(constant) = &self.source {
            // A secret that says "believe the user beside me" says so of nobody.
            let is_somebody = portrait.admission.session().is_some();
            return Ok(match is_somebody {
                true => Cow::Borrowed(constant.expose()),
                false => Cow::Borrowed(b""),
            });
        }
        match portrait.said(&self.source) {
            Said::List(entries) => self
                .encoding
                .encode_list(&whole(entries, &self.separator), &self.separator),
            Said::Text(text) => self.encoding.encode(text),
        }
    }
}

impl<'p> Portrait<'p> {
    pub(crate) fn of(
        admission: &'p Admission,
        identity: &'p IdentityRules,
        route: &'p Route,
    ) -> Self {
        Self {
            admission,
            identity,
            route,
            claims: OnceCell::new(),
        }
    }

    fn said(&self, source: &'p HeaderSource) -> Said<'_> {
        // Known of everybody, unlike the rest.
        if let HeaderSource::Route = source {
            return Said::Text(Cow::Borrowed(&*self.route.name));
        }
        let Some(session) = self.admission.session() else {
            return Said::Text(Cow::Borrowed(""));
        };
        Said::Text(match source {
            HeaderSource::Claim(path) => return Said::of(path.find(self.claims())),
            HeaderSource::Column(column) => return Said::of(self.column(column)),
            HeaderSource::Constant(_) | HeaderSource::Route | HeaderSource::Unknown => {
                Cow::Borrowed("")
            }
            HeaderSource::Email => self.admission.email().unwrap_or_default().into(),
            HeaderSource::Entered => "true".into(),
            HeaderSource::Groups => return Said::List(self.groups()),
            HeaderSource::Name => session.name().unwrap_or_default().into(),
            HeaderSource::Subject => session.subject().into(),
        })
    }

    /// The groups of the user; none where nobody says which they are.
    pub(crate) fn groups(&self) -> Vec<Cow<'_, str>> {
        let Some(groups) = &self.identity.groups else {
            return Vec::new();
        };
        let value = match &groups.source {
            GroupsSource::Claim(path) => path.find(self.claims()),
            GroupsSource::Column(column) => self.column(column),
        };
        match value {
            Some(Value::Array(values)) => values.iter().filter_map(scalar_text).collect(),
            Some(Value::String(text)) => {
                let parts = text.split(&*groups.separator).map(str::trim);
                parts
                    .filter(|part| !part.is_empty())
                    .map(Cow::Borrowed)
                    .collect()
            }
            Some(Value::Bool(_) | Value::Null | Value::Number(_) | Value::Object(_)) | None => {
                Vec::new()
            }
        }
    }

    fn claims(&self) -> &Map<String, Value> {
        let session = self.admission.session();
        self.claims
            .get_or_init(|| session.map(session::Session::claims).unwrap_or_default())
    }

    fn column(&self, column: &ColumnRef) -> Option<&Value> {
        self.admission.user().map(User::columns)?.get(column.index)
    }
}

/// What there is to write.
enum Said<'v> {
    List(Vec<Cow<'v, str>>),
    Text(Cow<'v, str>),
}

impl<'v> Said<'v> {
    fn of(value: Option<&'v Value>) -> Self {
        match value {
            Some(Value::Array(values)) => {
                Self::List(values.iter().filter_map(scalar_text).collect())
            }
            value => Self::Text(value.and_then(scalar_text).unwrap_or_default()),
        }
    }
}

fn scalar_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Bool(value) => Some(value.to_string().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::String(text) => Some(text.as_str().into()),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

/// The entries that a reader of the list finds in it as they are. One that holds the separator would be read as several, and one
/// with blanks at an end as another, so they are left out: they must not make their user a member of something else.
fn whole<'e>(mut entries: Vec<Cow<'e, str>>, separator: &str) -> Vec<Cow<'e, str>> {
    // Who divides at `, ` may divide at `,` too.
    let mark = match separator.trim() {
        "" => separator,
        mark => mark,
    };
    entries.retain(|entry| !entry.is_empty() && entry.trim() == entry && !entry.contains(mark));
    entries
}

impl fmt::Display for HeaderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(path) => write!(f, "claim {}", path.as_str()),
            Self::Column(column) => write!(f, "column {}", column.name),
            Self::Constant(_) => f.write_str("a constant"),
            Self::Email => f.write_str("email"),
            Self::Entered => f.write_str("true"),
            Self::Groups => f.write_str("groups"),
            Self::Name => f.write_str("name"),
            Self::Route => f.write_str("route"),
            Self::Subject => f.write_str("subject"),
            Self::Unknown => f.write_str("nothing"),
        }
    }
}
