//! Certificates ordered from a real ACME server, and whether curl trusts them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{
    CertificateKind, Certificates, Echo, Gate, GateCommand, Pebble, Postgres, Request, free_port,
    poll, run,
};

use serde_json::json;

use crate::support::gate;

const HOST: &str = "app.example.com";

/// Returns the command of a gate that orders certificates from `pebble`.
fn ordering(echo: &Echo, pebble: &Pebble, tls: u16, store: &str) -> GateCommand {
    gate(&echo.url())
        .env("LISTEN", format!("127.0.0.1:{tls}"))
        .env("PUBLIC_PATHS", "/")
        .env("TLS", "acme")
        .env("ACME_DOMAINS", HOST)
        .env("ACME_EMAIL", "ops@example.com")
        .env("ACME_DIRECTORY_URL", pebble.directory_url())
        .env("ACME_CA_FILE", pebble.authority())
        .env("ACME_STORE", store)
}

/// Returns the status that curl gets from the host at this port over HTTPS, if it trusts the certificate with `root`.
async fn status(port: u16, root: &Path) -> Result<String> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code}", "--cacert"])
        .arg(root)
        .args(["--connect-to", &format!("{HOST}:443:127.0.0.1:{port}")])
        .arg(format!("https://{HOST}/"));
    run(curl, "curl").await
}

/// Waits until curl trusts the certificate at this port.
async fn wait_until_trusted(port: u16, root: &Path) -> Result<()> {
    poll("a trusted certificate", async || {
        (status(port, root).await.ok()? == "200").then_some(())
    })
    .await
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.mode() & 0o777)
}

async fn wait_for_log(gate: &Gate, what: &str) -> Result<String> {
    let matches = |line: &str| line.contains(what).then(|| line.to_owned());
    gate.stderr().wait_for(matches).await
}

#[tokio::test]
async fn a_certificate_is_obtained_by_tls_alpn_01_and_reused_from_the_store() -> Result<()> {
    let (echo, folder, tls) = (Echo::start().await?, tempfile::tempdir()?, free_port());
    let mut pebble = Pebble::start(free_port(), tls).await?;
    let (store, root) = (folder.path().join("acme"), pebble.root().await?);
    let command = ordering(&echo, &pebble, tls, &store.display().to_string());
    let gate = command.start().await?;
    wait_for_log(&gate, "handshakes are refused until one is available").await?;
    let refused = status(tls, &root).await;
    ensure!(
        refused.is_err(),
        "a certificate cannot exist yet: {refused:?}"
    );
    wait_until_trusted(tls, &root)
        .await
        .with_context(|| pebble.transcript())?;
    wait_for_log(&gate, "a new certificate was issued").await?;
    let orders = gate.metric("sessiongate_acme_orders_total", ["result=\"ok\""]);
    assert!((orders.await? - 1.0).abs() < f64::EPSILON);
    let expiry = gate.metric(
        "sessiongate_certificate_expiry_timestamp_seconds",
        ["host=\"app.example.com\""],
    );
    assert!(expiry.await? > 0.0);
    let seen = gate.metric(
        "sessiongate_tls_handshakes_total",
        ["result=\"acme_challenge\""],
    );
    assert!(seen.await? > 0.0);

    let scope = fs::read_dir(&store)?.next().context("a folder")??.path();
    let certificate = scope.join("certificate/app.example.com.pem");
    assert_eq!(mode(&store)?, 0o700);
    for file in [&certificate, &scope.join("account/account.json")] {
        assert_eq!(mode(file)?, 0o600, "{}", file.display());
    }
    assert_eq!(fs::read_dir(scope.join("challenge"))?.count(), 0);

    drop(gate);
    let before = fs::read(&certificate)?;
    pebble.stop();
    let store = store.display().to_string();
    let _gate = ordering(&echo, &pebble, tls, &store).start().await?;
    assert_eq!(status(tls, &root).await?, "200");
    assert_eq!(fs::read(&certificate)?, before);
    Ok(())
}

