//! The misbehaving service over HTTP/2 without TLS. For faults that do not exist in HTTP/2, it answers properly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::conduct::{Conduct, body, mark};

/// The service over HTTP/2. Dropping it ends the service and its connections.
pub(super) struct OverHttp2 {
    pub(super) address: SocketAddr,
    /// The number of requests received.
    pub(super) requests: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl OverHttp2 {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (mut tasks, requests) = (JoinSet::new(), Arc::default());
        let counting = Arc::clone(&requests);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                        let requests = Arc::clone(&counting);
                        connections.spawn(async move { drop(serve(stream, &requests).await) });
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self {
            address,
            requests,
            _tasks: tasks,
        })
    }
}

async fn serve(stream: TcpStream, requests: &AtomicUsize) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = h2::server::handshake(stream).await?;
    let (killed, mut kills) = mpsc::channel(1);
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    requests.fetch_add(1, Ordering::Relaxed);
                    let killed = killed.clone();
                    streams.spawn(async { drop(answer(request, respond, killed).await) });
                }
                Some(Err(_)) | None => return Ok(()),
            },
            _ = kills.recv() => return Ok(()),
            Some(_) = streams.join_next() => {}
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    killed: mpsc::Sender<()>,
) -> Result<()> {
    let (head, mut incoming) = request.into_parts();
    while let Some(piece) = incoming.data().await {
        let length = piece?.len();
        incoming.flow_control().release_capacity(length)?;
    }
    let user = head.headers.get("x-user-id").context("a user")?.to_str()?;
    let number = head.uri.path().rsplit('/').next().context("a number")?;
    let number = number.parse()?;
    let mark = mark(user, number);
    let mut body = Bytes::from(body(&mark, number));
    let answer = |status: u16, length: Option<usize>| {
        let mut answer = Response::builder().status(status).header("x-mark", &mark);
        if let Some(length) = length {
            answer = answer.header("content-length", length);
        }
        answer.body(())
    };
    let length = body.len();
    match Conduct::of(number) {
        Conduct::BodyToHead => {
            respond.send_response(answer(200, Some(length))?, true)?;
        }
        Conduct::BodyWithNone => {
            respond.send_response(answer(204, None)?, true)?;
        }
        Conduct::Hangs => tokio::time::sleep(Duration::from_secs(3600)).await,
        Conduct::Killed => killed.send(()).await?,
        Conduct::ClosesAtOnce | Conduct::MidHead | Conduct::Nonsense => {
            respond.send_reset(Reason::INTERNAL_ERROR);
        }
        Conduct::Resets => respond.send_reset(Reason::REFUSED_STREAM),
        Conduct::TwoLengths => respond.send_reset(Reason::CANCEL),
        Conduct::BadChunk => {
            let mut stream = respond.send_response(answer(200, None)?, false)?;
            send(&mut stream, body, false).await?;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        Conduct::TooShort => {
            let mut stream = respond.send_response(answer(200, Some(length + 10))?, false)?;
            send(&mut stream, body, true).await?;
        }
        Conduct::Slow => {
            let mut stream = respond.send_response(answer(200, Some(length))?, false)?;
            send(&mut stream, body.split_to(length / 2), false).await?;
            tokio::time::sleep(Duration::from_millis(2)).await;
            send(&mut stream, body, true).await?;
        }
        Conduct::Chunked | Conduct::Interim => {
            let mut stream = respond.send_response(answer(200, None)?, false)?;
            send(&mut stream, body, true).await?;
        }
        Conduct::Closes | Conduct::HalfCloses | Conduct::Proper | Conduct::TooLong => {
            let mut stream = respond.send_response(answer(200, Some(length))?, false)?;
            send(&mut stream, body, true).await?;
        }
    }
    Ok(())
}

/// Sends the body piece by piece, as the window allows.
async fn send(stream: &mut SendStream<Bytes>, mut body: Bytes, ends: bool) -> Result<()> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let room = room.context("the stream has ended")??;
        let piece = body.split_to(room.min(body.len()));
        let is_last = ends && body.is_empty();
        stream.send_data(piece, is_last)?;
    }
    Ok(())
}
