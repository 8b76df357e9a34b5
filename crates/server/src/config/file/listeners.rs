//! Parses `[[listener]]`.

use super::super::problem::Problem;
use super::super::raw_tables::RawListener;
use super::table::FileTable;

pub(super) fn listener(table: &mut FileTable<'_>) -> Option<RawListener> {
    table.report_unknown();
    if !table.seems_to_have("address") {
        let problem = Problem::at(table.place.clone(), "this listener has no `address`");
        let help = "give one, such as `address = \"0.0.0.0:443\"`";
        table.problems.push(problem.with_help(help));
    }
    Some(RawListener {
        address: table.text("address")?,
        redirect: table.switch("redirect"),
        proxy_protocol: table.switch("proxy_protocol"),
        tls: table.text("tls"),
        cert_files: table.non_empty_texts("tls_cert_file"),
        key_files: table.non_empty_texts("tls_key_file"),
        min_version: table.text("tls_min_version"),
        client_auth: table.text("tls_client_auth"),
        client_ca_file: table.text("tls_client_ca_file"),
    })
}
