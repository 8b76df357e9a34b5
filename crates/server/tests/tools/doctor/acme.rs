//! Certificates from ACME: a real server, and the stores of certificates.

use anyhow::{Context, Result};
use harness::{Pebble, Postgres, free_port};

use super::super::{Outcome, SECRET};
use super::{doctor, finding_text, ids};

/// Runs `doctor` with this ACME server and this store of certificates.
fn of(directory: &str, authority: Option<&str>, store: &str, database: Option<&str>) -> Outcome {
    let mut tool = doctor(["--ignore", "service-unreachable"])
        .env("AUTH_SECRET", SECRET)
        .env("UPSTREAM", "http://127.0.0.1:9")
        .env("LISTEN", "127.0.0.1:8443")
        .env("TLS", "acme")
        .env("ACME_DOMAINS", "app.example.com")
        .env("ACME_DIRECTORY_URL", directory)
        .env("ACME_STORE", store);
    if let Some(authority) = authority {
        tool = tool.env("ACME_CA_FILE", authority);
    }
    if let Some(database) = database {
        tool = tool.env("DATABASE_URL", database);
    }
    tool.run()
}

const NOWHERE: &str = "https://127.0.0.1:9/dir";

#[tokio::test]
async fn only_the_certificate_is_missing_if_acme_server_and_folder_work() -> Result<()> {
    let pebble = Pebble::start(free_port(), free_port()).await?;
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("not-there");
    let shown = store.to_str().context("a path")?;
    let authority = pebble.authority();
    let outcome = of(&pebble.directory_url(), Some(&authority), shown, None);
    assert_eq!(ids(&outcome), ["acme-certificate-missing"], "{outcome:?}");
    assert!(!store.exists(), "nothing is written");

    // The URL of something other than an ACME directory.
    let wrong = pebble.directory_url().replace("/dir", "/nonce-plz");
    let outcome = of(&wrong, Some(&authority), shown, None);
    assert!(
        ids(&outcome).contains(&"acme-directory-unreachable".to_owned()),
        "{outcome:?}"
    );
    let outcome = of(&pebble.directory_url(), None, shown, None);
    let seen = finding_text(&outcome, "acme-directory-unreachable", "seen");
    assert!(seen.contains("cannot connect"), "{seen}");
    Ok(())
}

#[tokio::test]
async fn an_acme_folder_that_is_a_file_is_a_problem() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    let store = file.path().join("acme");
    let outcome = of(NOWHERE, None, store.to_str().context("a path")?, None);
    assert_eq!(
        &ids(&outcome)[..2],
        ["acme-directory-unreachable", "acme-folder-not-writable"],
        "{outcome:?}"
    );
    assert_eq!(outcome.code, Some(1));
    Ok(())
}

#[tokio::test]
async fn a_role_without_table_rights_gets_the_grants_as_advice() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres
        .execute(
            "CREATE ROLE orders LOGIN PASSWORD 'hidden-password'; REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        )
        .await?;
    let url = postgres.url(Postgres::DATABASE);
    let (scheme, rest) = url.split_once("://").context("a URL")?;
    let (_, place) = rest.split_once('@').context("a user")?;
    let url = format!("{scheme}://orders:hidden-password@{place}");
    let outcome = of(NOWHERE, None, "postgres", Some(&url));
    let seen = finding_text(&outcome, "acme-table-rights", "seen");
    assert_eq!(
        seen,
        "it does not exist, and the role orders may not create it"
    );
    let advice = finding_text(&outcome, "acme-table-rights", "advice");
    let statements = advice.split('`').nth(1).context("statements")?;
    postgres.execute(statements).await?;
    let outcome = of(NOWHERE, None, "postgres", Some(&url));
    assert!(
        !ids(&outcome).contains(&"acme-table-rights".to_owned()),
        "{outcome:?}"
    );
    assert!(
        ids(&outcome).contains(&"acme-certificate-missing".to_owned()),
        "{outcome:?}"
    );
    postgres
        .execute("REVOKE UPDATE ON sessiongate_acme FROM orders")
        .await?;
    let outcome = of(NOWHERE, None, "postgres", Some(&url));
    let seen = finding_text(&outcome, "acme-table-rights", "seen");
    assert_eq!(seen, "the role orders lacks UPDATE");
    assert!(!outcome.stdout.contains("hidden-password"), "{outcome:?}");
    Ok(())
}
