//! The client's address, as trusted proxies write it.

use anyhow::{Context, Result};
use harness::{Gate, Request};
use serde_json::Value;

use super::BEHIND_PROXY;
use crate::support::{signed_in, started};

/// The audit line of a request with this header.
async fn line(gate: &Gate, name: &str, value: &str) -> Result<Value> {
    let answer = gate.send(&Request::get("/").header(name, value)).await?;
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    gate.wait_for_audit(|line| line["request_id"] == id.as_str())
        .await
}

#[tokio::test]
async fn x_forwarded_for_accepts_ports_brackets_quotes_and_empty_entries() -> Result<()> {
    let (_echo, gate) = started([BEHIND_PROXY]).await?;
    for (value, client) in [
        ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1:4711", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1,", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1, , 127.0.0.1:80 ,", "192.0.2.1"),
        ("6.6.6.6, \"192.0.2.1\"", "192.0.2.1"),
        ("6.6.6.6, \"192.0.2.1:4711\"", "192.0.2.1"),
        ("6.6.6.6, [2001:db8::1]", "2001:db8::1"),
        ("6.6.6.6, [2001:db8::1]:4711,", "2001:db8::1"),
        ("6.6.6.6, \"[2001:db8::1]:4711\"", "2001:db8::1"),
        ("6.6.6.6, ::ffff:192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, unknown", "127.0.0.1"),
        ("6.6.6.6, 192.0.2.1 x", "127.0.0.1"),
        (",", "127.0.0.1"),
    ] {
        let line = line(&gate, "X-Forwarded-For", value).await?;
        assert_eq!(line["client_ip"], client, "{value}");
        assert_eq!(line["peer_ip"], "127.0.0.1");
    }
    let line = line(&gate, "Forwarded", "for=6.6.6.6").await?;
    assert_eq!(
        line["client_ip"], "127.0.0.1",
        "proxies write the other header"
    );
    Ok(())
}

#[tokio::test]
async fn the_forwarded_header_is_read_if_the_setting_names_it() -> Result<()> {
    let standard = ("FORWARDED_HEADER", "forwarded");
    let (echo, gate) = started([BEHIND_PROXY, standard]).await?;
    for (value, client) in [
        ("for=6.6.6.6, for=192.0.2.1", "192.0.2.1"),
        (
            "for=6.6.6.6, For=\"192.0.2.1:4711\";proto=https,",
            "192.0.2.1",
        ),
        ("for=\", for=192.0.2.1", "192.0.2.1"),
        (
            "for=6.6.6.6,for=\"[2001:db8::1]:_x\";by=_y, for=127.0.0.1",
            "2001:db8::1",
        ),
        ("for=6.6.6.6, for=_hidden", "127.0.0.1"),
        ("for=6.6.6.6, 192.0.2.1", "127.0.0.1"),
    ] {
        let line = line(&gate, "Forwarded", value).await?;
        assert_eq!(line["client_ip"], client, "{value}");
    }
    let line = line(&gate, "X-Forwarded-For", "6.6.6.6").await?;
    assert_eq!(
        line["client_ip"], "127.0.0.1",
        "the client wrote that value"
    );

    // Services that read the older headers get the true values.
    let request = signed_in("/", "ada")
        .header("Forwarded", "for=192.0.2.1;host=a.example;proto=https")
        .header("X-Forwarded-For", "6.6.6.6")
        .header("X-Forwarded-Host", "evil.example");
    assert_eq!(gate.send(&request).await?.status, 200);
    let seen = echo.seen().pop().context("it arrived")?;
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.1, 127.0.0.1"),
        ("x-forwarded-host", "a.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=192.0.2.1;host=a.example;proto=https"),
    ] {
        assert_eq!(seen.headers.all(name), [value], "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn forwarding_headers_of_unlisted_clients_are_ignored() -> Result<()> {
    for (name, value) in [("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6")] {
        let (_echo, gate) = started([]).await?;
        assert_eq!(line(&gate, name, value).await?["client_ip"], "127.0.0.1");
    }
    Ok(())
}
