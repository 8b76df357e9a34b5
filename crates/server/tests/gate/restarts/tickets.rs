//! Clients that resume with a TLS ticket after another process has taken over.

use std::fs;
use std::process::Command;

use anyhow::Result;
use harness::{Authority, Echo, run};

use super::upgrade::Succession;
use super::{configure, configured};

/// Runs `openssl s_client` with a connection to this line of gates; returns its output.
async fn openssl(line: &Succession, words: &str) -> Result<String> {
    let address = line.gate.proxy;
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!(
            r"printf 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' \
            | openssl s_client -connect {address} -ign_eof {words} 2>&1"
        ),
    ]);
    run(command, "openssl").await
}

#[tokio::test]
async fn tls_sessions_resume_at_the_process_that_took_over() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let authority = Authority::make(folder.path()).await?;
    let pair = authority.server("server", "IP:127.0.0.1").await?;
    let file = folder.path().join("gate.toml");
    configure(&file, &echo.url(), 0, 2)?;
    let settings = fs::read_to_string(&file)?;
    let gate = configured(&file)?
        .env("TLS_CERT_FILE", pair.certificate.display().to_string())
        .env("TLS_KEY_FILE", pair.key.display().to_string());
    let mut line = Succession::of(gate.start().await?);
    let session = |version: &str| folder.path().join(version).display().to_string();
    for version in ["1_2", "1_3"] {
        let words = format!("-tls{version} -sess_out {}", session(version));
        let printed = openssl(&line, &words).await?;
        assert!(printed.contains("New, TLSv1"), "{printed}");
    }
    for _ in 0..2 {
        line.upgrade().await?;
        for version in ["1_2", "1_3"] {
            let session = session(version);
            let words = format!("-tls{version} -sess_in {session} -sess_out {session}");
            let printed = openssl(&line, &words).await?;
            assert!(printed.contains("Reused, TLSv1"), "{printed}");
            assert!(printed.contains("HTTP/1.1 401"), "{printed}");
        }
    }
    let known = line.gate.stderr().all().join("\n");
    assert!(!known.contains("TicketKey"), "{known}");

    // A client that resumes would not be asked for the certificate that the gate now requests.
    let asks = format!(
        "tls_client_auth = \"optional\"\ntls_client_ca_file = \"{}\"\n",
        authority.certificate.display()
    );
    fs::write(&file, format!("{settings}{asks}"))?;
    line.upgrade().await?;
    for version in ["1_2", "1_3"] {
        let words = format!("-tls{version} -sess_in {}", session(version));
        let printed = openssl(&line, &words).await?;
        assert!(printed.contains("New, TLSv1"), "{printed}");
    }
    Ok(())
}
