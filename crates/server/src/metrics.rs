//! The metrics, in the Prometheus text format. No user, path or hostname is ever a label.

mod description;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gate::LookupSource;
use metrics::{Counter, Gauge, Histogram, Label};
use metrics_exporter_prometheus::{
    BuildError, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::mode::Mode;
use crate::{clock, logging};
use stores::{FactKind, Observer, Outcome};

/// All meters. Those on the request path are registered once.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    decisions: [OnceLock<DecisionMeters>; Mode::COUNT],
    upstream_ok: Counter,
    users_in_memory: Counter,
    sessions_in_memory: Counter,
    audit_lost: Arc<AtomicU64>,
    in_flight: AtomicUsize,
    requests_in_flight: Gauge,
    audit_lines_lost: Counter,
    log_lines_lost: Counter,
}

/// The meters of the decisions of one mode.
struct DecisionMeters {
    allowed_by_session: Counter,
    allowed_in: Histogram,
    denied_in: Histogram,
}

impl Metrics {
    /// Registers the meters.
    pub(crate) fn new() -> Result<Arc<Self>, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&SECONDS)?
            .build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, description::describe);
        let meters = metrics::with_local_recorder(&recorder, || {
            metrics::gauge!("sessiongate_build_info", "version" => env!("CARGO_PKG_VERSION"))
                .set(1.0);
            (
                upstream("2xx"),
                checks(FactKind::User, LookupSource::Memory, "present"),
                checks(FactKind::Session, LookupSource::Memory, "present"),
                metrics::counter!("sessiongate_audit_lines_lost_total"),
                metrics::counter!("sessiongate_log_lines_lost_total"),
                metrics::gauge!("sessiongate_requests_in_flight"),
            )
        });
        let (
            upstream_ok,
            users_in_memory,
            sessions_in_memory,
            audit_lines_lost,
            log_lines_lost,
            gauge,
        ) = meters;
        let metrics = Self {
            recorder,
            handle,
            decisions: [const { OnceLock::new() }; Mode::COUNT],
            upstream_ok,
            users_in_memory,
            sessions_in_memory,
            audit_lost: Arc::default(),
            in_flight: AtomicUsize::new(0),
            requests_in_flight: gauge,
            audit_lines_lost,
            log_lines_lost,
        };
        Ok(Arc::new(metrics))
    }

    /// Counts a decision and the time it took.
    pub(crate) fn decided(
        &self,
        mode: Mode,
        outcome: &'static str,
        reason: &'static str,
        took: Duration,
    ) {
        let meters = self.decisions[mode as usize]
            .get_or_init(|| self.register(|| DecisionMeters::register(mode)));
        if outcome == "allow" {
            &meters.allowed_in
        } else {
            &meters.denied_in
        }
        .record(took.as_secs_f64());
        if (outcome, reason) == ("allow", "session") {
            return meters.allowed_by_session.increment(1);
        }
        self.register(|| decisions(mode, outcome, reason))
            .increment(1);
        if reason == "bypass" {
            self.register(|| metrics::counter!("sessiongate_bypass_total"))
                .increment(1);
        }
    }

    /// Counts a service's answer by its status class, or a failure by its kind.
    pub(crate) fn upstream_answered(&self, result: &'static str) {
        if result == "2xx" {
            return self.upstream_ok.increment(1);
        }
        self.register(|| upstream(result)).increment(1);
    }

    /// Counts a TLS handshake with a client by its result.
    pub(crate) fn tls_handshake(&self, result: &'static str) {
        let counter = self
            .register(|| metrics::counter!("sessiongate_tls_handshakes_total", "result" => result));
        counter.increment(1);
    }

    /// Counts an order of a certificate by its result.
    pub(crate) fn certificate_ordered(&self, result: &'static str) {
        let counter = self
            .register(|| metrics::counter!("sessiongate_acme_orders_total", "result" => result));
        counter.increment(1);
    }

    /// Counts an exchange that did not complete.
    pub(crate) fn broken_exchange(&self, ended: &'static str) {
        let counter = self
            .register(|| metrics::counter!("sessiongate_broken_exchanges_total", "ended" => ended));
        counter.increment(1);
    }

    /// Counts a connection of a trusted proxy that did not begin with a PROXY header.
    pub(crate) fn proxy_header_refused(&self) {
        self.register(|| metrics::counter!("sessiongate_proxy_headers_refused_total"))
            .increment(1);
    }

    /// Counts a server's failure, by what became of the request.
    pub(crate) fn upstream_retried(&self, result: &'static str) {
        let counter = self.register(
            || metrics::counter!("sessiongate_upstream_retries_total", "result" => result),
        );
        counter.increment(1);
    }

    /// Counts a request that was refused because of a rate limit.
    pub(crate) fn rate_limited(&self, policy: &'static str) {
        let counter = self
            .register(|| metrics::counter!("sessiongate_rate_limited_total", "limit" => policy));
        counter.increment(1);
    }

    /// The counter of checks of shared rate limits, by whether all nodes counted or this one alone.
    pub(crate) fn shared_limits(&self, counted: &'static str) -> Counter {
        self.register(|| metrics::counter!("sessiongate_shared_limits_total", "counted" => counted))
    }

    /// Counts a connection that was closed because of the limit in this setting.
    pub(crate) fn connection_refused(&self, setting: &'static str) {
        let counter = self.register(
            || metrics::counter!("sessiongate_connections_refused_total", "limit" => setting),
        );
        counter.increment(1);
    }

    /// The number of requests in flight, which is counted only if it is limited.
    pub(crate) fn in_flight(&self) -> &AtomicUsize {
        &self.in_flight
    }

    /// Counts a browser in a redirect loop with the sign-in page.
    pub(crate) fn redirect_loop(&self) {
        self.register(|| metrics::counter!("sessiongate_redirect_loops_total"))
            .increment(1);
    }

    /// The counter of lost audit lines, which audit buffers increment.
    pub(crate) fn audit_lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.audit_lost)
    }

    /// Notes whether a change channel is up.
    pub(crate) fn channel_up(&self, channel: &'static str, up: bool) {
        let gauge: Gauge =
            self.register(|| metrics::gauge!("sessiongate_channel_up", "channel" => channel));
        gauge.set(f64::from(u8::from(up)));
    }

    /// Notes whether a store is up.
    pub(crate) fn store_up(&self, store: &'static str, up: bool) {
        let gauge: Gauge =
            self.register(|| metrics::gauge!("sessiongate_store_up", "store" => store));
        gauge.set(f64::from(u8::from(up)));
    }

    /// Counts an attempt to fetch the issuer's keys.
    pub(crate) fn jwks_refreshed(&self, result: &'static str) {
        let counter = self
            .register(|| metrics::counter!("sessiongate_jwks_refreshes_total", "result" => result));
        counter.increment(1);
    }

    /// Counts a reload, and notes whether the configuration that was read last took effect.
    pub(crate) fn reloaded(&self, is_ok: bool) {
        self.configured(is_ok);
        let result = if is_ok { "ok" } else { "failed" };
        let counter =
            self.register(|| metrics::counter!("sessiongate_reloads_total", "result" => result));
        counter.increment(1);
    }

    /// Notes whether the configuration that was read last took effect.
    pub(crate) fn configured(&self, is_ok: bool) {
        self.register(|| {
            let success = metrics::gauge!("sessiongate_config_reload_success");
            success.set(f64::from(u8::from(is_ok)));
            if is_ok {
                let time = Duration::from_millis(clock::now().millis());
                metrics::gauge!("sessiongate_config_last_reload_success_timestamp_seconds")
                    .set(time.as_secs_f64());
            }
        });
    }

    /// Counts a revocation that has taken effect, by how it was made.
    pub(crate) fn revoked(&self, source: &str) {
        // The store may hold any text, and every new label value would stay in memory.
        let source = match source {
            "admin" => "admin",
            "cli" => "cli",
            _ => "other",
        };
        let counter = self
            .register(|| metrics::counter!("sessiongate_revocations_total", "source" => source));
        counter.increment(1);
    }

    /// Notes how many revocations there are.
    pub(crate) fn revocations(&self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.register(|| metrics::gauge!("sessiongate_revocations"))
            .set(f64::from(count));
    }

    /// The metrics as text, as Prometheus reads them.
    pub(crate) fn render(&self) -> String {
        let audit_lost = self.audit_lost.load(Ordering::Relaxed);
        self.audit_lines_lost.absolute(audit_lost);
        let in_flight = u32::try_from(self.in_flight.load(Ordering::Relaxed));
        self.requests_in_flight.set(in_flight.unwrap_or(u32::MAX));
        self.log_lines_lost.absolute(logging::lost());
        self.handle.render()
    }

    /// Folds the histograms' samples. It has to be called regularly, or they grow.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    fn register<T>(&self, register: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&self.recorder, register)
    }
}

