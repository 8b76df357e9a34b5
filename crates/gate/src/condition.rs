//! What a rule demands of a user, a session and a request, as plain data.
//!
//! Conditions are evaluated on every request from what is already known: the session's claims, the columns of the user's row, the
//! request. No decision is cached under a token.

mod explain;
mod incomparable;
mod test;
mod words;

use std::cell::OnceCell;
use std::time::Duration;

use http::Method;
use ipnet::IpNet;
use serde_json::{Map, Value};
use session::{Session, UnixTime};

pub use self::explain::Demand;
pub use self::test::{Scalar, Test, TestKind};
use crate::{Facts, User};

/// A condition on the user, the session or the request.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// All of these conditions hold.
    All(Vec<Condition>),
    /// At least one of these conditions holds.
    Any(Vec<Condition>),
    /// The client has shown a certificate with one of these names, spelled as [`ClientCertificate`](crate::ClientCertificate) has
    /// them.
    Certificate(Vec<Box<str>>),
    /// A claim of the session passes a test.
    Claim(ClaimPath, Test),
    /// A column of the user's row passes a test.
    Column(ColumnRef, Test),
    /// The session was issued at most this long ago.
    MaxAge(Duration),
    /// The request has one of these methods. `GET` brings `HEAD`.
    Methods(Vec<Method>),
    /// The client's address is in one of these networks.
    Network(Vec<IpNet>),
    /// This condition does not hold.
    Not(Box<Condition>),
    /// The user has one of these roles in the organization that the session is active in, as Better Auth's plugin keeps
    /// them: the column holds an object with the roles of every organization, separated by commas.
    OrganizationRole {
        /// The claim that names the organization.
        active: ClaimPath,
        /// The column of roles.
        roles: ColumnRef,
        /// Any of these.
        one_of: Vec<String>,
    },
}

/// A reference to a column of the user's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnRef {
    /// Its position among the columns that the realm looks up.
    pub index: usize,
    /// Its name, for messages.
    pub name: Box<str>,
}

/// The path of a claim: a member of the session's claims, or of an object among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<str>);

impl ClaimPath {
    /// Reads a path such as `role` or `user.role`: names with a dot between them.
    pub fn new(text: &str) -> Option<Self> {
        let is_path = text.split('.').all(|name| !name.is_empty());
        is_path.then(|| Self(text.into()))
    }

    /// The path as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the value at this path. A claim whose name has dots takes precedence: some issuers have claims such as
    /// `https://a.example/role`.
    pub(crate) fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        if let Some(value) = claims.get(&*self.0) {
            return Some(value);
        }
        let mut names = self.0.split('.');
        let first = claims.get(names.next()?)?;
        names.try_fold(first, |value, name| value.as_object()?.get(name))
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A value's type cannot be compared with what is demanded. That is a mistake in the configuration or the application, and
    /// never lets a request enter.
    Incomparable,
    /// The condition holds.
    Met,
    /// The condition does not hold.
    Unmet,
}

/// What a condition looks at. The claims are parsed when a condition first needs one.
pub(crate) struct Evidence<'e> {
    facts: &'e Facts<'e>,
    session: &'e Session,
    user: &'e User,
    now: UnixTime,
    claims: OnceCell<Map<String, Value>>,
}

impl Condition {
    /// The condition that always holds.
    pub const ALWAYS: Self = Self::All(Vec::new());

