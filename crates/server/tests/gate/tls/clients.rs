//! Clients that prove who they are with a certificate.

use anyhow::Result;
use harness::{Authority, KeyPair};

use super::{Site, cookie};

async fn asking(how: &str) -> Result<Site> {
    Site::start_with(|command, authority| {
        let authority = authority.certificate.display().to_string();
        command
            .env("TLS_CLIENT_AUTH", how)
            .env("TLS_CLIENT_CA_FILE", authority)
    })
    .await
}

/// The words with which curl shows a certificate.
fn shown(pair: &KeyPair) -> [String; 4] {
    let path = |path: &std::path::Path| path.display().to_string();
    [
        "--cert".into(),
        path(&pair.certificate),
        "--key".into(),
        path(&pair.key),
    ]
}

async fn status(site: &Site, pair: Option<&KeyPair>) -> Result<u16> {
    let (cookie, url) = (cookie("ada"), site.url("/"));
    let shown = pair.map(shown);
    let mut words = vec!["-H", &cookie, &url];
    words.extend(shown.iter().flatten().map(String::as_str));
    Ok(site.curl(&words).await?.status)
}

#[tokio::test]
async fn a_certificate_is_asked_for_and_a_wrong_one_is_refused() -> Result<()> {
    let other = tempfile::tempdir()?;
    let stranger = Authority::make(other.path()).await?;
    let stranger = stranger.client("c", "/CN=billing", "DNS:billing").await?;
    for (how, without) in [("optional", Some(200)), ("required", None)] {
        let site = asking(how).await?;
        let billing = site
            .authority
            .client("c", "/CN=billing", "DNS:billing")
            .await?;
        assert_eq!(status(&site, Some(&billing)).await?, 200, "{how}");
        assert_eq!(status(&site, None).await.ok(), without, "{how}");
        assert!(status(&site, Some(&stranger)).await.is_err(), "{how}");
        // A server's certificate is none of a client.
        assert!(
            status(&site, Some(&site.certificate)).await.is_err(),
            "{how}"
        );
        let name = "sessiongate_tls_handshakes_total";
        let bad = site
            .gate
            .metric(name, ["result=\"bad_client_certificate\""])
            .await?;
        assert_eq!(bad, 2.0, "{how}");
    }
    Ok(())
}
