//! Parameters of clients that have no effect here and need none.

/// What has no effect on one question at a time, asked without statements that have a name: in lower case, with `_` for `-`.
pub(super) const HARMLESS: [(&[&str], &str); 7] = [
    (
        &["pgbouncer"],
        "look-ups work through a pooler in any of its modes",
    ),
    (
        &["uselibpqcompat"],
        "`sslmode` always means what it means to libpq",
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
        "no statement is kept prepared",
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
        "a connection that does not answer is given up within DATABASE_TIMEOUT",
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
        "DATABASE_CONNECTIONS says how many connections there are",
    ),
    (
        &[
            "fallback_application_name",
            "sslcompression",
            "sslsni",
            "krbsrvname",
            "single_use_connections",
        ],
        "nothing here depends on it",
    ),
];
