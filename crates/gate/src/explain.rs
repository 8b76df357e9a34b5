//! What a route demands of a session, and which of these demands the session meets, for `explain`.

use session::UnixTime;

use crate::condition::{Condition, Demand, Evidence, Verdict};
use crate::{Access, Admission, Facts, Gate, Refused, Route};

/// What a route demands of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demands {
    /// What the realm demands of all of its users; all must be met.
    pub active: Vec<Demand>,
    /// What the route demands in addition; all must be met.
    pub rule: Vec<Demand>,
}

impl<U, S> Gate<U, S> {
    /// Returns what this route demands, with a verdict for each demand if the user is known.
    pub fn demands(
        &self,
        route: &Route,
        admission: Option<&Admission>,
        facts: &Facts<'_>,
        now: UnixTime,
    ) -> Demands {
        let evidence = match admission {
            Some(Admission::Session { session, user, .. }) => {
                Some(Evidence::new(facts, session, user, now))
            }
            Some(Admission::Bypass | Admission::Preflight | Admission::Public) | None => None,
        };
        let explained = |condition: &Condition| {
            let one = std::slice::from_ref(condition);
            let all = if let Condition::All(all) = condition {
                all
            } else {
                one
            };
            let demands = all.iter().map(|one| one.explain(evidence.as_ref()));
            demands.collect()
        };
        match &route.access {
            Access::Session(condition) => Demands {
                active: explained(&self.realms[route.realm].active),
                rule: explained(condition),
            },
            Access::Deny | Access::Public | Access::Unknown => Demands {
                active: Vec::new(),
                rule: Vec::new(),
            },
        }
    }

    /// Returns the conditions, in words and without values, that a known user does not meet.
    pub fn unmet(&self, refused: &Refused<'_>, facts: &Facts<'_>, now: UnixTime) -> Vec<String> {
        let (Some(route), Some(admission)) = (refused.route, refused.refusal.admission()) else {
            return Vec::new();
        };
        let Demands { active, rule } = self.demands(route, Some(admission), facts, now);
        // The realm's demands come first; if they fail, the route's are not checked.
        let is_met = |demand: &Demand| demand.verdict == Some(Verdict::Met);
        let failing = match active.iter().all(is_met) {
            true => rule,
            false => active,
        };
        let unmet = failing.iter().flat_map(Demand::unmet);
        unmet.map(str::to_owned).collect()
    }
}
