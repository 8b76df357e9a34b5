//! Each runtime's view of the live configuration.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::Live;
use super::services::ServiceTerms;
use crate::config::{Handling, ServiceSettings};
use crate::service::Service;

/// The shared cell of the live configuration. Each runtime has a [`View`] of it.
pub(crate) type SharedLive = Arc<ArcSwap<Live>>;

/// One runtime's view of the live configuration.
pub(crate) struct View(RefCell<ViewState>);

struct ViewState {
    latest: Cache<SharedLive, Arc<Live>>,
    current: Current,
}

/// The live configuration when a request began. It is reference-counted within the runtime, so that cores do not contend.
#[derive(Clone)]
pub(crate) struct Current(Rc<LiveServices>);

struct LiveServices {
    live: Arc<Live>,
    /// The services, with this runtime's connections to each.
    services: Vec<Rc<Service>>,
}

impl Deref for Current {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.0.live
    }
}

impl Current {
    /// Builds the view of a new configuration. Connections to unchanged services are kept.
    fn of(live: Arc<Live>, before: Option<&Self>) -> Self {
        let kept = |service: &ServiceSettings| {
            let LiveServices { live, services } = &*before?.0;
            let place = live.services.iter().position(|other| other == service)?;
            services.get(place).cloned()
        };
        let service = |(settings, terms): (_, &Option<Arc<ServiceTerms>>)| {
            let members = terms.as_ref().map(|terms| &terms.members);
            kept(settings).unwrap_or_else(|| Rc::new(Service::new(settings, members)))
        };
        let services = live.services.iter().zip(&live.terms);
        let services = services.map(service).collect();
        Self(Rc::new(LiveServices { live, services }))
    }

    /// The service of a route; `None` if the gate only makes decisions.
    pub(crate) fn service(&self, handling: &Handling) -> Option<&Service> {
        Some(&*self.0.services[handling.service?])
    }
}

impl View {
    /// A view of `shared`, which follows reloads.
    pub(crate) fn of(shared: SharedLive) -> Self {
        let mut latest = Cache::new(shared);
        let current = Current::of(Arc::clone(latest.load()), None);
        Self(RefCell::new(ViewState { latest, current }))
    }

    /// The live configuration for one request.
    pub(crate) fn current(&self) -> Current {
        let ViewState { latest, current } = &mut *self.0.borrow_mut();
        let latest = latest.load();
        if !Arc::ptr_eq(latest, &current.0.live) {
            *current = Current::of(Arc::clone(latest), Some(current));
        }
        current.clone()
    }
}
