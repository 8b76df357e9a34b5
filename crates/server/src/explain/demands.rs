//! The requirements of a route, and whether a request meets them.

use gate::{Access, Admission, ClaimedOrigin, Demand, Demands, Facts, Refusal, Route, Verdict};
use serde::Serialize;
use session::{Session, UnixTime};

use super::{Skipped, table};
use crate::live::Live;

#[derive(Debug, Serialize)]
pub(super) struct DemandPart {
    pub(super) condition: String,
    /// `met`, `unmet` or `incomparable`; `None` if it was not evaluated, or cannot be without a store.
    pub(super) verdict: Option<&'static str>,
    /// The value it tested; or, without a verdict, why it could not be evaluated.
    pub(super) seen: Option<String>,
    /// Whether it could not be evaluated because the stores were not contacted.
    #[serde(skip)]
    pub(super) is_unevaluated: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<DemandPart>,
}

/// The requirements of the route, and whether they are met.
pub(super) fn demands(
    live: &Live,
    route: &Route,
    outcome: Result<&Admission, &Refusal>,
    facts: &Facts<'_>,
    now: UnixTime,
    skipped: Skipped,
) -> Vec<DemandPart> {
    let mut demands = Vec::new();
    if route.same_origin {
        let met = !matches!(outcome, Err(Refusal::OtherOrigin(_)));
        demands.push(DemandPart {
            condition: SAME_ORIGIN.to_owned(),
            verdict: Some(verdict(if met { Verdict::Met } else { Verdict::Unmet })),
            seen: Some(match facts.may_change_something() {
                true => ClaimedOrigin::of(facts.headers).to_string(),
                false => format!("{} is a safe method", facts.method),
            }),
            is_unevaluated: false,
            parts: Vec::new(),
        });
    }
    let realm = &live.gate.realms[route.realm];
    let condition = match &route.access {
        Access::Deny | Access::Public => return demands,
        Access::Session(_) | Access::Unknown => table::session_of(&realm.name),
    };
    let is_unevaluated = skipped.sessions && matches!(outcome, Err(Refusal::NoSessionStore { .. }));
    let (met, seen) = match is_unevaluated {
        true => (None, Some(STORES_NOT_CONTACTED.to_owned())),
        false => identified(outcome),
    };
    demands.push(DemandPart {
        condition,
        verdict: met.map(verdict),
        seen,
        is_unevaluated,
        parts: Vec::new(),
    });
    let admission = match outcome {
        Ok(admission) => Some(admission),
        Err(refusal) => refusal.admission(),
    };
    let Demands { active, rule } = live.gate.demands(route, admission, facts, now);
    let all = active.into_iter().chain(rule);
    demands.extend(all.map(|demand| DemandPart::of(demand, skipped)));
    demands
}

/// The first requirement that keeps the request out, if it could not be evaluated without a store.
pub(super) fn first_unevaluated(demands: &[DemandPart]) -> Option<&DemandPart> {
    let met = verdict(Verdict::Met);
    let first = demands.iter().find(|demand| demand.verdict != Some(met))?;
    first.is_unevaluated.then_some(first)
}

/// The verdict on the requirement of a session, with the user, or with the reason why there is no session.
fn identified(outcome: Result<&Admission, &Refusal>) -> (Option<Verdict>, Option<String>) {
    let user =
        |session: Option<&Session>| session.map(|session| format!("user {}", session.subject()));
    let refusal = match outcome {
        Ok(Admission::Session { session, .. }) => return (Some(Verdict::Met), user(Some(session))),
        Ok(Admission::Bypass | Admission::Preflight | Admission::Public) => return (None, None),
        Err(refusal) => refusal,
    };
    match refusal {
        // It was not evaluated.
        Refusal::AmbiguousPath(_)
        | Refusal::Denied
        | Refusal::OtherOrigin(_)
        | Refusal::UnknownPath => (None, None),
        Refusal::Inactive(_)
        | Refusal::Incomparable(_)
        | Refusal::NoRoute(_)
        | Refusal::Restricted(_)
        | Refusal::Unmet(_)
        | Refusal::Unwritable(_) => (Some(Verdict::Met), user(refusal.session())),
        // It cannot be evaluated.
        Refusal::NoIssuerKeys | Refusal::RateLimited(_) | Refusal::Store(_) => {
            (None, Some(refusal.to_string()))
        }
        Refusal::Guest(_)
        | Refusal::NoSession
        | Refusal::NoSessionStore { .. }
        | Refusal::Revoked(_)
        | Refusal::UnknownSession(_)
        | Refusal::UnknownUser(_)
        | Refusal::Unopened(_)
        | Refusal::UnverifiedAddress(_) => (Some(Verdict::Unmet), Some(refusal.to_string())),
    }
}

impl DemandPart {
    /// The result of a requirement. If the stores were not contacted, a requirement on the user's row has no verdict, instead of
    /// being incomparable.
    fn of(demand: Demand, skipped: Skipped) -> Self {
        let parts = demand.parts.into_iter();
        let parts: Vec<_> = parts.map(|part| Self::of(part, skipped)).collect();
        let depends = demand.has_no_row || parts.iter().any(|part| part.is_unevaluated);
        let is_unevaluated =
            skipped.users && depends && demand.verdict == Some(Verdict::Incomparable);
        match is_unevaluated {
            true => Self {
                condition: demand.words,
                verdict: None,
                seen: Some(STORES_NOT_CONTACTED.to_owned()),
                is_unevaluated,
                parts,
            },
            false => Self {
                condition: demand.words,
                verdict: demand.verdict.map(verdict),
                seen: demand.seen,
                is_unevaluated,
                parts,
            },
        }
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Incomparable => "incomparable",
        Verdict::Met => "met",
        Verdict::Unmet => "unmet",
    }
}

/// Why a requirement could not be evaluated.
const STORES_NOT_CONTACTED: &str = "the stores were not contacted";

const SAME_ORIGIN: &str =
    "csrf: Sec-Fetch-Site is same-origin or none, or else Origin has this host, for unsafe methods";
