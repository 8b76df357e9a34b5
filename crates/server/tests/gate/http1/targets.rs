//! Request targets with bytes that no URI may have: the gate forwards them unchanged.

use anyhow::Result;
use harness::{Gate, Mint};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::exchanges::{OK, Served, Upstream};
use crate::support::{gate, signed_in};

/// Returns the request line that the service receives.
async fn line(served: &mut Served) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(harness::TIMEOUT, served.0.read_u8()).await??);
    }
    let end = head.iter().position(|byte| *byte == b'\r');
    head.truncate(end.unwrap_or_default());
    Ok(head)
}

#[tokio::test]
async fn unusual_targets_reach_the_service_byte_for_byte() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").authjs();
    let mut client = gate.connect().await?;
    let mut served: Option<Served> = None;
    for (sent, seen) in [
        (
            &b"/caf\xc3\xa9?q=\xfc\xff"[..],
            &b"/caf\xc3\xa9?q=\xfc\xff"[..],
        ),
        (b"/a\"b<c>d`e?\"<>`{}|^", b"/a\"b<c>d`e?\"<>`{}|^"),
        (b"http://b/\xe4?<x>", b"/\xe4?<x>"),
    ] {
        let head = [
            b"GET ",
            sent,
            b" HTTP/1.1\r\nHost: a\r\nCookie: ",
            cookie.as_bytes(),
        ];
        client
            .raw(&[&head.concat(), &b"\r\n\r\n"[..]].concat())
            .await?;
        let served = match &mut served {
            Some(served) => served,
            none => none.insert(upstream.accept().await?),
        };
        let wanted = [b"GET ", seen, b" HTTP/1.1"].concat();
        let line = line(served).await?;
        assert_eq!(line, wanted, "{}", line.escape_ascii());
        served.send(OK).await?;
        assert_eq!(client.response().await?.status, 200);
    }
    Ok(())
}

#[tokio::test]
async fn routes_match_unusual_targets_percent_encoded() -> Result<()> {
    let (upstream, _gate) = Upstream::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gate.toml");
    let address = upstream.0.local_addr()?;
    std::fs::write(
        &file,
        format!(
            "auth_secret = \"{secret}\"\nupstream = \"http://{address}\"\n\
             [[route]]\npath = \"/caf%C3%A9/\"\naccess = \"public\"\nstrip_prefix = \"/caf%C3%A9\"\n",
            secret = harness::mint::SECRET,
        ),
    )?;
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("SESSIONGATE_CONFIG", file.display().to_string())
        .start()
        .await?;
    for target in [&b"/caf\xc3\xa9/<x>"[..], b"/caf%C3%A9/<x>"] {
        let mut client = gate.connect().await?;
        let head = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"];
        client.raw(&head.concat()).await?;
        let Ok(mut served) = upstream.accept().await else {
            panic!("{:?}", client.response().await);
        };
        assert_eq!(line(&mut served).await?, b"GET /<x> HTTP/1.1");
    }
    let mut client = gate.connect().await?;
    client
        .raw(b"GET /caf\xe9/x HTTP/1.1\r\nHost: a\r\n\r\n")
        .await?;
    assert_eq!(
        client.response().await?.status,
        401,
        "Latin-1 is another path"
    );
    Ok(())
}

#[tokio::test]
async fn targets_with_control_bytes_spaces_or_fragments_are_refused() -> Result<()> {
    let (_upstream, gate) = Upstream::start().await?;
    for target in [
        &b"/\x7f"[..],
        b"/\x01",
        b"/a b",
        b"/a\tb",
        b"/a#b",
        b"/\xc3\xa9#b",
        b"\xc3",
    ] {
        let mut client = gate.connect().await?;
        let head = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"];
        client.raw(&head.concat()).await?;
        assert_eq!(
            client.response().await?.status,
            400,
            "{}",
            target.escape_ascii()
        );
    }
    Ok(())
}

#[tokio::test]
async fn decisions_accept_unusual_targets_from_nginx() -> Result<()> {
    let gate = gate("http://127.0.0.1:9")
        .env("AUTH_LISTEN", "127.0.0.1:0")
        .start()
        .await?;
    let port = gate.decisions_port()?;
    let mut client = harness::Client::connect(port).await?;
    let request = String::from_utf8(signed_in("/auth/nginx", "ada").bytes(port))?;
    for uri in [&b"/caf\xc3\xa9?\xff"[..], b"/<a>`\"", b"/plain"] {
        let url = [
            b"X-Original-URL: http://a",
            uri,
            b"\r\nX-Original-Method: GET\r\n\r\n",
        ];
        let head = request.trim_end_matches("\r\n").as_bytes();
        client.raw(&[head, b"\r\n", &url.concat()].concat()).await?;
        assert_eq!(
            client.response().await?.status,
            200,
            "{}",
            uri.escape_ascii()
        );
    }
    Ok(())
}
