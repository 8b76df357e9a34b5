//! Which connection to a service the gate reuses for which client's next request.

use std::time::Duration;

use anyhow::Result;
use harness::{Client, Gate, Mint, Request};
use tokio::time::sleep;

use crate::exchanges::{OK, Served, Upstream};
use crate::support::signed_in;

const BODILESS: [(&str, &str); 3] = [
    ("HEAD", "200 OK\r\nContent-Length: 6"),
    ("GET", "204 No Content"),
    ("GET", "304 Not Modified"),
];

#[tokio::test]
async fn a_body_after_a_bodiless_response_never_reaches_another_client() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").authjs();
    for (method, head) in BODILESS {
        let request = Request::new(method, "/").cookie(&cookie);
        let (mut client, mut served) = upstream.begin_exchange(&gate, &request).await?;
        served.send(&format!("HTTP/1.1 {head}\r\n\r\n")).await?;
        client.head().await?;

        // The client has its head when the next request arrives, and the stray body is still under way.
        let (mut next, mut other) = upstream
            .begin_exchange(&gate, &signed_in("/next", "eve"))
            .await?;
        served
            .send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            .await?;
        other
            .send(&OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
            .await?;
        assert_eq!(next.response().await?.text(), "ok", "{head}");
        assert_eq!(served.closed().await?, b"", "{head}");
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_is_reused_after_a_clean_bodiless_response() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").authjs();
    for (method, head) in BODILESS {
        let request = Request::new(method, "/").cookie(&cookie);
        let (mut client, mut served) = upstream.begin_exchange(&gate, &request).await?;
        served.send(&format!("HTTP/1.1 {head}\r\n\r\n")).await?;
        client.head().await?;
        sleep(Duration::from_millis(100)).await;

        client.raw(&request.bytes(gate.proxy)).await?;
        assert!(served.head().await?.starts_with(method), "{head}");
        let last = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
        served.send(&last).await?;
        client.head().await?;
    }
    Ok(())
}

const CHALLENGE: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\n\
                         WWW-Authenticate: NTLM TlRMTVNTUAAC\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn an_ntlm_connection_is_reserved_for_its_client() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    // Each user has one session: another session of the same user would have to authenticate to the service again.
    let (ada_s, eve_s) = (Mint::user("ada").authjs(), Mint::user("eve").authjs());
    let by_ada = |target: &str| Request::get(target).cookie(&ada_s);
    let by_eve = |target: &str| Request::get(target).cookie(&eve_s);
    let (mut ada, mut hers) = upstream.begin_exchange(&gate, &by_ada("/1")).await?;
    hers.send(CHALLENGE).await?;
    assert_eq!(ada.response().await?.status, 401);

    let (mut eve, mut other) = upstream.begin_exchange(&gate, &by_eve("/eve")).await?;
    other.send(OK).await?;
    assert_eq!(eve.response().await?.status, 200);

    let request = by_ada("/2").header("Authorization", "NTLM TlRMTVNTUAAD");
    ada.raw(&request.bytes(gate.proxy)).await?;
    let seen = hers.head().await?;
    assert!(seen.starts_with("GET /2 "), "{seen}");
    assert!(
        seen.contains("authorization: NTLM TlRMTVNTUAAD\r\n"),
        "{seen}"
    );
    hers.send(OK).await?;
    assert_eq!(ada.response().await?.status, 200);

    // From here on, the service treats every request on this connection as hers, even without credentials.
    eve.raw(&by_eve("/eve").bytes(gate.proxy)).await?;
    assert!(other.head().await?.starts_with("GET /eve "));
    ada.raw(&by_ada("/3").bytes(gate.proxy)).await?;
    assert!(hers.head().await?.starts_with("GET /3 "));
    hers.send(OK).await?;
    assert_eq!(ada.response().await?.status, 200);
    drop(ada);
    assert_eq!(hers.closed().await?, b"", "it ends with its client");
    Ok(())
}

/// Sends Ada's credentials without a challenge; returns her connection and the one to the service.
async fn authenticated(upstream: &Upstream, gate: &Gate) -> Result<(Client, Served)> {
    let request = signed_in("/", "ada").header("Authorization", "Negotiate YII=");
    let (mut client, mut served) = upstream.begin_exchange(gate, &request).await?;
    served.send(OK).await?;
    assert_eq!(client.response().await?.status, 200);
    Ok((client, served))
}

#[tokio::test]
async fn ntlm_credentials_reserve_a_connection_without_a_challenge() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (_ada, _hers) = authenticated(&upstream, &gate).await?;
    let (_eve, _other) = upstream
        .begin_exchange(&gate, &signed_in("/eve", "eve"))
        .await?;
    Ok(())
}

#[tokio::test]
async fn another_user_on_one_client_connection_gets_no_owned_connection() -> Result<()> {
    // A proxy in front also sends requests of several users on one connection.
    let (upstream, gate) = Upstream::start().await?;
    let (mut shared, mut hers) = authenticated(&upstream, &gate).await?;
    shared
        .raw(&signed_in("/eve", "eve").bytes(gate.proxy))
        .await?;
    assert_eq!(hers.closed().await?, b"", "no request of Eve is sent there");
    Ok(())
}

#[tokio::test]
async fn a_trusted_proxy_owns_no_connection_without_a_session() -> Result<()> {
    let settings = [
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("PUBLIC_PATHS", "/public/"),
    ];
    let (upstream, gate) = Upstream::start_with(settings).await?;
    let request = Request::get("/public/").header("Authorization", "NTLM TlRMTVNTUAAB");
    let (mut shared, mut first) = upstream.begin_exchange(&gate, &request).await?;
    first.send(OK).await?;
    assert_eq!(shared.response().await?.status, 200);
    assert_eq!(first.closed().await?, b"");
    Ok(())
}
