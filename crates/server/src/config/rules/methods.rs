//! Warns about unregistered methods: a service may have methods of its own, but a typo can open what a route should close.

use crate::config::raw_tables::{RawActive, RawCondition, RawKind, RawTables, Spanned};
use crate::config::words::nearest;

/// Warns about each method of a route or a condition that is not registered.
pub(in crate::config) fn warn_about_unregistered_methods(
    raw_tables: &RawTables,
    warnings: &mut Vec<String>,
) {
    let of_routes = raw_tables.routes.iter().flat_map(|route| &route.methods);
    let mut methods: Vec<_> = of_routes.collect();
    let required = raw_tables.routes.iter().flat_map(|route| &route.require);
    required.for_each(|condition| collect(condition, &mut methods));
    let of_realms = raw_tables
        .realms
        .iter()
        .filter_map(|realm| realm.active.as_ref());
    for active in of_realms.chain(&raw_tables.active) {
        if let RawActive::Conditions(conditions) = active {
            let conditions = conditions.iter();
            conditions.for_each(|condition| collect(condition, &mut methods));
        }
    }
    let known = REGISTERED.map(str::to_owned);
    for method in methods {
        if !REGISTERED.contains(&method.value.as_str()) {
            let meant = match nearest(&method.value, &known) {
                Some(nearest) => format!("; did you mean `{nearest}`?"),
                None => String::new(),
            };
            warnings.push(format!(
                "{}: `{}` is not a registered method, and matches only requests with exactly this method{meant}",
                method.place, method.value
            ));
        }
    }
}

fn collect<'r>(condition: &'r RawCondition, methods: &mut Vec<&'r Spanned<String>>) {
    match &condition.kind {
        RawKind::All(parts) | RawKind::Any(parts) => {
            parts.iter().for_each(|part| collect(part, methods));
        }
        RawKind::Not(part) => collect(part, methods),
        RawKind::Methods(named) => methods.extend(named),
        RawKind::Certificate(_)
        | RawKind::Claim(..)
        | RawKind::Column(..)
        | RawKind::OrganizationRole(_)
        | RawKind::Network(_)
        | RawKind::MaxAge(_) => {}
    }
}

/// The registered methods (<https://www.iana.org/assignments/http-methods>, RFC 9110 section 16.1.1), without `*` and `PRI`,
/// which no request has, and with `QUERY`, which is about to be registered (draft-ietf-httpbis-safe-method-w-body).
const REGISTERED: [&str; 39] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];