impl Observer for Metrics {
    fn answered(&self, asked: FactKind, source: LookupSource, outcome: Outcome) {
        match (asked, source, outcome) {
            (FactKind::Session, LookupSource::Memory, Outcome::Present) => {
                self.sessions_in_memory.increment(1);
            }
            (FactKind::User, LookupSource::Memory, Outcome::Present) => {
                self.users_in_memory.increment(1);
            }
            _ => self
                .register(|| checks(asked, source, outcome.as_str()))
                .increment(1),
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl DecisionMeters {
    fn register(mode: Mode) -> Self {
        let duration = |outcome| {
            let labels = labels(&[("mode", mode.as_str()), ("outcome", outcome)]);
            metrics::histogram!("sessiongate_decision_duration_seconds", labels)
        };
        Self {
            allowed_by_session: decisions(mode, "allow", "session"),
            allowed_in: duration("allow"),
            denied_in: duration("deny"),
        }
    }
}

fn decisions(mode: Mode, outcome: &'static str, reason: &'static str) -> Counter {
    let labels = labels(&[
        ("mode", mode.as_str()),
        ("outcome", outcome),
        ("reason", reason),
    ]);
    metrics::counter!("sessiongate_decisions_total", labels)
}

fn checks(asked: FactKind, source: LookupSource, outcome: &'static str) -> Counter {
    let labels = labels(&[("source", source.as_str()), ("result", outcome)]);
    match asked {
        FactKind::Session => metrics::counter!("sessiongate_session_check_total", labels),
        FactKind::User => metrics::counter!("sessiongate_user_check_total", labels),
    }
}

fn upstream(result: &'static str) -> Counter {
    metrics::counter!(
        "sessiongate_upstream_responses_total",
        labels(&[("result", result)])
    )
}

fn labels(pairs: &[(&'static str, &'static str)]) -> Vec<Label> {
    pairs
        .iter()
        .map(|(name, value)| Label::from_static_parts(name, value))
        .collect()
}

/// The buckets, from decisions in memory (microseconds) to those that waited for a database.
const SECONDS: [f64; 14] = [
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.01,
    0.05, 0.25, 1.0, 5.0,
];
