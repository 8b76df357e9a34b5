//! Long exchanges, such as WebSockets: whether their requests would still be permitted.

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
    /// The lease of an exchange that may last for hours. If the gate is notified of changes in the stores, the request is
    /// decided again whenever a change may concern it, and once at the start, because something may have changed since the first
    /// decision.
    pub(super) fn lease<'l>(
        &'l self,
        live: &Live,
        handling: &Handling,
        request: &'l Request<Length>,
        record: &'l Record<'_>,
    ) -> Lease<'l> {
        let lease = live.lease(handling, record.session());
        match record.session() {
            Some(_) if live.has_channels() => {
                lease.rechecked_by(move || Box::pin(self.is_still_permitted(request, record)))
            }
            _ => lease,
        }
    }

    /// Decides the request again, and waits while a store does not answer. Returns whether the request would still be permitted,
    /// for the same user. Expiry since the first decision is ignored here, because the lease ends with the session.
    async fn is_still_permitted(&self, request: &Request<Length>, record: &Record<'_>) -> bool {
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
                    Err(refused) if !is_outage(&refused.refusal) => return false,
                    Err(_) => {}
                }
            }
            sleep(RETRY).await;
        }
    }
}

/// Whether the refusal is due to an outage or a rate limit, and says nothing about the request.
fn is_outage(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::NoIssuerKeys
            | Refusal::NoSessionStore { .. }
            | Refusal::RateLimited(_)
            | Refusal::Store(_)
    )
}

/// The pause before a store that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);
