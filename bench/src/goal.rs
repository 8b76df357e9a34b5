//! The performance goals, mostly as ratios within one run.

use super::measure::{Measured, Metric};

/// A goal, and what was measured.
#[derive(Debug)]
pub(crate) struct Goal {
    /// The name of its case.
    pub(crate) case: &'static str,
    pub(crate) what: &'static str,
    pub(crate) bound: Bound,
    /// `None` when a server that it compares is broken.
    pub(crate) measured: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// Whether the goal was met, if it was measured.
    pub(crate) fn met(&self) -> Option<bool> {
        let measured = self.measured?;
        Some(match self.bound {
            Bound::AtLeast(bound) => measured >= bound,
            Bound::AtMost(bound) => measured <= bound,
        })
    }
}

/// Returns the goals of `cases`, with the measured values.
pub(crate) fn of_cases(cases: &[Measured]) -> Vec<Goal> {
    let case = |name: &str| cases.iter().find(|measured| measured.case.name == name);
    let goal = |name, what, bound, figure: &dyn Fn(&Measured) -> Option<f64>| Goal {
        case: name,
        what,
        bound,
        measured: case(name).and_then(figure),
    };
    let ratio = |name, what, bound, metric, key, reference| {
        goal(name, what, bound, &|measured| {
            measured.ratio(key, reference, metric)
        })
    };
    let (at_least, at_most) = (Bound::AtLeast, Bound::AtMost);
    use Metric::{Cpu, P99, Rate};
    let goals = vec![
        ratio(
            "proxy",
            "requests/s, against nginx",
            at_least(1.0),
            Rate,
            "gate",
            "nginx",
        ),
        ratio(
            "proxy",
            "CPU per request, against nginx",
            at_most(1.1),
            Cpu,
            "gate",
            "nginx",
        ),
        ratio(
            "proxy",
            "requests/s, against Caddy",
            at_least(4.0),
            Rate,
            "gate",
            "caddy",
        ),
        ratio(
            "proxy",
            "requests/s, against Envoy",
            at_least(1.5),
            Rate,
            "gate",
            "envoy",
        ),
        ratio(
            "proxy",
            "requests/s, against Node.js with @auth/core",
            at_least(8.0),
            Rate,
            "gate",
            "node",
        ),
        ratio(
            "proxy",
            "requests/s, against a process for each request",
            at_least(150.0),
            Rate,
            "gate",
            "predecessor",
        ),
        ratio(
            "users",
            "requests/s, a different user and token each time, against always the same",
            at_least(0.95),
            Rate,
            "many",
            "same",
        ),
        ratio(
            "routes",
            "requests/s with 1,000 routes, against nginx with 1,000 locations",
            at_least(1.0),
            Rate,
            "gate-routes",
            "nginx-routes",
        ),
        ratio(
            "routes",
            "requests/s with 1,000 routes, against one",
            at_least(0.98),
            Rate,
            "gate-routes",
            "gate",
        ),
        ratio(
            "static-4k",
            "files of 4 KiB/s, against nginx",
            at_least(0.9),
            Rate,
            "gate",
            "nginx",
        ),
        ratio(
            "static-1m",
            "files of 1 MiB/s, against nginx",
            at_least(0.9),
            Rate,
            "gate",
            "nginx",
        ),
        ratio(
            "decisions",
            "decisions/s, against nginx `return 200`",
            at_least(0.7),
            Rate,
            "gate",
            "nginx",
        ),
        ratio(
            "latency",
            "p99 at 70 % of the throughput of nginx, against nginx",
            at_most(1.2),
            P99,
            "gate",
            "nginx",
        ),
        ratio(
            "refused",
            "requests/s without a cookie, against permitted",
            at_least(1.3),
            Rate,
            "no-cookie",
            "permitted",
        ),
        ratio(
            "refused",
            "requests/s with a wrong tag, against permitted",
            at_least(1.3),
            Rate,
            "wrong-tag",
            "permitted",
        ),
        ratio(
            "tls",
            "requests/s over TLS, against nginx",
            at_least(1.0),
            Rate,
            "gate",
            "nginx",
        ),
        ratio(
            "tls",
            "CPU per request over TLS, against nginx",
            at_most(1.1),
            Cpu,
            "gate",
            "nginx",
        ),
        ratio(
            "tls-full",
            "full handshakes/s, against nginx",
            at_least(1.0),
            Rate,
            "gate",
            "nginx",
        ),
        ratio(
            "tls-resumed",
            "resumed handshakes/s, against nginx",
            at_least(1.0),
            Rate,
            "gate",
            "nginx",
        ),
        ratio(
            "http2",
            "requests/s over HTTP/2, against nginx",
            at_least(1.2),
            Rate,
            "gate",
            "nginx",
        ),
        ratio(
            "http2",
            "requests/s over HTTP/2, against Caddy",
            at_least(3.0),
            Rate,
            "gate",
            "caddy",
        ),
        ratio(
            "grpc",
            "unary calls of gRPC/s, against Envoy",
            at_least(1.2),
            Rate,
            "gate",
            "envoy",
        ),
        goal(
            "proxy",
            "resident MiB after 32 connections",
            at_most(30.0),
            &|measured| Some(measured.row("gate")?.memory?.rss),
        ),
        ratio(
            "cores",
            "requests/s of two cores, against one",
            at_least(1.85),
            Rate,
            "gate-2",
            "gate-1",
        ),
    ];
    let measured = goals.into_iter().filter(|goal| case(goal.case).is_some());
    measured.collect()
}
