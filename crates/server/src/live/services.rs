//! What the whole process knows of the servers of a service.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::config::{ServiceSettings, UpstreamSettings};
use crate::upstream::{Checks, Members};

/// The servers of a service, and the checks of them, which end with it.
#[derive(Debug)]
pub(crate) struct ServiceTerms {
    pub(crate) members: Arc<Members>,
    _checks: Vec<Checks>,
}

impl ServiceTerms {
    /// Those of each service that has servers. What is known of servers is kept for as long as their settings stay, and shared
    /// by services that differ only in how long an answer may take. Without a runtime nothing is checked.
    pub(super) fn open_all(
        services: &[ServiceSettings],
        before: &[Option<Arc<Self>>],
        runtime: Option<&Handle>,
    ) -> Vec<Option<Arc<Self>>> {
        let mut all: Vec<Option<Arc<Self>>> = Vec::new();
        for service in services {
            let ServiceSettings::Upstream(settings) = service else {
                all.push(None);
                continue;
            };
            let mut known = before.iter().chain(&all).flatten();
            let known = known.find(|terms| terms.members.are_of(settings)).cloned();
            let terms = known.unwrap_or_else(|| Arc::new(Self::open(settings, runtime)));
            all.push(Some(terms));
        }
        all
    }

    fn open(settings: &UpstreamSettings, runtime: Option<&Handle>) -> Self {
        let members = Arc::new(Members::new(settings));
        let health = settings.pool.health.as_ref().zip(runtime);
        let check = |member: &Arc<_>| {
            let (health, runtime) = health?;
            Some(Checks::start(Arc::clone(member), health.clone(), runtime))
        };
        Self {
            _checks: members.all.iter().filter_map(check).collect(),
            members,
        }
    }
}
