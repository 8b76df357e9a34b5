use super::*;
use crate::config::Variables;

/// The ids of the findings about the connection to the database at this URL.
fn ids(url: &str) -> Vec<&'static str> {
    let variables = Variables::default().with([
        (
            "AUTH_SECRET",
            "mXk3Jc0aHq9vQ2fLw7tYp5RzN8sBd1GuEoVi6xCyTnKh".to_owned(),
        ),
        ("UPSTREAM", "http://127.0.0.1:9".to_owned()),
        ("ENABLE_DB_CHECK", "true".to_owned()),
        ("DATABASE_URL", url.to_owned()),
    ]);
    let config = Config::from_variables(&variables).unwrap();
    let stores = config.realms[0].stores.as_ref().unwrap();
    let DatabaseUrl::Postgres(server) = &stores.database.as_ref().unwrap().url else {
        panic!("{url}");
    };
    encryption("database", server)
        .iter()
        .map(|finding| finding.check.id)
        .collect()
}

#[test]
fn connection_to_another_machine_must_be_encrypted_and_verified() {
    for (url, found) in [
        (
            "postgres://gate:x@db.internal/app",
            &["database-in-the-clear"][..],
        ),
        (
            "postgres://gate:x@db.internal/app?sslmode=disable",
            &["database-in-the-clear"],
        ),
        (
            "postgres://gate:x@db.internal/app?sslmode=require",
            &["database-not-verified"],
        ),
        (
            "postgres://gate:x@db.internal/app?sslmode=verify-ca",
            &["database-not-verified"],
        ),
        ("postgres://gate:x@db.internal/app?sslmode=verify-full", &[]),
        ("postgres://gate:x@127.0.0.1/app", &[]),
        (
            "postgres://gate:x@localhost,10.0.0.5/app",
            &["database-in-the-clear"],
        ),
        ("postgres:///app?host=/run/postgresql&user=gate", &[]),
    ] {
        assert_eq!(ids(url), found, "{url}");
    }
}
