//! Drives a client connection of hyper, which makes no progress by itself.

use std::convert::Infallible;
use std::future::pending;

/// Awaits an answer while it drives the connection. If the connection ends, the answer's future returns the error.
pub(crate) async fn driven<T>(connection: impl Future, answer: impl Future<Output = T>) -> T {
    let driving = async {
        let _ = connection.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        answer = answer => answer,
        never = driving => match never {},
    }
}
