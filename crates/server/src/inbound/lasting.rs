//! Exchanges that last: whether one that was let in would be let in now.

use std::time::Duration;

use gate::Refusal;
use http::Request;
use http1::Length;
use tokio::time::sleep;

use super::proxy::{Proxy, facts};
use super::record::Record;
use crate::config::Handling;
use crate::leases::Lease;
use crate::live::Live;

impl Proxy {
    /// The lease of an exchange that may last for hours. Where it is heard what changes, the decision is made again whenever
    /// something has changed that may concern it; and once now, because something may have since it was made.
    pub(super) fn lease<'l>(
        &'l self,
        live: &Live,
        handling: &Handling,
        request: &'l Request<Length>,
        record: &'l Record<'_>,
    ) -> Lease<'l> {
        let lease = live.lease(handling, record.session());
        match record.session() {
            Some(_) if live.hears_changes() => {
                lease.asking(move || Box::pin(self.would_enter(request, record)))
            }
            _ => lease,
        }
    }

    /// Whether the request would be let in, once that can be told. A session that has expired since is not looked at: that is for the
    /// lease.
    async fn would_enter(&self, request: &Request<Length>, record: &Record<'_>) -> bool {
        loop {
            {
                let live = self.live.current();
                let facts = facts(request, &record.arrival);
                match live.gate.decide(&facts, record.now).await {
                    Ok(permit) => {
                        let user = |session: &session::Session| session.subject().to_owned();
                        let now = permit.admission().session().map(user);
                        return now == record.session().map(user);
                    }
                    Err(refused) if !cannot_tell(&refused.refusal) => return false,
                    Err(_) => {}
                }
            }
            sleep(ASK_AGAIN).await;
        }
    }
}

/// Whether this says nothing about the request.
fn cannot_tell(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::NoIssuerKeys
            | Refusal::NoSessionStore { .. }
            | Refusal::RateLimited(_)
            | Refusal::Store(_)
    )
}

/// How long after a store has not answered it is asked again for an exchange that goes on.
const ASK_AGAIN: Duration = Duration::from_secs(1);
