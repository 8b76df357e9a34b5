//! Endless answers, which end when their lease is over.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::answerable::Answerable;
use super::record::Record;
use crate::exchange_end::Sent;
use crate::leases::Lease;
use crate::upstream::{Exchanging, UpstreamError};

/// Relays a stream. When its lease is over, the answer ends as if the service had ended it, so that no client takes it for a
/// failure, and the connection to the service is closed.
///
/// # Errors
/// The errors of [`Exchanging::relay`].
pub(super) async fn relay<D: Answerable>(
    exchange: &mut D::Exchange,
    client: &mut D,
    record: &Record<'_>,
    mut lease: Lease<'_>,
) -> Result<Sent, UpstreamError> {
    let over = {
        let mut relaying = pin!(exchange.relay(client, record));
        let relaying = poll_fn(|context| {
            if let Poll::Ready(relayed) = relaying.as_mut().poll(context) {
                return Poll::Ready(Err(relayed));
            }
            lease.poll_end(context).map(Ok)
        });
        relaying.await
    };
    match over {
        Err(relayed) => relayed,
        Ok(over) => {
            let began = client.finish_answer().await;
            let ended = over.exchange_end();
            Ok(Sent { ended, began })
        }
    }
}
