//! Lets the stores count tokens that no store knows as sessions that do not open.

use std::net::IpAddr;

use stores::{Counting, UnknownTokens};

use super::bad_sessions::BadSessions;

impl UnknownTokens for BadSessions {
    fn count(&self, client: IpAddr) -> Counting<'_> {
        Box::pin(async move {
            let counted = self.count(client).await?;
            let forget: Box<dyn FnOnce()> = Box::new(|| counted.take_back());
            Ok(forget)
        })
    }
}
