//! An exchange over a connection of hyper's, which does not move by itself.

use std::convert::Infallible;
use std::future::pending;

/// Waits for an answer, and meanwhile moves the bytes of its connection. Whatever ends that, the answer learns of it.
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
