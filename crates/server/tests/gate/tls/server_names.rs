//! Several certificates: the host that a client names selects one (SNI, RFC 6066 §3).

use anyhow::Result;
use harness::{Authority, Echo};

use super::{HERE, curl, resolved};
use crate::support::gate;

#[tokio::test]
async fn the_server_name_selects_the_certificate() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let authority = Authority::make(folder.path()).await?;
    let mut pairs = Vec::new();
    for (file, names) in [
        ("first", HERE),
        ("a", "DNS:a.example"),
        ("b", "DNS:b.example,DNS:*.b.example"),
    ] {
        pairs.push(authority.server(file, names).await?);
    }
    let joined = |path: fn(&harness::KeyPair) -> String| {
        pairs.iter().map(path).collect::<Vec<_>>().join(", ")
    };
    let gate = gate(&echo.url())
        .env("PUBLIC_PATHS", "/")
        .env(
            "TLS_CERT_FILE",
            joined(|pair| pair.certificate.display().to_string()),
        )
        .env(
            "TLS_KEY_FILE",
            joined(|pair| pair.key.display().to_string()),
        )
        .start()
        .await?;
    for host in [
        "localhost",
        "a.example",
        "A.Example",
        "b.example",
        "x.b.example",
        "127.0.0.1",
    ] {
        let (resolve, url) = resolved(host, gate.proxy);
        let answer = curl(&authority, &["--resolve", &resolve, &url]).await?;
        assert_eq!(answer.status, 200, "{host}");
    }
    // No certificate matches these hosts: the gate shows the first one, which curl refuses.
    for host in ["c.example", "x.y.b.example"] {
        let (resolve, url) = resolved(host, gate.proxy);
        let refused = curl(&authority, &["--resolve", &resolve, &url]).await;
        let error = refused.expect_err(host).to_string();
        assert!(
            error.contains("no alternative certificate subject name"),
            "{error}"
        );
        let careless = curl(&authority, &["-k", "--resolve", &resolve, &url]).await?;
        assert_eq!(careless.status, 200, "{host}");
    }
    Ok(())
}

#[tokio::test]
async fn invalid_certificates_are_refused_at_start_up() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let authority = Authority::make(folder.path()).await?;
    let one = authority.server("one", HERE).await?;
    let two = authority.server("two", HERE).await?;
    let missing = folder.path().join("missing.pem");
    let path_text = |path: &std::path::Path| path.display().to_string();
    let cases = [
        (
            vec![
                ("TLS_CERT_FILE", path_text(&one.certificate)),
                ("TLS_KEY_FILE", path_text(&two.key)),
            ],
            "TLS_KEY_FILE: the key in `",
            "does not match the certificate in",
        ),
        (
            vec![
                ("TLS_CERT_FILE", path_text(&one.key)),
                ("TLS_KEY_FILE", path_text(&one.certificate)),
            ],
            "TLS_CERT_FILE: `",
            "contains a key and no certificate; are the two files swapped?",
        ),
        (
            vec![("TLS_CERT_FILE", path_text(&one.certificate))],
            "TLS_KEY_FILE: `",
            "contains only a certificate; give the file of its key too",
        ),
        (
            vec![
                ("TLS_CERT_FILE", path_text(&missing)),
                ("TLS_KEY_FILE", path_text(&one.key)),
            ],
            "TLS_CERT_FILE: cannot read `",
            "No such file",
        ),
        (
            vec![("TLS_KEY_FILE", path_text(&one.key))],
            "TLS_KEY_FILE: the key has no certificate",
            "TLS_CERT_FILE",
        ),
        (
            vec![
                ("TLS", "self-signed".to_owned()),
                ("TLS_CERT_FILE", path_text(&one.certificate)),
                ("TLS_KEY_FILE", path_text(&one.key)),
            ],
            "TLS: `self-signed` makes a certificate",
            "keep one of the two",
        ),
        (
            vec![("TLS_MIN_VERSION", "1.1".to_owned())],
            "TLS_MIN_VERSION",
            "1.2",
        ),
    ];
    for (settings, start, rest) in cases {
        let pairs = settings.iter().map(|(name, value)| (*name, value.as_str()));
        let ended = gate(&echo.url()).envs(pairs).run().await?;
        assert!(!ended.status.success(), "{settings:?}");
        let printed = &ended.stderr;
        assert!(
            printed.contains(start) && printed.contains(rest),
            "{settings:?}: {printed}"
        );
    }
    Ok(())
}
