//! Parameters of other PostgreSQL clients that need no effect here.

/// Parameters that need no effect, because the gate runs single queries without named statements: names in lower case, with `_`
/// for `-`, and the reason.
pub(super) const HARMLESS: [(&[&str], &str); 7] = [
    (
        &["pgbouncer"],
        "lookups work through a pooler in any of its modes",
    ),
    (
        &["uselibpqcompat"],
        "`sslmode` always has the meaning it has in libpq",
    ),
    (
        &[
            "statement_cache_capacity",
            "statement_cache_size",
            "statement_cache_mode",
            "description_cache_capacity",
            "default_query_exec_mode",
            "prefer_simple_protocol",
            "binary_parameters",
            "prepare",
            "prepared_statements",
            "prepared_statement_cache_size",
            "preparedstatementcachequeries",
            "preparedstatementcachesizemib",
            "prepare_threshold",
            "preparethreshold",
            "max_prepared_statements",
        ],
        "the gate keeps no prepared statements",
    ),
    (
        &[
            "pool_timeout",
            "socket_timeout",
            "sockettimeout",
            "command_timeout",
            "query_timeout",
            "logintimeout",
        ],
        "DATABASE_TIMEOUT bounds how long a request waits",
    ),
    (
        &[
            "keepalives",
            "keepalives_idle",
            "keepalives_interval",
            "keepalives_count",
            "tcp_user_timeout",
            "tcpkeepalive",
        ],
        "a connection that does not answer is dropped within DATABASE_TIMEOUT",
    ),
    (
        &[
            "pool_size",
            "max_pool_size",
            "min_pool_size",
            "pool_min",
            "pool_max",
            "pool_max_conns",
            "pool_min_conns",
            "pool_max_conn_lifetime",
            "pool_max_conn_idle_time",
            "max",
            "idle_timeout",
            "max_lifetime",
            "max_idle_connection_lifetime",
        ],
        "DATABASE_CONNECTIONS sets the number of connections",
    ),
    (
        &[
            "fallback_application_name",
            "sslcompression",
            "sslsni",
            "krbsrvname",
            "single_use_connections",
        ],
        "it does not affect the gate",
    ),
];
