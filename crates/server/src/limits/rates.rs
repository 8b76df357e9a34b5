//! All rate limits of a configuration.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use gate::{Exceeded, Route};

use super::all_nodes::{AllNodes, Step};
use super::bad_sessions::BadSessions;
use super::limiter::Limiter;
use super::table::Table;
use crate::boxed::boxed;
use crate::config::{CountedBy, Handling, LimitSettings, RateLimit};

/// All rate limits of a configuration.
#[derive(Debug)]
pub(crate) struct Rates {
    /// The limits of the whole gate.
    of_all: Limiters,
    /// The limits of routes, by route id. Empty if no route has a limit.
    of_routes: Vec<Limiters>,
    bad_sessions: Option<Arc<BadSessions>>,
    /// Whether requests are counted, not only sessions that do not open.
    pub(crate) counts_requests: bool,
    /// The shared count, if nodes count together.
    all_nodes: Option<AllNodes>,
}

/// Rate limits, by what they count.
#[derive(Debug, Default)]
struct Limiters {
    by_address: Vec<Limiter>,
    by_route: Vec<Limiter>,
    by_user: Vec<Limiter>,
}

impl Rates {
    /// The rate limits of a configuration, if it has any. `routes` are its routes, `handling` is the handling of each route, and
    /// `all_nodes` is the shared count, if there is one.
    pub(crate) fn new<'r>(
        table: &Arc<Table>,
        limits: &LimitSettings,
        handling: &[Handling],
        routes: impl IntoIterator<Item = &'r Route>,
        all_nodes: Option<AllNodes>,
    ) -> Option<Self> {
        let is_of_routes = handling.iter().any(|handling| !handling.rates.is_empty());
        if limits.rates.is_empty() && limits.bad_sessions.is_none() && !is_of_routes {
            return None;
        }
        let mut of_routes = Vec::new();
        if is_of_routes {
            of_routes.resize_with(handling.len(), Limiters::default);
            for route in routes {
                let rates = &handling[route.id].rates;
                of_routes[route.id] = Limiters::new(table, rates, Some(&*route.name));
            }
        }
        let bad_sessions = |limit| Arc::new(BadSessions::new(table, limit, all_nodes.clone()));
        Some(Self {
            counts_requests: is_of_routes || !limits.rates.is_empty(),
            of_all: Limiters::new(table, &limits.rates, None),
            of_routes,
            bad_sessions: limits.bad_sessions.map(bad_sessions),
            all_nodes,
        })
    }

    /// Whether there is a rate limit for this route.
    pub(crate) fn has_limit_for(&self, route: &Route) -> bool {
        let of_route = self.of_routes.get(route.id);
        !self.of_all.is_empty() || of_route.is_some_and(|limiters| !limiters.is_empty())
    }

    /// Counts a request by its client's address.
    ///
    /// # Errors
    /// The limit that is exceeded.
    pub(crate) async fn of_client(&self, client: IpAddr) -> Result<(), Exceeded> {
        let limiters = &self.of_all.by_address;
        let mut all = limiters.iter();
        all.try_for_each(|limiter| limiter.check_address(client))?;
        let counted = |limiter| Limiter::counted_address(limiter, client);
        self.count_together(|| limiters.iter().map(counted).collect())
            .await
    }

    /// Counts a request by the route that governs it.
    ///
    /// # Errors
    /// The limit that is exceeded.
    pub(crate) async fn of_route(&self, route: &Route, client: IpAddr) -> Result<(), Exceeded> {
        check(&self.of_all.by_route, route.id)?;
        let own = self.of_routes.get(route.id);
        if let Some(limiters) = own {
            let mut by_address = limiters.by_address.iter();
            by_address.try_for_each(|limiter| limiter.check_address(client))?;
            check(&limiters.by_route, ())?;
        }
        let step = || {
            let mut step = Step::new();
            let of_all = self.of_all.by_route.iter();
            // Route ids depend on the configuration, so nodes share the name.
            step.extend(of_all.map(|limiter| limiter.counted(route.id, &[route.name.as_bytes()])));
            if let Some(limiters) = own {
                let by_address = limiters.by_address.iter();
                step.extend(by_address.map(|limiter| limiter.counted_address(client)));
                let by_route = limiters.by_route.iter();
                step.extend(by_route.map(|limiter| limiter.counted((), &[])));
            }
            step
        };
        self.count_together(step).await
    }

    /// Whether users are counted on this route.
    pub(crate) fn counts_users(&self, route: &Route) -> bool {
        let of_route = self.of_routes.get(route.id);
        !self.of_all.by_user.is_empty()
            || of_route.is_some_and(|limiters| !limiters.by_user.is_empty())
    }

    /// Counts a request by its user, with this id in this realm.
    ///
    /// # Errors
    /// The limit that is exceeded.
    pub(crate) async fn of_user(
        &self,
        route: &Route,
        realm: &str,
        id: &str,
    ) -> Result<(), Exceeded> {
        check(&self.of_all.by_user, (realm, id))?;
        let own = self.of_routes.get(route.id);
        let own = own.map_or(&[][..], |limiters| &limiters.by_user);
        check(own, (realm, id))?;
        let step = || {
            let limiters = self.of_all.by_user.iter().chain(own);
            let text = [realm.as_bytes(), id.as_bytes()];
            let counted = limiters.map(|limiter| limiter.counted((realm, id), &text));
            counted.collect()
        };
        self.count_together(step).await
    }

    /// Adds this node's counts to the shared count, if there is one.
    async fn count_together<'l>(&'l self, step: impl FnOnce() -> Step<'l>) -> Result<(), Exceeded> {
        let Some(all_nodes) = &self.all_nodes else {
            return Ok(());
        };
        let step = step();
        match step.is_empty() {
            true => Ok(()),
            false => boxed(all_nodes.count(step)).await.map(drop),
        }
    }

    /// The limit on sessions that do not open, or that no store knows.
    pub(crate) fn bad_sessions(&self) -> Option<&Arc<BadSessions>> {
        self.bad_sessions.as_ref()
    }
}

impl Limiters {
    fn is_empty(&self) -> bool {
        self.by_address.is_empty() && self.by_route.is_empty() && self.by_user.is_empty()
    }

    fn new(table: &Arc<Table>, limits: &[RateLimit], place: Option<&str>) -> Self {
        let mut limiters = Self::default();
        for limit in limits {
            let (of_kind, policy) = match limit.by {
                CountedBy::Address => (&mut limiters.by_address, "address"),
                CountedBy::Route => (&mut limiters.by_route, "route"),
                CountedBy::User => (&mut limiters.by_user, "user"),
            };
            of_kind.push(Limiter::new(table, policy, *limit, place));
        }
        limiters
    }
}

fn check(limiters: &[Limiter], key: impl Hash + Copy) -> Result<(), Exceeded> {
    limiters.iter().try_for_each(|limiter| limiter.check(key))
}
