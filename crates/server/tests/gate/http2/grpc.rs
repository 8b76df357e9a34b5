//! gRPC through the gate, with the client and the server of grpcio, on whose core most languages build.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use bytes::Bytes;
use harness::{Authority, Gate, Mint, Server, program, run, venv};
use http::HeaderValue;

use super::client::{Http2Client, piece, post};
use crate::exchanges::Upstream;
use crate::support::gate;

/// Starts a gRPC service.
async fn service() -> Result<Server> {
    service_with(String::new()).await
}

/// Starts a gRPC service with these additional arguments.
async fn service_with(words: String) -> Result<Server> {
    let python = venv("grpcio", "python")?;
    program("grpcio", move |_, port| {
        let (python, script) = (python.display(), script("grpc_service.py"));
        let script = script.display();
        Ok(format!("{python} {script} 127.0.0.1:{port} {words}"))
    })
    .await
}

fn script(name: &str) -> PathBuf {
    let folder = harness::repository().join("crates/server/tests/gate/http2");
    folder.join(name)
}

/// Runs a test of the gRPC client, with a session of this user if one is given; returns its output.
async fn run_client(
    gate: &Gate,
    user: Option<&str>,
    authority: Option<&Path>,
    test: &str,
) -> Result<String> {
    let mut client = Command::new(venv("grpcio", "python")?);
    let cookie = user.map_or("none".to_owned(), |user| Mint::user(user).authjs());
    let authority = authority.unwrap_or(Path::new("none"));
    client
        .arg(script("grpc_client.py"))
        .arg(format!("localhost:{}", gate.proxy.port()))
        .arg(cookie)
        .arg(authority)
        .arg(test)
        // The library's own log.
        .env("GRPC_VERBOSITY", "NONE");
    run(client, "grpcio").await
}

fn in_front_of(service: &Server) -> harness::GateCommand {
    gate(&format!("grpc://{}", service.address()))
}

const EVERY_KIND: &str = "300000 yes ada\nb'\\x00\\xff' True\nFalse\n\
                          FAILED_PRECONDITION not tod\u{e4}y\n499500\n499500\n[]\nUNIMPLEMENTED\n";

#[tokio::test]
async fn every_kind_of_grpc_call_passes_with_metadata_and_trailers() -> Result<()> {
    let (service, folder) = (service().await?, tempfile::tempdir()?);
    let plain = in_front_of(&service).start().await?;
    assert_eq!(
        run_client(&plain, Some("ada"), None, "every_kind").await?,
        EVERY_KIND
    );
    let line = plain
        .wait_for_audit(|line| line["path"] == "/test.Talk/Answers")
        .await?;
    assert_eq!(
        (&line["ended"], &line["user_id"]),
        (&"whole".into(), &"ada".into())
    );

    let authority = Authority::make(folder.path()).await?;
    let pair = authority
        .server("server", "DNS:localhost,IP:127.0.0.1")
        .await?;
    let secure = in_front_of(&service)
        .env("TLS_CERT_FILE", pair.certificate.display().to_string())
        .env("TLS_KEY_FILE", pair.key.display().to_string())
        .start()
        .await?;
    let trusted = Some(authority.certificate.as_path());
    assert_eq!(
        run_client(&secure, Some("ada"), trusted, "every_kind").await?,
        EVERY_KIND
    );

    // A service with TLS, which chooses HTTP/2.
    let files = format!("{} {}", pair.key.display(), pair.certificate.display());
    let service = service_with(files).await?;
    let before = gate(&format!("https://{}", service.address()))
        .env(
            "UPSTREAM_CA_FILE",
            authority.certificate.display().to_string(),
        )
        .start()
        .await?;
    assert_eq!(
        run_client(&before, Some("ada"), None, "every_kind").await?,
        EVERY_KIND
    );
    Ok(())
}

