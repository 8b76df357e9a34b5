//! What the stores ask of the limit on sessions that do not open: a token that no store knows is one of them.

use std::net::IpAddr;

use stores::{Counting, UnknownTokens};

use super::bad_sessions::BadSessions;

impl UnknownTokens for BadSessions {
    fn count(&self, client: IpAddr) -> Counting<'_> {
        Box::pin(async move {
            let counted = self.count(client).await?;
            let forget: Box<dyn FnOnce()> = Box::new(|| counted.was_good());
            Ok(forget)
        })
    }
}
