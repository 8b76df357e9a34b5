//! The supported versions of TLS, and the certificate that the gate generates if none is configured.

use anyhow::Result;
use harness::{Authority, Echo, poll};

use super::{Site, cookie, curl};
use crate::support::gate;

#[tokio::test]
async fn curl_uses_both_tls_versions_and_the_service_sees_https() -> Result<()> {
    let site = Site::start([]).await?;
    for (least, most) in [("--tlsv1.2", "1.2"), ("--tlsv1.3", "1.3")] {
        let (url, cookie) = (site.url("/page"), cookie("ada"));
        let words = [least, "--tls-max", most, "-H", &cookie, &url];
        let answer = site.curl(&words).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen = site.echo.seen().pop().expect("it arrived");
        assert_eq!(seen.headers.get("x-user-id"), Some("ada"));
        assert_eq!(seen.headers.get("x-forwarded-proto"), Some("https"));
        let printed = site
            .openssl(&format!("-tls{}", most.replace('.', "_")))
            .await?;
        assert!(printed.contains(&format!("New, TLSv{most}")), "{printed}");
        assert!(printed.contains("Verify return code: 0 (ok)"), "{printed}");
        assert!(printed.contains("HTTP/1.1 401"), "{printed}");
    }
    Ok(())
}

#[tokio::test]
async fn tls_versions_below_the_minimum_are_refused() -> Result<()> {
    let old = Site::start([]).await?;
    // OpenSSL itself supports TLS 1.1 only with a lower security level.
    let refused = old.openssl("-tls1_1 -cipher DEFAULT@SECLEVEL=0").await;
    let error = refused.expect_err("TLS 1.1").to_string();
    assert!(error.contains("SSL alert number"), "{error}");

    let new = Site::start([("TLS_MIN_VERSION", "1.3")]).await?;
    let refused = new.openssl("-tls1_2").await;
    let error = refused.expect_err("TLS 1.2").to_string();
    assert!(error.contains("alert protocol version"), "{error}");
    let printed = new.openssl("-tls1_3").await?;
    assert!(printed.contains("New, TLSv1.3"), "{printed}");
    let failed = new
        .gate
        .metric("sessiongate_tls_handshakes_total", ["result=\"failed\""]);
    assert!(failed.await? >= 1.0);
    Ok(())
}

#[tokio::test]
async fn a_self_signed_certificate_has_the_names_of_the_gate() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let stranger = Authority::make(folder.path()).await?;
    let gate = gate(&echo.url())
        .env("TLS", "self-signed")
        .env(
            "PUBLIC_URL",
            "https://app.example,https://*.tenants.example",
        )
        .env("PUBLIC_PATHS", "/")
        .start()
        .await?;
    gate.stderr()
        .wait_for(|line| {
            line.contains("TLS=self-signed is for development")
                .then_some(())
        })
        .await?;
    let port = gate.proxy.port();
    let url = format!("https://localhost:{port}/");
    let refused = curl(&stranger, &[&url])
        .await
        .expect_err("no authority signed it");
    assert!(refused.to_string().contains("self-signed"), "{refused}");
    assert_eq!(curl(&stranger, &["-k", &url]).await?.status, 200);

    // A client can be configured to trust the generated certificate.
    let file = folder.path().join("made.pem");
    let mut fetch = std::process::Command::new("sh");
    fetch.args([
        "-c",
        &format!(
            "openssl s_client -connect 127.0.0.1:{port} </dev/null 2>/dev/null | openssl x509 > {}",
            file.display()
        ),
    ]);
    harness::run(fetch, "openssl").await?;
    let trusted = Authority {
        certificate: file,
        ..stranger
    };
    for host in ["localhost", "app.example", "any.tenants.example"] {
        let (resolve, url) = super::resolved(host, gate.proxy);
        let answer = curl(&trusted, &["--resolve", &resolve, &url]).await?;
        assert_eq!(answer.status, 200, "{host}");
    }
    Ok(())
}

#[tokio::test]
async fn metrics_count_handshakes_and_show_certificate_expiry() -> Result<()> {
    let site = Site::start([]).await?;
    site.curl(&[&site.url("/")]).await?;
    let full = poll("a handshake to be counted", async || {
        let name = "sessiongate_tls_handshakes_total";
        let count = site.gate.metric(name, ["result=\"full\""]).await.ok()?;
        (count > 0.0).then_some(count)
    });
    assert!(full.await? >= 1.0);
    let name = "sessiongate_certificate_expiry_timestamp_seconds";
    let expiry = site.gate.metric(name, ["host=\"localhost\""]).await?;
    assert!(expiry > 1.7e9, "{expiry}");
    Ok(())
}
