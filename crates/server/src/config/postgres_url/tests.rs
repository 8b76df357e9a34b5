//! Tests of PostgreSQL URLs: which are valid, and how they are read.

use super::*;

fn read(parameters: &str) -> Result<PostgresUrl, String> {
    let url = format!("postgres://u:hidden@db/app?{parameters}");
    PostgresUrl::read(&ConnectionUrl::parse(&url).unwrap())
}

#[test]
fn tls_parameters_are_read_as_libpq_does() {
    for (parameters, mode, verify) in [
        ("", SslMode::Prefer, Verify::Nothing),
        ("sslmode=disable", SslMode::Disable, Verify::Nothing),
        ("sslMode=require", SslMode::Require, Verify::Nothing),
        (
            "SSLMODE=Verify-Full",
            SslMode::Require,
            Verify::AuthorityAndName,
        ),
        ("ssl-mode=verify-ca", SslMode::Require, Verify::Authority),
        ("ssl=true", SslMode::Require, Verify::Nothing),
        ("ssl=1", SslMode::Require, Verify::Nothing),
        (
            "ssl=verify-full",
            SslMode::Require,
            Verify::AuthorityAndName,
        ),
        ("ssl=false", SslMode::Disable, Verify::Nothing),
        (
            "sslaccept=strict",
            SslMode::Require,
            Verify::AuthorityAndName,
        ),
        (
            "sslrootcert=/ca.pem",
            SslMode::Require,
            Verify::AuthorityAndName,
        ),
        (
            "sslrootcert=system",
            SslMode::Require,
            Verify::AuthorityAndName,
        ),
        (
            "sslmode=require&sslrootcert=/ca.pem",
            SslMode::Require,
            Verify::Authority,
        ),
        ("channel_binding=require", SslMode::Require, Verify::Nothing),
        (
            "ssl=true&sslmode=verify-full",
            SslMode::Require,
            Verify::AuthorityAndName,
        ),
        (
            "sslmode=require&sslaccept=strict",
            SslMode::Require,
            Verify::AuthorityAndName,
        ),
        (
            "uselibpqcompat=true&sslmode=require",
            SslMode::Require,
            Verify::Nothing,
        ),
    ] {
        let server = read(parameters).unwrap().server();
        assert_eq!(
            (server.config.get_ssl_mode(), server.verify),
            (mode, verify),
            "{parameters}"
        );
    }
}

#[test]
fn unsupported_parameters_are_refused_by_name() {
    for (parameters, words) in [
        ("sslmode=no-verify", "parameter `sslmode`: `no-verify` is"),
        ("ssl=no-verify", "parameter `ssl`: `no-verify` is"),
        ("sslmode=yes", "`yes` is not one of disable, allow"),
        ("sslaccept=accept_invalid_certs", "only `strict` verifies"),
        ("sslcert=/c.pem", "`sslcert` and `sslkey`"),
        ("sslmode=prefer&sslrootcert=/ca.pem", "is not verified"),
        ("sslmode=disable&channel_binding=require", "it needs TLS"),
        ("sslmode=disable&sslmode=require", "given twice"),
        ("ssl=false&sslmode=require", "contradict each other"),
        ("ssl=true&sslmode=prefer", "contradict each other"),
        ("sslmode=prefer&sslaccept=strict", "contradict each other"),
        ("schema=a&schema=b", "given twice"),
        ("schema=a&search_path=b", "given twice"),
        ("search_path=$user", "without `$user`"),
        ("port=1,2", "one for each host"),
        ("sslidentity=/x.p12", "not supported"),
        ("sslnegotiation=direct", "not supported"),
        ("load_balance_hosts=random", "not supported"),
        ("client_encoding=latin1", "not supported"),
        ("ssl_min_protocol_version=TLSv1.3", "not supported"),
        ("gssencmode=require", "not supported"),
        ("require_auth=scram-sha-256", "not supported"),
        ("service=prod", "not supported"),
        ("passfile=/x", "not supported"),
        ("sslcrl=/x", "not supported"),
        ("schemas=tenant", "parameter `schemas`: it is not supported"),
        ("schemas=tenant", "did you mean `schema`?"),
        ("sslmod=require", "did you mean `sslmode`?"),
        ("ssl-rootcert=/x", "did you mean `ssl_root_cert`?"),
        ("pgbouncr=true", "did you mean `pgbouncer`?"),
        ("sslcrl=/x", "would have no effect; remove it"),
        ("schema=a,b", "give the one schema"),
        ("search_path=", "give the one schema"),
        ("options=-c%20search_path%3Da,b", "give the one schema"),
        ("target_session_attrs=prefer-standby", "the values are any"),
        ("connection_limit=many", "whole number"),
        ("port=0x1", "whole number"),
        ("host=a%20b", "not a host"),
    ] {
        let error = read(parameters).unwrap_err();
        assert!(error.contains(words), "{parameters}: {error}");
        assert!(!error.contains("hidden"));
    }
}

