//! How each runtime sees what is live.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::Live;
use super::services::ServiceTerms;
use crate::config::{Handling, ServiceSettings};
use crate::service::Service;

/// What the live value is in: there is one, and everybody who serves has a [`View`] of it.
pub(crate) type Shared = Arc<ArcSwap<Live>>;

/// One runtime's view of what is live.
pub(crate) struct View(RefCell<Seen>);

struct Seen {
    latest: Cache<Shared, Arc<Live>>,
    current: Current,
}

/// What was live when a request began. Counted within the runtime, so that cores do not contend for the count.
#[derive(Clone)]
pub(crate) struct Current(Rc<Holder>);

struct Holder {
    live: Arc<Live>,
    /// The services, with the runtime's own connections to each.
    services: Vec<Rc<Service>>,
}

impl Deref for Current {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.0.live
    }
}

impl Current {
    /// Of what is live now. Connections to services that are as they were are kept.
    fn of(live: Arc<Live>, before: Option<&Self>) -> Self {
        let kept = |service: &ServiceSettings| {
            let Holder { live, services } = &*before?.0;
            let place = live.services.iter().position(|other| other == service)?;
            services.get(place).cloned()
        };
        let service = |(settings, terms): (_, &Option<Arc<ServiceTerms>>)| {
            let members = terms.as_ref().map(|terms| &terms.members);
            kept(settings).unwrap_or_else(|| Rc::new(Service::new(settings, members)))
        };
        let services = live.services.iter().zip(&live.terms);
        let services = services.map(service).collect();
        Self(Rc::new(Holder { live, services }))
    }

    /// The service of a route; `None` where only decisions are made.
    pub(crate) fn service(&self, handling: &Handling) -> Option<&Service> {
        Some(&*self.0.services[handling.service?])
    }
}

impl View {
    /// A view of what is in `shared`, now and later.
    pub(crate) fn of(shared: Shared) -> Self {
        let mut latest = Cache::new(shared);
        let current = Current::of(Arc::clone(latest.load()), None);
        Self(RefCell::new(Seen { latest, current }))
    }

    /// What is live now, for one request.
    pub(crate) fn current(&self) -> Current {
        let Seen { latest, current } = &mut *self.0.borrow_mut();
        let latest = latest.load();
        if !Arc::ptr_eq(latest, &current.0.live) {
            *current = Current::of(Arc::clone(latest), Some(current));
        }
        current.clone()
    }
}
