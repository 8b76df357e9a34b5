//! The description of each metric, for Prometheus.

/// Registers the descriptions with the current recorder.
pub(super) fn describe() {
    metrics::describe_counter!(
        "sessiongate_revocations_total",
        "Revocations that have taken effect, by how they were made."
    );
    metrics::describe_gauge!("sessiongate_revocations", "Revocations that are known.");
    metrics::describe_counter!(
        "sessiongate_decisions_total",
        "Decisions by mode, outcome and reason."
    );
    metrics::describe_histogram!(
        "sessiongate_decision_duration_seconds",
        "Time from a request's head to its decision."
    );
    metrics::describe_counter!(
        "sessiongate_user_check_total",
        "User lookups by the store that answered."
    );
    metrics::describe_counter!(
        "sessiongate_session_check_total",
        "Session lookups by the store that answered."
    );
    metrics::describe_counter!(
        "sessiongate_upstream_responses_total",
        "Answers of the upstream by class, or its failures."
    );
    metrics::describe_counter!(
        "sessiongate_broken_exchanges_total",
        "Exchanges that did not end as a whole, by who ended them."
    );
    metrics::describe_counter!(
        "sessiongate_proxy_headers_refused_total",
        "Connections of listed proxies that were closed, because they began with no PROXY header that can be read."
    );
    metrics::describe_counter!(
        "sessiongate_upstream_retries_total",
        "Requests that one of several servers has failed, by what became of them."
    );
    metrics::describe_counter!(
        "sessiongate_jwks_refreshes_total",
        "Attempts to have the keys of the tokens' issuer."
    );
    metrics::describe_counter!(
        "sessiongate_tls_handshakes_total",
        "TLS handshakes by how they ended."
    );
    metrics::describe_counter!(
        "sessiongate_acme_orders_total",
        "Orders of certificates by how they ended."
    );
    metrics::describe_counter!("sessiongate_reloads_total", "Reloads of the configuration.");
    metrics::describe_gauge!(
        "sessiongate_config_reload_success",
        "Whether the configuration that was read last took effect (1) or had a problem (0)."
    );
    metrics::describe_gauge!(
        "sessiongate_config_last_reload_success_timestamp_seconds",
        "When a configuration took effect last, in seconds since 1970."
    );
    metrics::describe_counter!(
        "sessiongate_bypass_total",
        "Requests that passed by the development bypass."
    );
    metrics::describe_counter!(
        "sessiongate_rate_limited_total",
        "Requests that came too often, by the limit that they were over."
    );
    metrics::describe_counter!(
        "sessiongate_shared_limits_total",
        "Looks at limits that nodes share, by who counted."
    );
    metrics::describe_counter!(
        "sessiongate_connections_refused_total",
        "Connections that were closed at once, by the setting that limits them."
    );
    metrics::describe_gauge!(
        "sessiongate_requests_in_flight",
        "Requests that are under way; 0 without MAX_IN_FLIGHT."
    );
    metrics::describe_counter!(
        "sessiongate_redirect_loops_total",
        "Browsers that came back from signing in three times within ten seconds and were still refused."
    );
    metrics::describe_counter!(
        "sessiongate_audit_lines_lost_total",
        "Audit lines that could not be written."
    );
    metrics::describe_counter!(
        "sessiongate_log_lines_lost_total",
        "Lines of the log on standard error that could not be written."
    );
    metrics::describe_gauge!(
        "sessiongate_store_up",
        "Whether a store answers (1) or not (0)."
    );
    metrics::describe_gauge!(
        "sessiongate_channel_up",
        "Whether it is heard what changes at a store (1) or not (0)."
    );
    metrics::describe_gauge!("sessiongate_build_info", "The running version.");
}