#[test]
fn parameters_of_common_clients_are_applied() {
    let read = read(
        "schema=tenant&connection_limit=3&connect_timeout=4&application_name=gate&port=6000&\
         target_session_attrs=read-write&options=-c+statement_timeout%3D1s+--search_path%3Dtenant&\
         pgbouncer=true&pool_timeout=10&statement-cache-capacity=0",
    )
    .unwrap();
    assert_eq!(read.schema.as_deref(), Some("tenant"));
    assert_eq!(read.connections, Some(3));
    let names: Vec<_> = read.harmless.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(
        names,
        ["pgbouncer", "pool_timeout", "statement_cache_capacity"]
    );
    let server = read.server();
    assert_eq!(server.config.get_options(), Some("-c statement_timeout=1s"));
    assert_eq!(server.config.get_application_name(), Some("gate"));
    assert_eq!(server.hosts[0].to_string(), "db:6000");
    assert_eq!(server.host_timeout, Some(Duration::from_secs(4)));
    assert_eq!(
        server.config.get_target_session_attrs(),
        TargetSessionAttrs::ReadWrite
    );
}

#[test]
fn hosts_may_be_in_the_authority_or_a_parameter() {
    for (url, expected) in [
        ("postgres://u@[::1]:5433/app", &["[::1]:5433"][..]),
        ("postgres://u@a,b:5433/app", &["a:5432", "b:5433"]),
        (
            "postgres:///app?host=/run/postgresql",
            &["/run/postgresql:5432"],
        ),
        ("postgres://u@%2Frun%2Fpg/app?port=1", &["/run/pg:1"]),
        ("postgres:///app?host=::1,b:1", &["[::1]:5432", "b:1"]),
        ("postgres:///app", &["localhost:5432"]),
        (
            "postgres://u@localhost/app?host=/cloudsql/a:b:c",
            &["/cloudsql/a:b:c:5432"],
        ),
        ("postgres:///app?host=a,b&port=1,2", &["a:1", "b:2"]),
        ("postgres://a,b/app?port=1,2", &["a:1", "b:2"]),
    ] {
        let url = ConnectionUrl::parse(url).unwrap();
        let server = PostgresUrl::read(&url).unwrap().server();
        let hosts: Vec<_> = server.hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, expected);
    }
    for (parameters, schema) in [
        ("schema=Tenant", "Tenant"),
        ("search_path=Tenant", "tenant"),
        ("currentSchema=%22Tenant%22", "Tenant"),
        ("options=--search-path%3DTenant", "tenant"),
        ("options=-csearch_path%3Dtenant", "tenant"),
    ] {
        let read = read(parameters).unwrap();
        assert_eq!(read.schema.as_deref(), Some(schema), "{parameters}");
    }
    let url = ConnectionUrl::parse("postgres://a/app?host=b").unwrap();
    assert!(PostgresUrl::read(&url).unwrap_err().contains("given twice"));
}
