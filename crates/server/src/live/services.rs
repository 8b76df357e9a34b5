//! The shared state of a service's servers.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::config::{ServiceSettings, UpstreamSettings};
use crate::upstream::{Checks, Members};

/// The servers of a service, and their health checks, which end with this value.
#[derive(Debug)]
pub(crate) struct ServiceTerms {
    pub(crate) members: Arc<Members>,
    _checks: Vec<Checks>,
}

impl ServiceTerms {
    /// The servers of each service that has any. Their state is kept until their settings change, and shared by services
    /// that differ only in their time limit. Without a runtime there are no health checks.
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
            let known = known
                .find(|terms| terms.members.have_settings(settings))
                .cloned();
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
