//! Decision requests that announce a body.

use anyhow::Result;
use harness::{Client, Gate, Mint, Nginx, Request};

use crate::support::{gate, signed_in};

async fn decisions() -> Result<Gate> {
    let gate = gate("http://127.0.0.1:9").env("AUTH_LISTEN", "127.0.0.1:0");
    gate.env("WORKERS", "1").start().await
}

fn decision_request(framing: &str) -> String {
    let cookie = Mint::user("ada").authjs();
    format!(
        "GET /auth/nginx HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nX-Original-URL: http://a/\r\n\
         X-Original-Method: POST\r\n{framing}\r\n"
    )
}

#[tokio::test]
async fn a_missing_body_of_a_decision_request_closes_the_connection() -> Result<()> {
    let gate = decisions().await?;
    for framing in ["Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut client = Client::connect(gate.decisions_port()?).await?;
        client.raw(decision_request(framing).as_bytes()).await?;
        let answer = client.response().await?;
        assert_eq!(answer.status, 200, "{framing}");
        assert_eq!(answer.header("connection"), Some("close"), "{framing}");
        client.closed().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_decision_request_with_its_body_keeps_the_connection() -> Result<()> {
    let gate = decisions().await?;
    let mut client = Client::connect(gate.decisions_port()?).await?;
    for (framing, body) in [
        ("Content-Length: 4\r\n", "body"),
        ("Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n\r\n"),
        ("", ""),
    ] {
        client
            .raw((decision_request(framing) + body).as_bytes())
            .await?;
        let answer = client.response().await?;
        assert_eq!(answer.status, 200, "{framing}");
        assert_eq!(answer.header("connection"), None, "{framing}");
    }
    Ok(())
}

#[tokio::test]
async fn nginx_may_send_the_content_length_of_the_original_request() -> Result<()> {
    let gate = decisions().await?;
    let address = gate.decisions_port()?;
    // A configuration as in many guides, which omit `proxy_set_header Content-Length ""`.
    let nginx = Nginx::from_config(|port| {
        format!(
            "events {{ worker_connections 256; }}
http {{
    upstream decisions {{ server {address}; keepalive 1; }}
    server {{
        listen 127.0.0.1:{port};
        location /served {{ auth_request /gate; try_files /none =204; }}
        location = /gate {{
            internal;
            proxy_pass http://decisions/auth/nginx;
            proxy_pass_request_body off;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header X-Original-URL http://$http_host$request_uri;
            proxy_set_header X-Original-Method $request_method;
        }}
    }}
}}
"
        )
    })
    .await?;
    for _ in 0..3 {
        let mut client = Client::connect(nginx.address()).await?;
        let request = Request::post("/served", "x".repeat(200)).cookie(Mint::user("ada").authjs());
        assert_eq!(client.send(&request).await?.status, 204);
        assert_eq!(client.send(&signed_in("/served", "eve")).await?.status, 204);
        assert_eq!(client.get("/served").await?.status, 401);
    }
    Ok(())
}
