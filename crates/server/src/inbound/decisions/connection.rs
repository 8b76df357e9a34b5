//! The connection of a calling proxy, over HTTP/1.1 or HTTP/2.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{DecisionServer, IDLE_CALLING_PROXY};
use crate::client::Client;
use crate::config::ClientSettings;
use crate::downstream::Downstream;
use crate::inbound;
use crate::mode::Mode;
use crate::socket::Stream;

impl DecisionServer {
    pub(super) async fn serve_http1(
        self: Rc<Self>,
        stream: Stream,
        peer: IpAddr,
        stop: CancellationToken,
    ) {
        let limits = ClientSettings {
            idle: IDLE_CALLING_PROXY,
            ..self.live.current().client
        };
        let mut client = Client::new(stream, limits, stop);
        while let Some(request) = client.next().await {
            let answered = match request {
                Ok(request) => {
                    let (parts, _) = request.into_parts();
                    let answering = pin!(self.answer_http(&parts, peer));
                    let answered = client.unless_gone(answering).await;
                    // nginx announces the body of the original request, unless it is configured otherwise, and never sends
                    // it: the next request on this connection would be taken for that body.
                    if !client.skip_body().await {
                        client.end();
                    }
                    answered
                }
                Err(violation) => {
                    let (audit, metrics) = (&self.audit, &self.metrics);
                    let received = &client.connection.input;
                    let refused = inbound::unreadable(
                        violation,
                        received,
                        Mode::Decisions,
                        peer,
                        audit,
                        metrics,
                    );
                    Some(refused)
                }
            };
            // Without an answer the calling proxy has hung up, and the record has noted that.
            let Some((answer, mut record)) = answered else {
                return;
            };
            let sent = client.answer(answer, &record.bytes_out).await;
            record.end(sent);
        }
    }

    pub(super) async fn serve_http2(
        self: Rc<Self>,
        stream: Stream,
        peer: IpAddr,
        stop: CancellationToken,
    ) {
        let largest_head = self.live.current().client.head.bytes;
        let service = service_fn(|request| {
            let decisions = Rc::clone(&self);
            async move { Ok::<_, Infallible>(decisions.answer_http2(request, peer).await) }
        });
        let connection = http2::Builder::new(LocalExecutor(self.tasks.clone()))
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(PING))
            .max_concurrent_streams(MOST_STREAMS)
            .max_header_list_size(u32::try_from(largest_head).unwrap_or(u32::MAX))
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            // On an error the other side has hung up, or does not speak HTTP/2.
            _ = connection.as_mut() => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

/// Runs the requests of an HTTP/2 connection on the runtime of their connection.
#[derive(Clone)]
struct LocalExecutor(TaskTracker);

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output: 'static> + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn_local(future);
    }
}

/// The interval of HTTP/2 pings to a calling proxy.
const PING: Duration = Duration::from_secs(30);

/// Concurrent requests on one connection; a calling proxy with more opens another connection.
const MOST_STREAMS: u32 = 1024;
