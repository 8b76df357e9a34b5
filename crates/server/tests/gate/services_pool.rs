//! Services with several servers: which server gets a request, how failing servers are handled, and how long connections last.

mod balance;
mod connections;
mod failing;
mod health;
mod proxy_protocol;
mod upstream_tls;

use std::path::Path;

use anyhow::{Context, Result};
use harness::{Gate, Request, Response, mint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Starts a gate whose file has these tables, with one worker, so that the order of servers is predictable.
async fn started(folder: &Path, tables: &str) -> Result<Gate> {
    started_with(folder, tables, 1).await
}

/// Starts a gate whose file has these tables, with this many workers.
async fn started_with(folder: &Path, tables: &str, workers: u8) -> Result<Gate> {
    let path = folder.join("gate.toml");
    write(&path, tables)?;
    let path = path.to_str().context("a path")?;
    Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("SESSIONGATE_CONFIG", path)
        .env("RELOAD_INTERVAL", "0")
        .env("WORKERS", workers.to_string())
        .start()
        .await
}

fn write(path: &Path, tables: &str) -> Result<()> {
    let secret = mint::SECRET;
    let file = format!("auth_secret = \"{secret}\"\nlog_format = \"json\"\n{tables}");
    Ok(std::fs::write(path, file)?)
}

/// Returns the tables of a public route to a service with these servers and additional keys.
fn public_service(servers: &[&str], keys: &str) -> String {
    format!(
        "[service.app]\nupstream = {servers:?}\n{keys}\n[[route]]\npath = \"/\"\naccess = \"public\"\nservice = \"app\"\n"
    )
}

/// Sends this many requests one after the other, and verifies that each gets 200.
async fn answered(gate: &Gate, count: usize) -> Result<()> {
    for _ in 0..count {
        let answer = gate.send(&Request::get("/")).await?;
        assert_eq!(answer.status, 200);
    }
    Ok(())
}

/// The server that the audit line of an answer names.
async fn server_of(gate: &Gate, answer: &Response) -> Result<String> {
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    Ok(line["server"].as_str().unwrap_or_default().to_owned())
}

/// A server that reads a request on each connection, and then calls a function with the connection and its number.
struct Fake {
    url: String,
    _connections: JoinSet<Result<()>>,
}

impl Fake {
    async fn start<F>(act: impl Fn(TcpStream, usize) -> F + Send + 'static) -> Result<Self>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut served = JoinSet::new();
            for number in 0.. {
                let (mut stream, _) = listener.accept().await?;
                let begun = head(&mut stream).await;
                if begun.is_ok() {
                    served.spawn(act(stream, number));
                }
            }
            Ok(())
        });
        Ok(Self {
            url,
            _connections: connections,
        })
    }

    /// Starts a server that closes each connection without an answer.
    async fn that_hangs_up() -> Result<Self> {
        Self::start(|stream, _| async {
            drop(stream);
            Ok(())
        })
        .await
    }
}

/// Reads the head of a request.
async fn head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head)?)
}

/// Answers a request, with these fields besides the usual ones.
async fn answer(stream: &mut TcpStream, fields: &str, body: &str) -> Result<()> {
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{fields}\r\n{body}");
    Ok(stream.write_all(answer.as_bytes()).await?)
}