    pub(crate) fn verdict(&self, evidence: &Evidence<'_>) -> Verdict {
        match self {
            Self::All(all) => {
                let mut verdicts = all.iter().map(|one| one.verdict(evidence));
                verdicts
                    .find(|verdict| *verdict != Verdict::Met)
                    .unwrap_or(Verdict::Met)
            }
            Self::Any(any) => {
                let mut unmet = Verdict::Unmet;
                for one in any {
                    match one.verdict(evidence) {
                        Verdict::Met => return Verdict::Met,
                        Verdict::Incomparable => unmet = Verdict::Incomparable,
                        Verdict::Unmet => {}
                    }
                }
                unmet
            }
            Self::Certificate(names) => {
                let arrival = evidence.facts.arrival;
                match &arrival.certificate {
                    // The client showed its certificate to the calling proxy, which does not pass it on: unknown, as for columns
                    // below.
                    _ if arrival.relayed => Verdict::Incomparable,
                    None => Verdict::Unmet,
                    Some(shown) => Verdict::of(names.iter().any(|name| shown.has(name))),
                }
            }
            Self::Claim(path, test) => test.verdict(path.find(evidence.claims()), evidence.now),
            Self::Column(column, test) => match evidence.column(column) {
                // The user was not looked up. An unknown value must not let a request enter, not even under `not`.
                None => Verdict::Incomparable,
                value => test.verdict(value, evidence.now),
            },
            Self::MaxAge(age) => {
                let issued_at = evidence.session.issued_at();
                // A session without a time of issue could be old.
                Verdict::of(issued_at.is_some_and(|at| evidence.now.saturating_since(at) <= *age))
            }
            Self::Methods(methods) => Verdict::of(has_method(methods, evidence.facts.method)),
            Self::Network(networks) => {
                let client = evidence.facts.arrival.client.to_canonical();
                Verdict::of(networks.iter().any(|network| network.contains(&client)))
            }
            Self::Not(condition) => match condition.verdict(evidence) {
                Verdict::Incomparable => Verdict::Incomparable,
                Verdict::Met => Verdict::Unmet,
                Verdict::Unmet => Verdict::Met,
            },
            Self::OrganizationRole {
                active,
                roles,
                one_of,
            } => evidence.has_role(active, roles, one_of),
        }
    }
}

impl<'e> Evidence<'e> {
    pub(crate) fn new(
        facts: &'e Facts<'e>,
        session: &'e Session,
        user: &'e User,
        now: UnixTime,
    ) -> Self {
        Self {
            facts,
            session,
            user,
            now,
            claims: OnceCell::new(),
        }
    }

    fn claims(&self) -> &Map<String, Value> {
        self.claims.get_or_init(|| self.session.claims())
    }

    /// Returns the column's value, or `None` if no row of the user was looked up.
    fn column(&self, column: &ColumnRef) -> Option<&Value> {
        self.user.columns().get(column.index)
    }

    fn has_role(&self, active: &ClaimPath, roles: &ColumnRef, one_of: &[String]) -> Verdict {
        let organization = active.find(self.claims());
        let organization = match organization {
            None | Some(Value::Null) => return Verdict::Unmet,
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            Some(Value::Array(_) | Value::Bool(_) | Value::Object(_)) => {
                return Verdict::Incomparable;
            }
        };
        let held = match self.column(roles) {
            Some(Value::Null) => return Verdict::Unmet,
            Some(Value::Object(roles)) => roles.get(&organization),
            // Without a lookup of the user there is no row.
            None | Some(_) => return Verdict::Incomparable,
        };
        match held {
            None | Some(Value::Null) => Verdict::Unmet,
            Some(Value::String(held)) => {
                let mut held = held.split(',').map(str::trim);
                Verdict::of(held.any(|role| one_of.iter().any(|wanted| wanted == role)))
            }
            Some(_) => Verdict::Incomparable,
        }
    }
}

impl Verdict {
    fn of(holds: bool) -> Self {
        match holds {
            true => Self::Met,
            false => Self::Unmet,
        }
    }
}

/// Whether a method is in a list. `GET` includes `HEAD`, as for routes. Case is ignored, because some services ignore it.
fn has_method(methods: &[Method], method: &Method) -> bool {
    let is = |name: &str| name.eq_ignore_ascii_case(method.as_str());
    let mut methods = methods.iter().map(Method::as_str);
    methods.any(|name| is(name) || name == "GET" && is("HEAD"))
}

#[cfg(test)]
mod tests;