#[tokio::test]
async fn any_node_with_the_same_database_answers_acme_challenges() -> Result<()> {
    let (echo, postgres) = (Echo::start().await?, Postgres::start().await?);
    let (http, first, second) = (free_port(), free_port(), free_port());
    let pebble = Pebble::start(http, free_port()).await?;
    let root = pebble.root().await?;
    let sharing = |tls| {
        ordering(&echo, &pebble, tls, "postgres")
            .env("ACME_CHALLENGE", "http-01")
            .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
    };
    let redirecting = |port: u16| format!("127.0.0.1:{port}");
    // This gate cannot order, because it does not trust the ACME server, but the server requests the proof from it.
    let challenged = sharing(first)
        .env("REDIRECT_LISTEN", redirecting(http))
        .without("ACME_CA_FILE")
        .start()
        .await?;
    let why = wait_for_log(&challenged, "the order failed").await?;
    assert!(why.contains("no trusted authority signed"), "{why}");
    assert!(why.contains("handshakes are refused"), "{why}");
    let orders = sharing(second)
        .env("REDIRECT_LISTEN", "127.0.0.1:0")
        .start()
        .await?;
    wait_until_trusted(second, &root)
        .await
        .with_context(|| pebble.transcript())?;
    wait_until_trusted(first, &root).await?;
    wait_for_log(&orders, "a new certificate was issued").await?;
    let answered = challenged
        .wait_for_audit(|line| line["reason"] == "acme_challenge")
        .await?;
    assert_eq!(answered["mode"], "redirect");

    // The gate knows no proof of an order that is over or never existed.
    let redirect = challenged.listener("redirect").await?;
    let target = "/.well-known/acme-challenge/made-up";
    let mut client = harness::Client::connect(redirect).await?;
    let request = Request::get(target).header("host", HOST);
    assert_eq!(client.send(&request).await?.status, 308);
    let left = "SELECT count(*) FROM sessiongate_acme WHERE kind IN ('challenge', 'lock')";
    poll("the order to be over", async || {
        (postgres.execute(left).await.ok()?.trim() == "0").then_some(())
    })
    .await
}

#[tokio::test]
async fn processes_with_the_same_folder_answer_each_others_challenges() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let (first, second) = (free_port(), free_port());
    let pebble = Pebble::start(free_port(), first).await?;
    let root = pebble.root().await?;
    let store = folder.path().join("acme").display().to_string();
    // This gate does not trust the ACME server, which requests the proof of the other gate's order from it.
    let challenged = ordering(&echo, &pebble, first, &store).without("ACME_CA_FILE");
    let challenged = challenged.start().await?;
    wait_for_log(&challenged, "the order failed").await?;
    let orders = ordering(&echo, &pebble, second, &store).start().await?;
    wait_until_trusted(first, &root)
        .await
        .with_context(|| pebble.transcript())?;
    wait_until_trusted(second, &root).await?;
    wait_for_log(&orders, "a new certificate was issued").await?;
    let label = ["result=\"acme_challenge\""];
    let seen = challenged.metric("sessiongate_tls_handshakes_total", label);
    assert!(seen.await? > 0.0);
    Ok(())
}

