//! Certificates that change while the gate runs, and clients that resume TLS sessions.

use std::fs;

use anyhow::Result;
use harness::{Client, Request, poll};

use super::{HERE, Site};

/// A Python function that returns the fingerprint of a connection's certificate.
const FINGERPRINT: &str = r#"
def fingerprint(connection):
    return hashlib.sha256(connection.getpeercert(binary_form=True)).hexdigest()
"#;

#[tokio::test]
async fn a_new_certificate_applies_to_new_connections_only() -> Result<()> {
    let site = Site::start([("PUBLIC_PATHS", "/")]).await?;
    let new = site.authority.server("new", HERE).await?;
    let script = format!(
        r#"{FINGERPRINT}
old = connect()
assert ask(old)[0] == 200
before = fingerprint(old)
new_certificate, new_key, certificate, key = words[:4]

shutil.copyfile(new_certificate, certificate)
status, text = reload()
assert status == 422, (status, text)
assert "does not match the certificate" in text, text
half = connect()
assert fingerprint(half) == before and ask(half)[0] == 200

shutil.copyfile(new_key, key)
status, text = reload()
assert status == 200, text
for _ in range(3):
    fresh = connect()
    assert fingerprint(fresh) != before and ask(fresh)[0] == 200
assert ask(old)[0] == 200 and ask(half)[0] == 200
print("done")
"#
    );
    let path = |path: &std::path::Path| path.display().to_string();
    let words = [
        path(&new.certificate),
        path(&new.key),
        path(&site.certificate.certificate),
        path(&site.certificate.key),
        site.gate.admin.to_string(),
    ];
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    assert_eq!(site.python(&script, &words).await?, "done\n");
    Ok(())
}

#[tokio::test]
async fn changed_certificate_files_are_noticed_without_a_signal() -> Result<()> {
    let settings = [("PUBLIC_PATHS", "/"), ("RELOAD_INTERVAL", "1")];
    let site = Site::start(settings).await?;
    let serial = async || {
        let script = format!("{FINGERPRINT}print(fingerprint(connect()))");
        site.python(&script, &[]).await
    };
    let before = serial().await?;
    let new = site.authority.server("new", HERE).await?;
    fs::rename(&new.certificate, &site.certificate.certificate)?;
    fs::rename(&new.key, &site.certificate.key)?;
    poll("the new certificate to be shown", async || {
        (serial().await.ok()? != before).then_some(())
    })
    .await
}

#[tokio::test]
async fn tls_sessions_resume_on_every_core_with_both_versions() -> Result<()> {
    let site = Site::start([("PUBLIC_PATHS", "/"), ("WORKERS", "3")]).await?;
    let script = r#"
for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
    using = context(version)
    first = connect(using)
    assert not first.session_reused
    assert ask(first)[0] == 200
    session = first.session
    for _ in range(12):
        again = connect(using, session)
        assert again.session_reused, version
        assert ask(again)[0] == 200
        # In TLS 1.3 a ticket is used once.
        session = again.session
print("done")
"#;
    assert_eq!(site.python(script, &[]).await?, "done\n");
    let name = "sessiongate_tls_handshakes_total";
    assert_eq!(site.gate.metric(name, ["result=\"resumed\""]).await?, 24.0);
    assert_eq!(site.gate.metric(name, ["result=\"full\""]).await?, 2.0);

    let session = site.folder.path().join("session.pem");
    let session = session.display();
    let first = site.openssl(&format!("-sess_out {session}")).await?;
    assert!(first.contains("New, TLSv1.3"), "{first}");
    let second = site.openssl(&format!("-sess_in {session}")).await?;
    assert!(second.contains("Reused, TLSv1.3"), "{second}");
    Ok(())
}

#[tokio::test]
async fn tls_sessions_resume_after_a_reload_unless_client_auth_got_stricter() -> Result<()> {
    let site = Site::start([("PUBLIC_PATHS", "/")]).await?;
    let file = site.folder.path().join("gate.toml");
    let base = format!(
        "auth_secret = \"{}\"\nupstream = \"{}\"\npublic_paths = [\"/\"]\ntls_cert_file = \"{}\"\ntls_key_file = \"{}\"\n",
        harness::mint::SECRET,
        site.echo.url(),
        site.certificate.certificate.display(),
        site.certificate.key.display(),
    );
    let authority = site.authority.certificate.clone();
    let client_auth = |how: &str| {
        let authority = authority.display();
        format!("tls_client_auth = \"{how}\"\ntls_client_ca_file = \"{authority}\"\n")
    };
    fs::write(&file, format!("{base}{}", client_auth("optional")))?;
    let gate = harness::Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("SESSIONGATE_CONFIG", file.display().to_string())
        .env("RELOAD_INTERVAL", "0")
        .start()
        .await?;
    let site = Site { gate, ..site };
    let script = r#"
file, base, optional, required = words[:4]
using = context()
def write(text):
    with open(file, "w") as out:
        out.write(text)
    status, text = reload()
    assert status == 200, text

first = connect(using)
assert ask(first)[0] == 200

write(base + optional + "hsts = \"max-age=60\"\n")
again = connect(using, first.session)
assert again.session_reused and ask(again)[0] == 200

# This client presented no certificate, which is now required.
write(base + required)
try:
    refused = connect(using, again.session)
    assert not refused.session_reused
    ask(refused)
    print("the handshake succeeded")
except ssl.SSLError as error:
    print(error.reason)
"#;
    let (optional, required) = (client_auth("optional"), client_auth("required"));
    let (file, admin) = (file.display().to_string(), site.gate.admin.to_string());
    let words = [&*file, &base, &optional, &required, &admin];
    let printed = site.python(script, &words).await?;
    assert_eq!(printed, "TLSV13_ALERT_CERTIFICATE_REQUIRED\n");
    Ok(())
}

#[tokio::test]
async fn listener_addresses_need_a_restart_and_their_other_settings_do_not() -> Result<()> {
    let (echo, folder) = (harness::Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    let usual = format!(
        "auth_secret = \"{}\"\nupstream = \"{}\"\n",
        harness::mint::SECRET,
        echo.url()
    );
    fs::write(&file, format!("{usual}listen = \"127.0.0.1:0\"\n"))?;
    let gate = harness::Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .without("LISTEN")
        .env("SESSIONGATE_CONFIG", file.display().to_string())
        .env("RELOAD_INTERVAL", "0")
        .start()
        .await?;
    let reload = async |more: &str| {
        fs::write(&file, format!("{usual}listen = \"127.0.0.1:0\"\n{more}"))?;
        let mut admin = Client::connect(gate.admin).await?;
        admin.send(&Request::post("/reload", "")).await
    };
    assert_eq!(gate.send(&Request::get("/")).await?.status, 401);
    assert_eq!(reload("tls = \"self-signed\"\n").await?.status, 200);
    assert_eq!(gate.send(&Request::get("/")).await?.status, 400);

    let added = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let answer = reload(added).await?;
    assert!(answer.text().contains("[[listener]]"), "{}", answer.text());
    Ok(())
}
