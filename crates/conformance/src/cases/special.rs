//! Requests that some gateways treat as special, and let through.

use crate::case::{Case, Class};
use crate::judgment::{Judgment, broken, each};
use crate::probe::Probe;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::SpecialCases, id, title, expects, run)
}

const DENIED: &str = "denied, nothing upstream";

pub(super) const CASES: &[Case] = &[
    case("SB01", "the user agents of health checks", DENIED, |probe| {
        let agents = ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0", "Prometheus/3.0", "Consul Health Check"];
        each(agents, |agent| probe.denied(probe.protected().line(format!("User-Agent: {agent}"))))
    })
    .known("CVE-2026-34457"),
    case("SB02", "headers that mark a framework's internal requests", DENIED, |probe| {
        let lines = [
            "x-middleware-subrequest: middleware",
            "x-middleware-subrequest: src/middleware:src/middleware:src/middleware:src/middleware:src/middleware",
            "x-middleware-rewrite: /",
            "x-middleware-next: 1",
            "x-nextjs-data: 1",
            "x-prerender-revalidate: 1",
            "RSC: 1",
            "X-Envoy-Internal: true",
        ];
        each(lines, |line| probe.denied(probe.protected().line(*line)))
    })
    .known("CVE-2025-29927, CVE-2026-44574"),
    case("SB03", "headers that request a bypass", DENIED, |probe| {
        let lines = [
            "X-Bypass-Auth: true",
            "X-Skip-Auth: 1",
            "X-Auth-Bypass: 1",
            "X-Debug: 1",
            "X-Internal: true",
            "X-Authenticated: true",
            "X-Auth-Status: 200",
            "X-Accel-Redirect: /private",
        ];
        each(lines, |line| probe.denied(probe.protected().line(*line)))
    })
    .known("CWE-290"),
    case("SB04", "protected paths with extensions of public files", DENIED, |probe| {
        let ends = ["x.css", "x.js", "favicon.ico", "robots.txt", ".well-known/x", "health", "_next/static/x"];
        each(ends, |end| {
            let path = format!("{}/{end}", probe.target.protected());
            probe.denied(probe.get(probe.marked(&path)))
        })
    })
    .known("CWE-184"),
    case("SB05", "the usual paths of health checks and metrics", "nothing upstream without a session", |probe| {
        let paths = ["/ping", "/healthz", "/readyz", "/metrics", "/favicon.ico", "/robots.txt", "/.well-known/x"];
        each(paths, |path| {
            let exchange = probe.send(probe.get(probe.marked(path)));
            match probe.arrived().is_empty() {
                true => Ok(exchange.to_string()),
                false => broken(format!("{path} arrived without a session")),
            }
        })
    })
    .known("CVE-2026-34457"),
    case("SB06", "headers for caches, ranges and conditions", DENIED, |probe| {
        let lines = [
            "If-None-Match: *",
            "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT",
            "Range: bytes=0-0",
            "Cache-Control: only-if-cached",
            "Purpose: prefetch",
            "Sec-Fetch-Dest: serviceworker",
        ];
        each(lines, |line| probe.denied(probe.protected().line(*line)))
    }),
];