#[tokio::test]
async fn refusals_have_grpc_status_codes() -> Result<()> {
    let (service, folder) = (service().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    std::fs::write(
        &file,
        "rate_limit = [\"1/h burst 2 by user\"]\n[[route]]\npath = \"/\"\nrequire = { not = { claim = \"sub\", equals = \"eve\" } }\n",
    )?;
    let file = file.display().to_string();
    let gate = in_front_of(&service).args(["serve", "--config", &file]);
    let gate = gate.start().await?;
    for (user, printed) in [
        (None, "UNAUTHENTICATED Unauthorized\n"),
        (Some("eve"), "PERMISSION_DENIED Forbidden\n"),
        (Some("bob"), "OK\n"),
    ] {
        assert_eq!(
            run_client(&gate, user, None, "refusal").await?,
            printed,
            "{user:?}"
        );
    }
    let three = run_client(&gate, Some("ada"), None, "three").await?;
    assert_eq!(three, "OK\nOK\nRESOURCE_EXHAUSTED\n");

    // On the wire: only a head, with a status that is not an HTTP error.
    let mut http2 = Http2Client::open(&gate).await?;
    let mut call = post("/test.Talk/Echoes");
    let kind = HeaderValue::from_static("application/grpc+proto");
    call.headers_mut().insert("content-type", kind);
    let refused = http2.send(&call, Bytes::new()).await?;
    assert_eq!(refused.status, 200);
    assert_eq!(refused.header("grpc-status"), Some("16"));
    assert_eq!(refused.header("content-type"), Some("application/grpc"));
    assert_eq!(refused.header("content-length"), None);
    assert!(refused.body.is_empty());

    let gone = format!("grpc://127.0.0.1:{}", harness::free_port());
    let gate = crate::support::gate(&gone).start().await?;
    let printed = run_client(&gate, Some("ada"), None, "refusal").await?;
    assert_eq!(printed, "UNAVAILABLE Bad Gateway\n");
    Ok(())
}

#[tokio::test]
async fn a_grpc_deadline_is_enforced_by_the_gate_and_cancels_the_call() -> Result<()> {
    let service = service().await?;
    let gate = in_front_of(&service).start().await?;
    let printed = run_client(&gate, Some("ada"), None, "deadline").await?;
    assert_eq!(printed, "DEADLINE_EXCEEDED\n");
    harness::poll("the call to be over", async || {
        service
            .transcript()
            .contains("the call is over")
            .then_some(())
    })
    .await?;

    // A client that does not watch its deadline gets the status too.
    let mut http2 = Http2Client::open(&gate).await?;
    let mut call = super::client::signed_in("POST", "/test.Talk/Hangs");
    for (name, value) in [
        ("content-type", "application/grpc"),
        ("grpc-timeout", "200m"),
        ("te", "trailers"),
    ] {
        call.headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let message = Bytes::from_static(&[0, 0, 0, 0, 0]);
    let answer = http2.send(&call, message).await?;
    assert_eq!(
        (answer.status, answer.header("grpc-status")),
        (200, Some("4"))
    );
    Ok(())
}

#[tokio::test]
async fn a_deadline_that_passes_during_an_answer_is_reported_in_the_trailers() -> Result<()> {
    let (upstream, gate) = Upstream::start_with([("REQUEST_TIMEOUT", "4")]).await?;
    let mut http2 = Http2Client::open(&gate).await?;
    for (timeout, status) in [(Some("3S"), "4"), (None, "14")] {
        let mut call = super::client::signed_in("POST", "/test.Talk/Counts");
        let grpc = HeaderValue::from_static("application/grpc");
        call.headers_mut().insert("content-type", grpc);
        if let Some(timeout) = timeout {
            let timeout = HeaderValue::from_static(timeout);
            call.headers_mut().insert("grpc-timeout", timeout);
        }
        let (response, _body) = http2.begin(&call, false).await?;
        let mut served = upstream.accept().await?;
        served.head().await?;
        served
            .send("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await?;
        served.send("6\r\n\0\0\0\0\u{1}x\r\n").await?;
        let mut body = response.await?.into_body();
        assert_eq!(piece(&mut body).await?.context("a message")?.len(), 6);
        assert_eq!(piece(&mut body).await?, None);
        let trailers = body.trailers().await?.context("trailers")?;
        assert_eq!(trailers["grpc-status"], status);
        served.closed().await?;
    }
    Ok(())
}
