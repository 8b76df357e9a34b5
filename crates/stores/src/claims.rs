//! Claims of sessions that are looked up.
//!
//! A session that Better Auth has cached in a cookie carries everything that the app keeps about it, as
//! `{"session":{…},"user":{…}}`. A session that is looked up has only the claims that every session has. So that a rule
//! about a claim works for both, the members that rules and headers name are read with the session: columns of the two
//! rows, in the statement that finds them, or members of the JSON in Redis. Nothing else is read, and no member takes
//! an extra lookup.

use serde_json::{Map, Value};

use super::identifier::Column;
use super::weight::weight;

/// A member of a session's claims that a rule or header names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredClaim {
    /// The object that it is a member of, and so the table that it is read from.
    pub of: ClaimOf,
    /// Its name among the claims, and in Redis.
    pub name: Box<str>,
    /// The column that holds the claim.
    pub column: Column,
}

/// The two objects in the claims of Better Auth's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOf {
    /// The session itself.
    Session,
    /// The user of the session.
    User,
}

impl ClaimOf {
    /// Both objects.
    pub const ALL: [Self; 2] = [Self::Session, Self::User];

    /// The name of the object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::User => "user",
        }
    }
}

/// Builds claims from `values`, which are in the order of `configured`.
pub(super) fn of_values(configured: &[StoredClaim], values: Vec<Value>) -> Map<String, Value> {
    let mut claims = Map::new();
    for (claim, value) in configured.iter().zip(values) {
        let object = claims
            .entry(claim.of.as_str())
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(members) = object {
            members.insert(claim.name.to_string(), value);
        }
    }
    claims
}

/// Reads the configured claims from the JSON under a session's key in Redis. A missing member is null.
pub(super) fn of_json(configured: &[StoredClaim], json: &Map<String, Value>) -> Map<String, Value> {
    let find = |claim: &StoredClaim| json.get(claim.of.as_str())?.get(&*claim.name).cloned();
    let values = configured
        .iter()
        .map(|claim| find(claim).unwrap_or_default());
    of_values(configured, values.collect())
}

/// Estimates how many bytes claims take in memory.
pub(super) fn weight_of(claims: Option<&Map<String, Value>>) -> usize {
    let objects = claims.into_iter().flat_map(Map::values);
    objects.map(weight).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(of: ClaimOf, name: &str) -> StoredClaim {
        StoredClaim {
            of,
            name: name.into(),
            column: Column::parse(name).unwrap(),
        }
    }

    #[test]
    fn configured_claims_have_the_same_places_as_in_a_cookie_cache() {
        let configured = [
            claim(ClaimOf::Session, "activeOrganizationId"),
            claim(ClaimOf::User, "role"),
            claim(ClaimOf::Session, "impersonatedBy"),
        ];
        let expected = json!({
            "session": {"activeOrganizationId": "o1", "impersonatedBy": null},
            "user": {"role": "admin"},
        });
        let values = vec![json!("o1"), json!("admin"), Value::Null];
        assert_eq!(Value::Object(of_values(&configured, values)), expected);
        let stored = json!({
            "session": {"activeOrganizationId": "o1", "token": "secret"},
            "user": {"role": "admin", "email": "ada@example.com"},
        });
        let stored = stored.as_object().unwrap();
        assert_eq!(Value::Object(of_json(&configured, stored)), expected);
        let without_user = json!({"session": {}, "user": null});
        assert_eq!(
            Value::Object(of_json(&configured, without_user.as_object().unwrap())),
            json!({
                "session": {"activeOrganizationId": null, "impersonatedBy": null},
                "user": {"role": null},
            })
        );
        assert!(of_values(&[], Vec::new()).is_empty());
    }
}
