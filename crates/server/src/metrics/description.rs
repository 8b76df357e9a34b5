//! The description of each metric, for Prometheus.

/// Registers the descriptions with the current recorder.
pub(super) fn describe() {
    metrics::describe_counter!(
        "sessiongate_revocations_total",
        "Revocations that took effect, by how they were made."
    );
    metrics::describe_gauge!("sessiongate_revocations", "Known revocations.");
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
        "Responses of the upstream by class, and its failures."
    );
    metrics::describe_counter!(
        "sessiongate_broken_exchanges_total",
        "Exchanges that did not complete, by who ended them."
    );
    metrics::describe_counter!(
        "sessiongate_proxy_headers_refused_total",
        "Connections from trusted proxies that were closed because they began without a readable PROXY header."
    );
    metrics::describe_counter!(
        "sessiongate_upstream_retries_total",
        "Requests that one of several servers failed, by outcome."
    );
    metrics::describe_counter!(
        "sessiongate_jwks_refreshes_total",
        "Fetches of the token issuer's keys, by result."
    );
    metrics::describe_counter!(
        "sessiongate_tls_handshakes_total",
        "TLS handshakes by result."
    );
    metrics::describe_counter!(
        "sessiongate_acme_orders_total",
        "Orders of certificates by result."
    );
    metrics::describe_counter!("sessiongate_reloads_total", "Reloads of the configuration.");
    metrics::describe_gauge!(
        "sessiongate_config_reload_success",
        "Whether the configuration that was last read took effect (1) or had a problem (0)."
    );
    metrics::describe_gauge!(
        "sessiongate_config_last_reload_success_timestamp_seconds",
        "When a configuration last took effect, in seconds since 1970."
    );
    metrics::describe_counter!(
        "sessiongate_bypass_total",
        "Requests permitted by the development bypass."
    );
    metrics::describe_counter!(
        "sessiongate_rate_limited_total",
        "Requests refused by a rate limit, by limit."
    );
    metrics::describe_counter!(
        "sessiongate_shared_limits_total",
        "Checks of shared rate limits, by whether all nodes counted or this one alone."
    );
    metrics::describe_counter!(
        "sessiongate_connections_refused_total",
        "Connections that were closed at once, by the setting that limits them."
    );
    metrics::describe_gauge!(
        "sessiongate_requests_in_flight",
        "Requests in flight; 0 without MAX_IN_FLIGHT."
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
        "Log lines for standard error that could not be written."
    );
    metrics::describe_gauge!(
        "sessiongate_store_up",
        "Whether a store answers (1) or not (0)."
    );
    metrics::describe_gauge!(
        "sessiongate_channel_up",
        "Whether notifications of changes from a store arrive (1) or not (0)."
    );
    metrics::describe_gauge!("sessiongate_build_info", "The running version.");
}
