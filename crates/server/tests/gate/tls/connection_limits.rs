//! The limits of connections, on listeners with TLS and on those that redirect to them.

use anyhow::Result;
use harness::{Client, poll};

use super::Site;

#[tokio::test]
async fn connections_of_a_tls_listener_are_limited() -> Result<()> {
    let script = r#"
held = [connect() for _ in range(3)]
for connection in held:
    assert ask(connection)[0] == 200

def refused():
    try:
        connect()
    except OSError:
        return True

assert refused()
assert ask(held[0])[0] == 200
# A connection that never completes its handshake counts too.
held.pop().close()
silent = socket.create_connection(("127.0.0.1", port))
while not refused():
    pass
silent.close()
while refused():
    pass
print("done")
"#;
    for setting in ["CONNECTIONS_PER_ADDRESS", "MAX_CONNECTIONS"] {
        let site = Site::start([(setting, "3"), ("PUBLIC_PATHS", "/")]).await?;
        assert_eq!(site.python(script, &[]).await?, "done\n", "{setting}");
        let label = format!("limit=\"{setting}\"");
        let refused = site
            .gate
            .metric("sessiongate_connections_refused_total", [&*label]);
        assert!(refused.await? >= 2.0, "{setting}");
    }
    Ok(())
}

#[tokio::test]
async fn a_redirect_listener_has_its_own_connection_limit() -> Result<()> {
    for setting in ["CONNECTIONS_PER_ADDRESS", "MAX_CONNECTIONS"] {
        let redirect = ("REDIRECT_LISTEN", "127.0.0.1:0");
        let site = Site::start([(setting, "3"), ("PUBLIC_PATHS", "/"), redirect]).await?;
        let redirect = site.gate.listener("redirect").await?;
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut client = Client::connect(redirect).await?;
            assert_eq!(client.get("/").await?.status, 308);
            held.push(client);
        }
        Client::connect(redirect).await?.closed().await?;
        assert_eq!(
            held[0].get("/").await?.status,
            308,
            "the other connections continue"
        );
        let over_tls = site.curl(&[&site.url("/")]).await?;
        assert_eq!(over_tls.status, 200, "the other listener has room");
        drop(held.pop());
        poll("room for a connection", async || {
            let mut client = Client::connect(redirect).await.ok()?;
            let answer = client.get("/").await.ok()?;
            (answer.status == 308).then_some(())
        })
        .await?;
    }
    Ok(())
}
