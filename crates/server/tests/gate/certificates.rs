//! Servers with a self-signed certificate, as `openssl req -x509` creates it: the gate trusts it only where exactly this
//! certificate is the CA file.

use std::path::Path;

use anyhow::Result;
use harness::CertificateKind::{OwnAuthority, OwnAuthorityOfAnother, OwnAuthorityUntil2020};
use harness::{
    CertificateKind, Certificates, Echo, Gate, GateCommand, Postgres, PostgresOptions, Redis, poll,
};

use crate::bearer::{Key, Publisher, acceptor, gate_with_issuer, outcome};
use crate::support::{gate, signed_in};

const USERS: &str = "CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('ada')";

/// Wrong certificates, and what the log says about each.
const WRONG: [(CertificateKind, &str); 2] = [
    (
        OwnAuthorityOfAnother,
        "(the server's certificate is for other hosts; its subjectAltName must name the host as it is configured here",
    ),
    (
        OwnAuthorityUntil2020,
        "(the server's certificate has expired)",
    ),
];

const STRANGER: &str = "(the server's certificate is an authority's own (CA:TRUE); give exactly this certificate as the CA \
                        file, or have that authority sign one for the server)";

async fn logged(gate: &Gate, text: &str) -> Result<()> {
    gate.stderr()
        .wait_for(|line| line.contains(text).then_some(()))
        .await
}

async fn postgres(kind: CertificateKind) -> Result<Postgres> {
    let options: PostgresOptions = Postgres::options().tls_with(kind);
    let postgres = options.start().await?;
    postgres.execute(USERS).await?;
    Ok(postgres)
}

/// Returns the command of a gate that looks users up in `postgres` and trusts the CA file `authority`.
fn checking(echo: &Echo, postgres: &Postgres, mode: &str, authority: &Path) -> GateCommand {
    let url = postgres.url(Postgres::DATABASE);
    let authority = authority.display();
    gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env(
            "DATABASE_URL",
            format!("{url}?sslmode={mode}&sslrootcert={authority}"),
        )
        .env("MEMORY_CACHE_TTL", "0")
}

async fn status(gate: &Gate) -> Result<u16> {
    Ok(gate.send(&signed_in("/", "ada")).await?.status)
}

#[tokio::test]
async fn a_self_signed_certificate_of_postgresql_can_be_trusted() -> Result<()> {
    let (echo, postgres) = (Echo::start().await?, postgres(OwnAuthority).await?);
    for mode in ["verify-full", "verify-ca"] {
        let command = checking(&echo, &postgres, mode, postgres.authority());
        assert_eq!(status(&command.start().await?).await?, 200, "{mode}");
    }
    let folder = tempfile::tempdir()?;
    // The same names, but another key.
    let stranger = Certificates::make_kind(folder.path(), OwnAuthority).await?;
    for mode in ["verify-full", "verify-ca"] {
        let command = checking(&echo, &postgres, mode, &stranger.authority);
        let gate = command.start().await?;
        assert_eq!(status(&gate).await?, 503, "{mode}");
        logged(&gate, STRANGER).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_pinned_certificate_of_postgresql_must_match_its_name_and_be_valid() -> Result<()> {
    let echo = Echo::start().await?;
    for (kind, advice) in WRONG {
        let postgres = postgres(kind).await?;
        let authority = postgres.authority();
        let gate = checking(&echo, &postgres, "verify-full", authority)
            .start()
            .await?;
        assert_eq!(status(&gate).await?, 503, "{kind:?}");
        logged(&gate, advice).await?;
        // This mode of libpq checks no name, but the time.
        let gate = checking(&echo, &postgres, "verify-ca", authority)
            .start()
            .await?;
        let expected = if kind == OwnAuthorityOfAnother {
            200
        } else {
            503
        };
        assert_eq!(status(&gate).await?, expected, "{kind:?}");
    }
    Ok(())
}

/// Returns the command of a gate that caches in `redis` and trusts the CA file `authority`.
fn caching(echo: &Echo, postgres: &Postgres, redis: &Redis, authority: &Path) -> GateCommand {
    gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
        .env("REDIS_URL", redis.tls_url())
        .env("REDIS_CA_FILE", authority.display().to_string())
        .env("MEMORY_CACHE_TTL", "0")
}

#[tokio::test]
async fn a_self_signed_certificate_of_redis_can_be_trusted() -> Result<()> {
    let (echo, postgres) = (Echo::start().await?, Postgres::start().await?);
    postgres.execute(USERS).await?;
    let redis = Redis::options().tls_with(OwnAuthority).start().await?;
    let gate = caching(&echo, &postgres, &redis, &redis.authority())
        .start()
        .await?;
    poll("the user to be cached", async || {
        status(&gate).await.ok()?;
        (redis.cli(["EXISTS", "auth:ada"]).await.ok()? == "1").then_some(())
    })
    .await?;

    let folder = tempfile::tempdir()?;
    let stranger = Certificates::make_kind(folder.path(), OwnAuthority).await?;
    let gate = caching(&echo, &postgres, &redis, &stranger.authority)
        .start()
        .await?;
    logged(&gate, STRANGER).await?;
    for (kind, advice) in WRONG {
        let redis = Redis::options().tls_with(kind).start().await?;
        let gate = caching(&echo, &postgres, &redis, &redis.authority())
            .start()
            .await?;
        logged(&gate, advice).await?;
        // Requests enter without the cache.
        assert_eq!(status(&gate).await?, 200);
    }
    Ok(())
}

#[tokio::test]
async fn a_self_signed_certificate_of_an_issuer_can_be_trusted() -> Result<()> {
    let (echo, key) = (Echo::start().await?, Key::new("2030-01"));
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let own = Certificates::make_kind(folders[0].path(), OwnAuthority).await?;
    let stranger = Certificates::make_kind(folders[1].path(), OwnAuthority).await?;
    let trusting = async |publisher: &Publisher, authority: &Path| {
        gate_with_issuer(&echo)
            .env("BEARER_JWKS", format!("https://{}/", publisher.address))
            .env("BEARER_JWKS_CA_FILE", authority.display().to_string())
            .start()
            .await
    };
    let publisher = Publisher::start_with(&[&key], Some(acceptor(&own)?)).await?;
    let gate = trusting(&publisher, &own.authority).await?;
    assert_eq!(outcome(&gate, &key.token()?).await?.0, 200);
    let gate = trusting(&publisher, &stranger.authority).await?;
    assert_eq!(outcome(&gate, &key.token()?).await?.0, 503);
    logged(&gate, STRANGER).await?;
    for (kind, advice) in WRONG {
        let folder = tempfile::tempdir()?;
        let wrong = Certificates::make_kind(folder.path(), kind).await?;
        let publisher = Publisher::start_with(&[&key], Some(acceptor(&wrong)?)).await?;
        let gate = trusting(&publisher, &wrong.authority).await?;
        assert_eq!(outcome(&gate, &key.token()?).await?.0, 503, "{kind:?}");
        logged(&gate, advice).await?;
    }
    Ok(())
}
