//! `[[route]]` and `[service.NAME]`.

use super::super::problem::Problem;
use super::super::stack::{RawFolder, RawRoute, RawService, Spanned};
use super::table::Table;

pub(super) fn route(table: &mut Table<'_>) -> RawRoute {
    table.name_unknown();
    if !table.seems_to_have("path") {
        let problem = Problem::at(table.place.clone(), "this route has no `path`");
        let help = "`path = \"/\"` is everything; several stand in a list";
        table.problems.push(problem.with_help(help));
    }
    RawRoute {
        place: table.place.clone(),
        name: table.text("name"),
        hosts: table.filled("host"),
        paths: table.filled("path"),
        methods: table.filled("methods"),
        access: table.text("access"),
        require: table.conditions("require"),
        realm: table.text("realm"),
        service: table.text("service"),
        upstreams: table.filled("upstream"),
        seems_to_name_service: table.seems_to_have("service") || table.seems_to_have("upstream"),
        headers: table.text("headers"),
        strip_prefix: table.text("strip_prefix"),
        rewrite_host: table.text("rewrite_host"),
        connect_timeout: table.integer("connect_timeout"),
        timeout: table.integer("timeout"),
        body_limit: table.integer("body_limit"),
        rate_limit: table.filled("rate_limit"),
        cors_origins: table.item("cors_origins").map(|item| table.texts_of(&item)),
        forward_session_cookie: table.switch("forward_session_cookie"),
        sign_in_url: table.text("sign_in_url"),
        csrf: table.switch("csrf"),
        shared_cache: table.switch("shared_cache"),
    }
}

pub(super) fn service(name: Spanned<String>, table: &mut Table<'_>) -> RawService {
    table.name_unknown();
    if !table.seems_to_have("upstream") {
        let what = format!("the service `{}` has no `upstream`", name.value);
        let problem = Problem::at(table.place.clone(), what);
        let help = "say where it is, such as `upstream = \"http://127.0.0.1:3000\"` or `upstream = \"dir:./public\"`";
        table.problems.push(problem.with_help(help));
    }
    RawService {
        name,
        upstreams: table.filled("upstream"),
        connect_timeout: table.integer("connect_timeout"),
        timeout: table.integer("timeout"),
        folder: RawFolder {
            fallback: table.text("fallback"),
            error_pages: table.text("error_pages"),
            cache_control: table.text("cache_control"),
            well_known: table.switch("well_known"),
        },
    }
}
