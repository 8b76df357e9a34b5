//! What the gate should do, as ratios within one run.

use super::measure::{Measured, Metric};

/// A goal, and what was measured.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) bound: Bound,
    /// Nothing when its case was left out, or broken.
    pub(crate) measured: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// Whether it was met, if it was measured.
    pub(crate) fn met(&self) -> Option<bool> {
        let measured = self.measured?;
        Some(match self.bound {
            Bound::AtLeast(bound) => measured >= bound,
            Bound::AtMost(bound) => measured <= bound,
        })
    }
}

/// Every goal, beside what `cases` say.
pub(crate) fn all(cases: &[Measured], cores: usize) -> Vec<Goal> {
    let case = |name: &str| cases.iter().find(|measured| measured.case.name == name);
    let ratio = |name, key, reference, metric| case(name)?.ratio(key, reference, metric);
    let rate = |name, key, reference| ratio(name, key, reference, Metric::Rate);
    let memory = || Some(case("proxy")?.row("gate")?.memory?.rss);
    let scaling = || match cores {
        // The load needs all there is, so what counts is how much dearer a request becomes with a second core.
        ..SPARE_CORES => Some(2.0 / ratio("cores", "gate-2", "gate-1", Metric::Cpu)?),
        _ => rate("cores", "gate-2", "gate-1"),
    };
    let at_least = |what, bound, measured| Goal {
        what,
        bound: Bound::AtLeast(bound),
        measured,
    };
    let at_most = |what, bound, measured| Goal {
        what,
        bound: Bound::AtMost(bound),
        measured,
    };
    vec![
        at_least(
            "requests/s, against nginx",
            1.0,
            rate("proxy", "gate", "nginx"),
        ),
        at_most(
            "CPU per request, against nginx",
            1.1,
            ratio("proxy", "gate", "nginx", Metric::Cpu),
        ),
        at_least(
            "requests/s, against Caddy",
            4.0,
            rate("proxy", "gate", "caddy"),
        ),
        at_least(
            "requests/s, against Envoy",
            1.5,
            rate("proxy", "gate", "envoy"),
        ),
        at_least(
            "requests/s, against Node.js with @auth/core",
            8.0,
            rate("proxy", "gate", "node"),
        ),
        at_least(
            "requests/s, against a process for each request",
            150.0,
            rate("proxy", "gate", "predecessor"),
        ),
        at_least(
            "requests/s, another token and user in every request, against the same",
            0.95,
            rate("users", "many", "same"),
        ),
        at_least(
            "decisions/s, against nginx `return 200`",
            0.7,
            rate("decisions", "gate", "nginx"),
        ),
        at_most(
            "p99 at 70 % of what nginx takes, against nginx",
            1.2,
            ratio("latency", "gate", "nginx", Metric::P99),
        ),
        at_least(
            "requests/s without a cookie, against permitted",
            1.3,
            rate("refused", "no-cookie", "permitted"),
        ),
        at_least(
            "requests/s with a wrong tag, against permitted",
            1.3,
            rate("refused", "wrong-tag", "permitted"),
        ),
        at_most("resident MiB after 32 connections", 30.0, memory()),
        at_least("two cores, against one", 1.85, scaling()),
    ]
}

/// From so many cores on, two for the server leave enough for the load and the upstream.
pub(crate) const SPARE_CORES: usize = 6;
