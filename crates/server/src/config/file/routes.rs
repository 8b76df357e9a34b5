//! Parses `[[route]]` and `[service.NAME]`.

use super::super::problem::Problem;
use super::super::raw_tables::{RawFolder, RawPool, RawRoute, RawService, Spanned};
use super::table::FileTable;

pub(super) fn route(table: &mut FileTable<'_>) -> RawRoute {
    table.report_unknown();
    if !table.seems_to_have("path") {
        let problem = Problem::at(table.place.clone(), "this route has no `path`");
        let help = "`path = \"/\"` matches everything; write several paths as a list";
        table.problems.push(problem.with_help(help));
    }
    RawRoute {
        place: table.place.clone(),
        name: table.text("name"),
        hosts: table.non_empty_route_texts("host", "host"),
        paths: table.non_empty_route_texts("path", "path"),
        methods: table.non_empty_route_texts("methods", "method"),
        access: table.text("access"),
        require: table.conditions("require"),
        realm: table.text("realm"),
        service: table.text("service"),
        upstreams: table.non_empty_texts("upstream"),
        seems_to_name_service: table.seems_to_have("service") || table.seems_to_have("upstream"),
        headers: table.text("headers"),
        strip_prefix: table.text("strip_prefix"),
        rewrite_host: table.text("rewrite_host"),
        connect_timeout: table.integer("connect_timeout"),
        timeout: table.integer("timeout"),
        body_limit: table.integer("body_limit"),
        rate_limit: table.non_empty_texts("rate_limit"),
        cors_origins: table.item("cors_origins").map(|item| table.texts_of(&item)),
        forward_session_cookie: table.switch("forward_session_cookie"),
        sign_in_url: table.text("sign_in_url"),
        csrf: table.switch("csrf"),
        shared_cache: table.switch("shared_cache"),
    }
}

pub(super) fn service(name: Spanned<String>, table: &mut FileTable<'_>) -> RawService {
    table.report_unknown();
    if !table.seems_to_have("upstream") {
        let what = format!("the service `{}` has no `upstream`", name.value);
        let problem = Problem::at(table.place.clone(), what);
        let help = "give one, such as `upstream = \"http://127.0.0.1:3000\"` or `upstream = \"dir:./public\"`";
        table.problems.push(problem.with_help(help));
    }
    RawService {
        name,
        upstreams: table.non_empty_texts("upstream"),
        connect_timeout: table.integer("connect_timeout"),
        timeout: table.integer("timeout"),
        folder: RawFolder {
            fallback: table.text("fallback"),
            error_pages: table.text("error_pages"),
            cache_control: table.text("cache_control"),
            well_known: table.switch("well_known"),
        },
        pool: pool(table),
    }
}

fn pool(table: &mut FileTable<'_>) -> RawPool {
    RawPool {
        balance: table.text("balance"),
        retry_budget: table.integer("retry_budget"),
        eject_after: table.integer("eject_after"),
        eject_time: table.integer("eject_time"),
        max_age: table.integer("max_age"),
        keep_alive: table.integer("keep_alive"),
        max_connections: table.integer("max_connections"),
        health_check: table.text("health_check"),
        health_interval: table.integer("health_interval"),
        proxy_protocol: table.text("proxy_protocol"),
        tls_ca_files: table.non_empty_texts("tls_ca_file"),
        tls_server_name: table.text("tls_server_name"),
        tls_cert_file: table.text("tls_cert_file"),
        tls_key_file: table.text("tls_key_file"),
    }
}
