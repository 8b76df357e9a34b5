//! Which connection to a service carries whose next request.

use std::time::Duration;

use anyhow::Result;
use harness::{Mint, Request};
use tokio::time::sleep;

use crate::exchanges::{OK, Upstream};
use crate::support::signed_in;

const BODILESS: [(&str, &str); 3] = [
    ("HEAD", "200 OK\r\nContent-Length: 6"),
    ("GET", "204 No Content"),
    ("GET", "304 Not Modified"),
];

#[tokio::test]
async fn a_body_where_there_is_none_is_nobodys_answer() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").authjs();
    for (method, head) in BODILESS {
        let request = Request::new(method, "/").cookie(&cookie);
        let (mut client, mut served) = upstream.asked(&gate, &request).await?;
        served.say(&format!("HTTP/1.1 {head}\r\n\r\n")).await?;
        client.head().await?;

        // The head is with its client, and the rest still under way, as the next request comes.
        let asked = upstream.asked(&gate, &signed_in("/next", "eve"));
        let (mut next, mut other) = asked.await?;
        served
            .say("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            .await?;
        other
            .say(&OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
            .await?;
        assert_eq!(next.response().await?.text(), "ok", "{head}");
        assert_eq!(served.closed().await?, b"", "{head}");
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_that_stayed_quiet_is_used_again() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").authjs();
    for (method, head) in BODILESS {
        let request = Request::new(method, "/").cookie(&cookie);
        let (mut client, mut served) = upstream.asked(&gate, &request).await?;
        served.say(&format!("HTTP/1.1 {head}\r\n\r\n")).await?;
        client.head().await?;
        sleep(Duration::from_millis(100)).await;

        client.raw(&request.bytes(gate.proxy)).await?;
        assert!(served.head().await?.starts_with(method), "{head}");
    }
    Ok(())
}