#[tokio::test]
async fn an_old_certificate_is_served_until_the_new_one_arrives() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let (http, tls) = (free_port(), free_port());
    let pebble = Pebble::start(http, free_port()).await?;
    let root = pebble.root().await?;
    let port = pebble.directory_url();
    let port = port.split([':', '/']).nth(4).context("a port")?.to_owned();
    let store = folder.path().join("acme");
    let kept = store.join(format!("localhost-{port}-dir/certificate"));
    fs::create_dir_all(&kept)?;
    let old =
        Certificates::make_kind(folder.path(), CertificateKind::OwnAuthorityUntil2020).await?;
    let text = fs::read_to_string(&old.key)? + &fs::read_to_string(&old.certificate)?;
    fs::write(kept.join("app.example.com.pem"), text)?;
    // And an account that the server no longer knows.
    let account = kept.with_file_name("account");
    fs::create_dir_all(&account)?;
    let mut key = Command::new("sh");
    let script = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | openssl pkcs8 -topk8 -nocrypt -outform DER | base64 -w0 \
                  | tr '+/' '-_' | tr -d =";
    key.args(["-c", script]);
    let forgotten = json!({
        "id": format!("https://localhost:{port}/my-account/forgotten"),
        "key_pkcs8": run(key, "openssl").await?.trim_end(),
        "directory": pebble.directory_url(),
    });
    fs::write(account.join("account.json"), forgotten.to_string())?;
    let file = folder.path().join("gate.toml");
    let listeners = format!(
        "acme_domains = [\"{HOST}\"]\n\
         [[listener]]\naddress = \"127.0.0.1:{tls}\"\ntls = \"acme\"\n\
         [[listener]]\naddress = \"127.0.0.1:{http}\"\n"
    );
    fs::write(&file, &listeners)?;
    let gate = ordering(&echo, &pebble, tls, &store.display().to_string())
        .without("LISTEN")
        .without("TLS")
        .without("ACME_DOMAINS")
        .env("SESSIONGATE_CONFIG", file.display().to_string())
        // Every request needs a session, except those of the ACME server.
        .without("PUBLIC_PATHS")
        .env("ACME_CHALLENGE", "http-01")
        .start()
        .await?;
    let shown = async || {
        let mut openssl = Command::new("sh");
        let script = format!(
            "openssl s_client -connect 127.0.0.1:{tls} -servername {HOST} </dev/null 2>/dev/null \
             | openssl x509 -noout -enddate"
        );
        openssl.args(["-c", &script]);
        run(openssl, "openssl").await
    };
    assert!(shown().await?.contains("2020"));
    poll("a trusted certificate", async || {
        (status(tls, &root).await.ok()? == "401").then_some(())
    })
    .await
    .with_context(|| gate.stderr().all().join("\n"))?;
    gate.wait_for_audit(|line| line["reason"] == "acme_challenge")
        .await?;
    wait_for_log(&gate, "no longer knows the account").await?;
    assert!(!shown().await?.contains("2020"));

    // A reload adds a host.
    let more = listeners.replace(HOST, &format!("{HOST}\", \"new.example.com"));
    fs::write(&file, more)?;
    gate.signal("HUP")?;
    let new = wait_for_log(&gate, "ordering a certificate");
    assert!(new.await?.contains(HOST));
    poll("the certificate of the new host", async || {
        let lines = gate.stderr().all();
        let mut got = lines
            .iter()
            .filter(|line| line.contains("a new certificate was issued"));
        got.find(|line| line.contains("new.example.com")).map(drop)
    })
    .await?;
    // The certificate of the first host is still served.
    assert_eq!(status(tls, &root).await?, "401");
    let ok = gate.metric("sessiongate_acme_orders_total", ["result=\"ok\""]);
    assert!((ok.await? - 2.0).abs() < f64::EPSILON);
    Ok(())
}

#[tokio::test]
async fn a_failed_order_is_logged_and_counted_and_delays_no_other_host() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let (tls, elsewhere) = (free_port(), free_port());
    // The ACME server connects to ports without a listener.
    let pebble = Pebble::start(elsewhere, elsewhere).await?;
    let gate = ordering(&echo, &pebble, tls, &folder.path().display().to_string())
        .start()
        .await?;
    let line = wait_for_log(&gate, "the order failed").await?;
    for part in [
        "tls-alpn-01",
        "the authority",
        "handshakes are refused",
        "\"next\"",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let failed = gate.metric("sessiongate_acme_orders_total", ["result=\"failed\""]);
    assert!((failed.await? - 1.0).abs() < f64::EPSILON);
    // The folder of the test is accessible to all users.
    wait_for_log(&gate, "chmod 700").await.map(drop)
}
