//! Clients that authenticate with a certificate.

use std::fs;

use anyhow::Result;
use harness::{Authority, Echo, GateCommand, KeyPair};

use super::{HERE, Site, cookie, with_certificate};
use crate::support::gate;

async fn site_with_client_auth(how: &str) -> Result<Site> {
    Site::start_with(|command, authority| {
        let authority = authority.certificate.display().to_string();
        command
            .env("TLS_CLIENT_AUTH", how)
            .env("TLS_CLIENT_CA_FILE", authority)
    })
    .await
}

/// Returns the arguments with which curl shows a certificate.
fn certificate_arguments(pair: &KeyPair) -> [String; 4] {
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
    let arguments = pair.map(certificate_arguments);
    let mut words = vec!["-H", &cookie, &url];
    words.extend(arguments.iter().flatten().map(String::as_str));
    Ok(site.curl(&words).await?.status)
}

#[tokio::test]
async fn a_client_certificate_is_requested_and_a_wrong_one_refused() -> Result<()> {
    let other = tempfile::tempdir()?;
    let stranger = Authority::make(other.path()).await?;
    let stranger = stranger.client("c", "/CN=billing", "DNS:billing").await?;
    for (how, without) in [("optional", Some(200)), ("required", None)] {
        let site = site_with_client_auth(how).await?;
        let billing = site
            .authority
            .client("c", "/CN=billing", "DNS:billing")
            .await?;
        assert_eq!(status(&site, Some(&billing)).await?, 200, "{how}");
        assert_eq!(status(&site, None).await.ok(), without, "{how}");
        assert!(status(&site, Some(&stranger)).await.is_err(), "{how}");
        // A certificate for servers is not valid for a client.
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

/// An unrestricted route, one for a subject, one for either of two alternative names, and one for all but a subject.
const ROUTES: &str = r#"
[[route]]
path = "/"

[[route]]
path = "/billing/"
require = { certificate = "CN=billing,O=Example" }

[[route]]
path = "/machines/"
require = { certificate = ["DNS:billing.internal", "URI:spiffe://example/reports"] }

[[route]]
path = "/others/"
require = { not = { certificate = "CN=billing,O=Example" } }
"#;

/// Starts a gate with these routes that requests client certificates; also returns its command.
async fn site_with_rules() -> Result<(GateCommand, Site)> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let authority = Authority::make(folder.path()).await?;
    let pair = authority.server("server", HERE).await?;
    let file = folder.path().join("gate.toml");
    fs::write(&file, ROUTES)?;
    let command = with_certificate(gate(&echo.url()), &pair)
        .env("SESSIONGATE_CONFIG", file.display().to_string())
        .env("TLS_CLIENT_AUTH", "optional")
        .env(
            "TLS_CLIENT_CA_FILE",
            authority.certificate.display().to_string(),
        );
    let gate = command.clone().start().await?;
    let site = Site {
        echo,
        gate,
        authority,
        certificate: pair,
        folder,
    };
    Ok((command, site))
}

#[tokio::test]
async fn a_rule_can_require_a_certificate_subject_or_alternative_name() -> Result<()> {
    let (command, site) = site_with_rules().await?;
    let billing = site
        .authority
        .client("billing", "/O=Example/CN=billing", "DNS:Billing.internal")
        .await?;
    let reports = site
        .authority
        .client("reports", "/CN=reports", "URI:spiffe://example/reports")
        .await?;
    // A subject whose single CN contains the text of another subject, as a careless authority would sign it.
    let liar = site
        .authority
        .client("liar", "/CN=billing,O=Example", "DNS:liar.internal")
        .await?;
    for (pair, statuses) in [
        (Some(&billing), [200, 200, 200, 403]),
        (Some(&reports), [200, 403, 200, 200]),
        (Some(&liar), [200, 403, 403, 200]),
        (None, [200, 403, 403, 200]),
    ] {
        for (path, status) in ["/", "/billing/", "/machines/", "/others/"]
            .iter()
            .zip(statuses)
        {
            let (cookie, url) = (cookie("ada"), site.url(path));
            let arguments = pair.map(certificate_arguments);
            let mut words = vec!["-H", &cookie, &url];
            words.extend(arguments.iter().flatten().map(String::as_str));
            assert_eq!(site.curl(&words).await?.status, status, "{path} {pair:?}");
        }
    }
    // The route also requires a session.
    let (url, arguments) = (site.url("/billing/"), certificate_arguments(&billing));
    let mut words = vec![&*url];
    words.extend(arguments.iter().map(String::as_str));
    assert_eq!(site.curl(&words).await?.status, 401);

    let explained = |file: Option<&KeyPair>| {
        let mut words = vec![
            "explain",
            "GET",
            "https://localhost/billing/",
            "--no-stores",
        ];
        let file = file.map(|pair| pair.certificate.display().to_string());
        if let Some(file) = &file {
            words.extend(["--certificate", file]);
        }
        let header = cookie("ada");
        words.extend(["--header", &header]);
        command.clone().args(words).run()
    };
    let enters = explained(Some(&billing)).await?;
    assert!(
        enters.status.success(),
        "{}{}",
        enters.stdout,
        enters.stderr
    );
    let refused = explained(None).await?;
    assert!(
        refused.stdout.contains("the client showed no certificate"),
        "{}",
        refused.stdout
    );
    Ok(())
}

#[tokio::test]
async fn a_resumed_tls_session_keeps_the_client_certificate() -> Result<()> {
    let (_, site) = site_with_rules().await?;
    let billing = site
        .authority
        .client("billing", "/O=Example/CN=billing", "DNS:billing.internal")
        .await?;
    let script = r#"
certificate, key, cookie = words
for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
    using = context(version)
    using.load_cert_chain(certificate, key)
    first = connect(using)
    assert ask(first, "/billing/", cookie + "\r\n")[0] == 200
    again = connect(using, first.session)
    assert again.session_reused
    assert ask(again, "/billing/", cookie + "\r\n")[0] == 200
print("done")
"#;
    let path = |path: &std::path::Path| path.display().to_string();
    let words = [
        path(&billing.certificate),
        path(&billing.key),
        cookie("ada"),
    ];
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    assert_eq!(site.python(script, &words).await?, "done\n");
    Ok(())
}

#[tokio::test]
async fn a_certificate_rule_without_client_authentication_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gate.toml");
    for (certificate, problem) in [
        ("CN=billing", "no listener requests client certificates"),
        ("billing", "give a subject such as `CN=billing,O=Example`"),
    ] {
        let rule =
            format!("[[route]]\npath = \"/\"\nrequire = {{ certificate = \"{certificate}\" }}\n");
        fs::write(&file, rule)?;
        let ended = gate("http://127.0.0.1:1")
            .env("SESSIONGATE_CONFIG", file.display().to_string())
            .run()
            .await?;
        assert!(!ended.status.success());
        assert!(ended.stderr.contains(problem), "{}", ended.stderr);
    }
    Ok(())
}
