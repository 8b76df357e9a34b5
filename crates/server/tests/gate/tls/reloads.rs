//! Certificates that change while the gate runs, and clients that resume TLS sessions.

use std::fs;

use anyhow::Result;
use harness::{Client, Request, poll};

use super::{HERE, Site};

/// A Python function that returns the fingerprint of a connection's certificate.
const SHOWN: &str = r#"
def shown(connection):
    return hashlib.sha256(connection.getpeercert(binary_form=True)).hexdigest()
"#;

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_the_old_ones_go_on() -> Result<()> {
    let site = Site::start([("PUBLIC_PATHS", "/")]).await?;
    let new = site.authority.server("new", HERE).await?;
    let script = format!(
        r#"{SHOWN}
old = connect()
assert ask(old)[0] == 200
before = shown(old)
new_certificate, new_key, certificate, key = words[:4]

shutil.copyfile(new_certificate, certificate)
status, said = reload()
assert status == 422, (status, said)
assert "is not the one of the certificate" in said, said
half = connect()
assert shown(half) == before and ask(half)[0] == 200

shutil.copyfile(new_key, key)
status, said = reload()
assert status == 200, said
for _ in range(3):
    fresh = connect()
    assert shown(fresh) != before and ask(fresh)[0] == 200
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
async fn files_that_change_are_noticed_without_being_told() -> Result<()> {
    let settings = [("PUBLIC_PATHS", "/"), ("RELOAD_INTERVAL", "1")];
    let site = Site::start(settings).await?;
    let serial = async || {
        let script = format!("{SHOWN}print(shown(connect()))");
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
async fn clients_come_back_to_whatever_core_over_both_versions() -> Result<()> {
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
        # In TLS 1.3 a ticket is for once.
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
async fn who_comes_back_after_a_reload_is_known_unless_clients_have_to_prove_more_now() -> Result<()>
{
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
    let asks = |how: &str| {
        let authority = authority.display();
        format!("tls_client_auth = \"{how}\"\ntls_client_ca_file = \"{authority}\"\n")
    };
    fs::write(&file, format!("{base}{}", asks("optional")))?;
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
    status, said = reload()
    assert status == 200, said

first = connect(using)
assert ask(first)[0] == 200

write(base + optional + "hsts = \"max-age=60\"\n")
again = connect(using, first.session)
assert again.session_reused and ask(again)[0] == 200

# It has proved nothing, and everybody must now.
write(base + required)
try:
    refused = connect(using, again.session)
    assert not refused.session_reused
    ask(refused)
    print("it was let in")
except ssl.SSLError as error:
    print(error.reason)
"#;
    let (optional, required) = (asks("optional"), asks("required"));
    let (file, admin) = (file.display().to_string(), site.gate.admin.to_string());
    let words = [&*file, &base, &optional, &required, &admin];
    let said = site.python(script, &words).await?;
    assert_eq!(said, "TLSV13_ALERT_CERTIFICATE_REQUIRED\n");
    Ok(())
}

#[tokio::test]
async fn addresses_need_a_restart_and_what_is_said_there_does_not() -> Result<()> {
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
