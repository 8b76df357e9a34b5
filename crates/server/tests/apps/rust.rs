//! A service in Rust: its page shows the code that is compiled here.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Result;
use http::header::HeaderMap;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{Front, text_of};
use crate::trial::{Trial, named_in_text};

#[tokio::test]
async fn a_service_in_rust_knows_the_user_of_the_session() -> Result<()> {
    let shown = text_of(PAGE, "rust", 0)?;
    assert!(
        include_str!("rust.rs").contains(&shown),
        "{PAGE} shows other code"
    );
    let mut tasks = JoinSet::new();
    let app = start(&mut tasks).await?;
    let front = Front::start(PAGE, app).await?;
    let trial = Trial {
        front: &front,
        app,
        forged: &[("X-User-Id", "eve"), ("X-User-Name", "Eve")],
        eve: "eve is Eve",
        zoe: "zoe is Zoë Müller",
        folds: &[],
    };
    trial.run(named_in_text).await
}

/// The user's id and name, from the gate's headers.
fn user(headers: &HeaderMap) -> Option<(&str, String)> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let name = percent_decode_str(text("x-user-name")?)
        .decode_utf8()
        .ok()?;
    Some((text("x-user-id")?, name.into_owned()))
}

/// Answers one request.
async fn answer(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let answer = match user(request.headers()) {
        Some((id, name)) => Response::new(format!("{id} is {name}")),
        None => {
            let mut refused = Response::new("ask the gate".to_owned());
            *refused.status_mut() = StatusCode::UNAUTHORIZED;
            refused
        }
    };
    Ok(answer)
}

async fn start(tasks: &mut JoinSet<()>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let served = http1::Builder::new();
            let served = served.serve_connection(TokioIo::new(stream), service_fn(answer));
            // Only a client of this test can disconnect early.
            connections.spawn(async { served.await.unwrap_or_default() });
        }
    });
    Ok(address)
}

const PAGE: &str = "rust.md";
