//! Compares the headers of a request before and after the gate.

use gate::{Admitted, HeaderProfile, HeaderSource};
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName};
use http1::Length;
use serde::Serialize;

/// How the gate changes the headers of a request. It contains no values of cookies or credentials.
#[derive(Debug, Serialize)]
pub(crate) struct HeadersPart {
    /// The name of the profile.
    profile: String,
    /// The names of headers that are removed or replaced.
    pub(super) removed: Vec<String>,
    /// The headers that the gate writes, in order.
    pub(super) written: Vec<WrittenHeader>,
    /// The `Host` header that the service receives.
    #[serde(skip)]
    pub(super) host: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct WrittenHeader {
    pub(super) name: String,
    pub(super) value: String,
}

impl HeadersPart {
    /// Compares the headers of a request that is forwarded.
    pub(super) fn of(
        before: &HeaderMap,
        admitted: &Admitted<'_, Length>,
        profile: &HeaderProfile,
    ) -> Self {
        let mut after = Vec::new();
        let (method, target, length) = (admitted.method(), admitted.target(), *admitted.body());
        http1::write_request(&mut after, method, target, admitted.fields(), length, false);
        let after = String::from_utf8_lossy(&after);
        let after: Vec<_> = after
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(": ").or(line.split_once(':')))
            .collect();
        let is_same = |name: &HeaderName| {
            let values = before.get_all(name).iter();
            let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
            values.eq(values_of(&after, name.as_str()))
        };
        let mut changed: Vec<_> = before.keys().filter(|name| !is_same(name)).collect();
        changed.sort_by_key(|name| name.as_str());
        let removed = changed
            .iter()
            .map(|name| match values_of(&after, name.as_str()).first() {
                Some(_) if *name == COOKIE => "the session in cookie".to_owned(),
                Some(_) | None => name.to_string(),
            });
        let is_written = |name: &str| match before.keys().find(|before| *before == name) {
            Some(name) => changed.contains(&name) && *name != COOKIE && *name != AUTHORIZATION,
            None => true,
        };
        let written = after.iter().filter(|(name, _)| is_written(name));
        let written = written.map(|(name, value)| WrittenHeader {
            name: (*name).to_owned(),
            value: shown(name, value, profile),
        });
        Self {
            profile: profile.name.to_string(),
            written: written.collect(),
            host: values_of(&after, "host").first().map(ToString::to_string),
            removed: removed.collect(),
        }
    }

    pub(super) fn profile(&self) -> &str {
        &self.profile
    }
}

fn values_of<'v>(fields: &[(&'v str, &'v str)], name: &str) -> Vec<&'v str> {
    let of_name = fields.iter().filter(|(other, _)| *other == name);
    of_name.map(|(_, value)| *value).collect()
}

/// A value in displayable form. Constants are hidden, because they may be secrets shared with the service.
fn shown(name: &str, value: &str, profile: &HeaderProfile) -> String {
    let mut headers = profile.headers.iter();
    let is_constant = headers
        .any(|header| header.name == name && matches!(header.source, HeaderSource::Constant(_)));
    match name {
        "x-request-id" => "(the id of the request)".to_owned(),
        _ if is_constant && !value.is_empty() => {
            format!("(a constant of {} characters)", value.chars().count())
        }
        _ => value.to_owned(),
    }
}
