//! Header profiles: the names under which an identity is written, and the form of its values. One is sessiongate's own; the
//! others have the names that other proxies and applications use.

mod built_in;
mod encoding;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};
use session::Secret;

pub use self::built_in::BuiltInProfile;
pub use self::encoding::Encoding;
use crate::condition::{ClaimPath, ColumnRef};
use crate::{Admission, IdentityRules, Route, User};

/// A header profile: the headers that tell a service who the user is. Nothing else makes identity headers.
#[derive(Clone, Debug)]
pub struct HeaderProfile {
    /// Its name, for messages.
    pub name: Arc<str>,
    /// Its headers. All are written on every request that uses it, with an empty value if the value is not known. Without a
    /// user only the name of the route has a value.
    pub headers: Vec<IdentityHeader>,
}

/// A header, and the source of its value.
#[derive(Clone, Debug)]
pub struct IdentityHeader {
    /// Its name.
    pub name: HeaderName,
    /// The source of its value.
    pub source: HeaderSource,
    /// How text becomes a field value.
    pub encoding: Encoding,
    /// The separator between the entries of a list.
    pub separator: Box<str>,
}

/// The source of a header's value.
#[derive(Clone, Debug)]
pub enum HeaderSource {
    /// A claim of the session.
    Claim(ClaimPath),
    /// A column of the user's row.
    Column(ColumnRef),
    /// A constant text, which may be a secret shared with the service.
    Constant(Secret),
    /// The e-mail address, if it is accepted as identity.
    Email,
    /// `true` if there is a user.
    Entered,
    /// The groups, if the realm says which claim or column holds them.
    Groups,
    /// The display name.
    Name,
    /// The name of the route.
    Route,
    /// The user's id.
    Subject,
    /// Not known from a session. The header is written empty, because other proxies write it.
    Unknown,
}

/// Which claim or column holds a user's groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The claim or column.
    pub source: GroupsSource,
    /// The separator between groups, if they are one text.
    pub separator: Box<str>,
}

/// A claim or column that holds groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupsSource {
    /// A claim of the session, with the groups.
    Claim(ClaimPath),
    /// A column of the user's row, with the groups.
    Column(ColumnRef),
}

/// The user whose headers are written. The claims are parsed when a header first needs one.
pub(crate) struct IdentityView<'p> {
    admission: &'p Admission,
    identity: &'p IdentityRules,
    route: &'p Route,
    claims: OnceCell<Map<String, Value>>,
}

/// A header's encoding cannot represent its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unwritable;

impl HeaderProfile {
    /// Whether some header's encoding cannot represent every value.
    pub(crate) fn can_refuse(&self) -> bool {
        self.headers
            .iter()
            .any(|header| header.encoding.can_refuse())
    }

    /// Checks that all headers can be written.
    pub(crate) fn check(&self, view: &IdentityView<'_>) -> Result<(), Unwritable> {
        let mut headers = self.headers.iter();
        headers.try_for_each(|header| header.value(view).map(drop))
    }

    /// Returns every header, with its value or an empty one.
    pub(crate) fn values<'p>(
        &'p self,
        view: &'p IdentityView<'p>,
    ) -> impl Iterator<Item = (&'p HeaderName, Cow<'p, [u8]>)> {
        self.headers.iter().map(|header| {
            // A user with a value that cannot be written was refused before.
            let value = header.value(view).unwrap_or_default();
            (&header.name, value)
        })
    }

    /// Returns the [`values`](Self::values) as header values.
    pub(crate) fn fields(&self, view: &IdentityView<'_>) -> Vec<(HeaderName, HeaderValue)> {
        let field = |(name, value): (&HeaderName, Cow<'_, [u8]>)| {
            let value = HeaderValue::from_bytes(&value);
            (name.clone(), value.expect("an encoded value is one"))
        };
        self.values(view).map(field).collect()
    }
}

impl IdentityHeader {
    fn value<'p>(&'p self, view: &'p IdentityView<'p>) -> Result<Cow<'p, [u8]>, Unwritable> {
        if let HeaderSource::Constant(constant) = &self.source {
            // A secret that vouches for the user headers is not sent without a user.
            let has_user = view.admission.session().is_some();
            return Ok(match has_user {
                true => Cow::Borrowed(constant.expose()),
                false => Cow::Borrowed(b""),
            });
        }
        match view.text_of(&self.source) {
            HeaderText::List(entries) => self
                .encoding
                .encode_list(&unambiguous(entries, &self.separator), &self.separator),
            HeaderText::Text(text) => self.encoding.encode(text),
        }
    }
}

impl<'p> IdentityView<'p> {
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

    fn text_of(&self, source: &'p HeaderSource) -> HeaderText<'_> {
        // The only source that needs no user.
        if let HeaderSource::Route = source {
            return HeaderText::Text(Cow::Borrowed(&*self.route.name));
        }
        let Some(session) = self.admission.session() else {
            return HeaderText::Text(Cow::Borrowed(""));
        };
        HeaderText::Text(match source {
            HeaderSource::Claim(path) => return HeaderText::of(path.find(self.claims())),
            HeaderSource::Column(column) => return HeaderText::of(self.column(column)),
            HeaderSource::Constant(_) | HeaderSource::Route | HeaderSource::Unknown => {
                Cow::Borrowed("")
            }
            HeaderSource::Email => self.admission.email().unwrap_or_default().into(),
            HeaderSource::Entered => "true".into(),
            HeaderSource::Groups => return HeaderText::List(self.groups()),
            HeaderSource::Name => session.name().unwrap_or_default().into(),
            HeaderSource::Subject => session.subject().into(),
        })
    }

    /// Returns the groups of the user; empty when they are not known.
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

/// The value of a header, before it is encoded.
enum HeaderText<'v> {
    List(Vec<Cow<'v, str>>),
    Text(Cow<'v, str>),
}

impl<'v> HeaderText<'v> {
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

/// Returns the entries that a reader of the list reads back unchanged. An entry that contains the separator would be read as
/// several entries, and one with blanks at an end as another, so both are left out: they must not make the user a member of
/// another group.
fn unambiguous<'e>(mut entries: Vec<Cow<'e, str>>, separator: &str) -> Vec<Cow<'e, str>> {
    // A reader that splits at `, ` may split at `,` too.
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
