//! The live configuration: everything that a reload replaces, in one value.
//!
//! A reload reads the configuration again, as at start-up, and replaces the live value as a whole or not at all. Requests in
//! flight keep the value that they began with; long exchanges are decided again by the latest one (`inbound/long_exchange.rs`). Stores,
//! issuers' keys and connections to services stay open, with their caches, unless something that they depend on has changed.

mod context;
mod error;
mod listeners;
mod opened;
mod reload;
mod services;
mod tickets;
mod view;
mod watch;
mod written_settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gate::{Gate, RevocationVerdict, TrustedProxies};
use session::{Secret, Session};

pub(crate) use self::context::LiveContext;
use self::error::ConfiguredColumnError;
pub(crate) use self::error::LiveError;
use self::listeners::SharedTls;
pub(crate) use self::listeners::{ListenerTerms, ListenerTls};
pub(crate) use self::opened::Opened;
use self::opened::Superseded;
pub(crate) use self::reload::{Reload, Reloads};
use self::services::ServiceTerms;
pub(crate) use self::tickets::{HandedTickets, ListenerTickets};
pub(crate) use self::view::{Current, SharedLive, View};
use crate::acme::Acme;
use crate::clock;
use crate::config::{
    ClientSettings, Config, Handling, HttpsSettings, LimitSettings, ServiceSettings,
};
use crate::leases::{self, Holder, Lease, LeaseEnd};
use crate::limits::{AllNodes, Rates};
use crate::revocations::{RevocationObservers, RevocationWatch};
use stores::{SharedRates, StoreHealth, UnknownTokens, UserChain};

/// The live configuration: rules, services, secrets, keys, stores and limits.
pub(crate) struct Live {
    /// The gate, which makes the decisions.
    pub(crate) gate: Gate<UserChain, stores::SessionChain>,
    /// The handling of each route, by route id.
    pub(crate) handling: Vec<Handling>,
    /// The settings of the services.
    pub(crate) services: Vec<ServiceSettings>,
    /// The servers of each service, in the same order; `None` for a folder.
    pub(crate) terms: Vec<Option<Arc<ServiceTerms>>>,
    /// The trusted proxies.
    pub(crate) trusted_proxies: TrustedProxies,
    /// The calling proxies that may ask for decisions, which are also the trusted proxies of the requests that they ask
    /// about.
    pub(crate) calling_proxies: TrustedProxies,
    /// Limits on connections and requests.
    pub(crate) limits: LimitSettings,
    /// The rate limits, if there are any.
    pub(crate) rates: Option<Rates>,
    /// The shared count of rate limits, if there is one.
    shared_rates: Option<Arc<SharedRates>>,
    /// The revocations, if a store for them is configured.
    pub(crate) revocations: Option<Arc<RevocationWatch>>,
    /// The limits on clients' connections.
    pub(crate) client: ClientSettings,
    /// The listeners of the process, in the order in which they were bound.
    pub(crate) listeners: Vec<ListenerTerms>,
    /// The ACME certificates, if a listener uses them.
    pub(crate) acme: Option<Arc<Acme>>,
    /// The settings for HTTPS and HSTS.
    pub(crate) https: HttpsSettings,
    /// The token of the admin listener.
    pub(crate) admin_token: Option<Secret>,
    /// The open realms, for health and metrics.
    pub(crate) realms: Vec<Opened>,
    warnings: Vec<String>,
}

impl Live {
    /// Opens a configuration. Parts that have not changed since `before` are taken from there.
    ///
    /// # Errors
    /// When a store cannot be opened, or the TLS of a listener cannot be set up. A server that is down is not an error.
    pub(crate) fn open(
        config: Config,
        before: Option<&Self>,
        context: &LiveContext,
    ) -> Result<Self, LiveError> {
        let https = config.https;
        let known = before.map(|before| &before.listeners[..]);
        let acme = config.acme.map(|settings| {
            let kept = before.and_then(|before| before.acme.as_ref());
            match kept.filter(|kept| kept.has_settings(&settings)) {
                Some(kept) => Ok(Arc::clone(kept)),
                None => Acme::open(settings, &context.runtime, &context.pools, &context.metrics),
            }
        });
        let acme = acme.transpose()?;
        let shared_tls = SharedTls {
            acme: acme.as_ref(),
            http2: config.client.http2,
            handed: &context.tickets,
        };
        let listeners = ListenerTerms::open_all(config.listeners, &https, shared_tls, known)?;
        let rules = &config.rules;
        let known = before.map_or(&[][..], |before| &before.terms);
        let terms = ServiceTerms::open_all(&rules.services, known, Some(&context.runtime));
        let routes = rules.routes.all();
        let shared_rates = config.shared_limits.map(|settings| {
            let kept = before.and_then(|before| before.shared_rates.as_ref());
            let kept = kept.filter(|kept| kept.has_settings(&settings)).cloned();
            kept.unwrap_or_else(|| SharedRates::open(settings, &context.pools))
        });
        let all_nodes = shared_rates.as_ref();
        let all_nodes = all_nodes.map(|rates| AllNodes::new(rates, &context.metrics));
        let limits = &config.limits;
        let rates = Rates::new(&context.table, limits, &rules.handling, routes, all_nodes);
        let bad_sessions = rates.as_ref().and_then(Rates::bad_sessions);
        let revocations = config.revocations.map(|settings| {
            let kept = before.and_then(|before| before.revocations.as_ref());
            let kept = kept.filter(|kept| kept.has_settings(&settings)).cloned();
            kept.unwrap_or_else(|| {
                let observers = RevocationObservers {
                    metrics: Arc::clone(&context.metrics),
                    audit: Arc::clone(&context.audit.of_process),
                };
                RevocationWatch::open(settings, &context.pools, &context.runtime, observers)
            })
        });
        let (mut opened, mut realms) = (Vec::new(), Vec::new());
        for settings in config.realms {
            let before = before.and_then(|before| Opened::named(&before.realms, &settings.name));
            let revoked = revocations.as_ref();
            let revoked = revoked.map_or_else(Arc::default, |all| all.of(&settings.name));
            let (one, mut realm) = Opened::open(settings, before, context, revoked)?;
            let sessions = realm.sessions.take();
            realm.sessions = sessions.map(|sessions| {
                let unknown = bad_sessions.cloned();
                sessions.limited(unknown.map(|limit| limit as Arc<dyn UnknownTokens>))
            });
            opened.push(one);
            realms.push(realm);
        }
        let gate = Gate {
            routes: config.rules.routes,
            realms,
            profiles: config.rules.profiles,
            bypass: config.bypass,
            passes_preflight: config.passes_preflight,
            hygiene: config.hygiene,
        };
        Ok(Self {
            gate,
            handling: config.rules.handling,
            services: config.rules.services,
            terms,
            calling_proxies: config.trusted_proxies.clone().with_loopback(),
            trusted_proxies: config.trusted_proxies,
            limits: config.limits,
            rates,
            shared_rates,
            revocations,
            client: config.client,
            listeners,
            acme,
            https,
            admin_token: config.admin.token,
            realms: opened,
            warnings: config.warnings,
        })
    }

    /// A live configuration for tests, with the gate and the services of `config` and without stores.
    #[cfg(test)]
    pub(crate) fn only(config: Config) -> Self {
        let realm = |settings: crate::config::RealmSettings| gate::Realm {
            name: settings.name,
            keys: settings.keys,
            demands: settings.demands,
            identity: settings.identity,
            active: settings.active,
            issuer: None,
            revocations: Arc::default(),
            users: None,
            sessions: None,
        };
        Self {
            gate: Gate {
                routes: config.rules.routes,
                realms: config.realms.into_iter().map(realm).collect(),
                profiles: config.rules.profiles,
                bypass: config.bypass,
                passes_preflight: config.passes_preflight,
                hygiene: config.hygiene,
            },
            handling: config.rules.handling,
            terms: ServiceTerms::open_all(&config.rules.services, &[], None),
            services: config.rules.services,
            calling_proxies: config.trusted_proxies.clone().with_loopback(),
            trusted_proxies: config.trusted_proxies,
            limits: config.limits,
            rates: None,
            shared_rates: None,
            revocations: None,
            client: config.client,
            listeners: Vec::new(),
            acme: None,
            https: config.https,
            admin_token: None,
            realms: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Checks that the tables have every configured column, if the databases answer now.
    ///
    /// # Errors
    /// The first column that is missing or cannot be read.
    pub(crate) async fn check_columns(&self) -> Result<(), ConfiguredColumnError> {
        for realm in &self.realms {
            realm.check_columns().await?;
        }
        Ok(())
    }

    /// The health of every store that has a server or a file.
    pub(crate) fn health(&self) -> Vec<StoreHealth> {
        let stores = self.realms.iter().filter_map(|realm| realm.stores.as_ref());
        stores.flat_map(|stores| stores.health()).collect()
    }

    /// Whether rate limits are currently counted together with other nodes; `None` if that is not configured.
    pub(crate) fn shares_limits(&self) -> Option<bool> {
        self.shared_rates.as_ref().map(|rates| rates.are_shared())
    }

    /// Whether decisions can be made: all necessary stores answer.
    pub(crate) fn is_ready(&self) -> bool {
        let mut stores = self.realms.iter().filter_map(|realm| realm.stores.as_ref());
        stores.all(stores::Stores::ready) && self.knows_revocations() != Some(false)
    }

    /// Whether the revocations are known; `None` if no store for them is configured.
    pub(crate) fn knows_revocations(&self) -> Option<bool> {
        self.revocations.as_ref().map(|watch| watch.is_ready())
    }

    /// Waits for the first attempt to read the revocations.
    pub(crate) async fn wait_for_revocations(&self) {
        if let Some(watch) = &self.revocations {
            watch.wait_for_first_read().await;
        }
    }

    /// Makes audit lines contain session ids from now on, if sessions can be revoked.
    pub(crate) fn activate(&self, context: &LiveContext) {
        let can_revoke = self.revocations.is_some();
        context
            .audit
            .names_sessions
            .store(can_revoke, Ordering::Relaxed);
    }

    /// The handling of a route, or of requests without one.
    pub(crate) fn handling(&self, route: Option<&gate::Route>) -> &Handling {
        // The last entry is for requests without a route.
        let last = self.handling.len() - 1;
        &self.handling[route.map_or(last, |route| route.id)]
    }

    /// The change channels, and whether each is up in all realms.
    pub(crate) fn channels(&self) -> BTreeMap<&'static str, bool> {
        let opened = self.realms.iter().filter_map(|realm| realm.stores.as_ref());
        let mut channels = BTreeMap::new();
        for (channel, is_up) in opened.flat_map(stores::Stores::channels) {
            *channels.entry(channel).or_insert(true) &= is_up;
        }
        channels
    }

    /// Whether any store has a change channel.
    pub(crate) fn has_channels(&self) -> bool {
        let mut opened = self.realms.iter().filter_map(|realm| realm.stores.as_ref());
        opened.any(stores::Stores::has_change_channels)
    }

    /// The lease of an exchange that may last for hours, with its session if it has one.
    pub(crate) fn lease<'l>(&self, handling: &Handling, session: Option<&Session>) -> Lease<'l> {
        let Some(session) = session else {
            return Lease::begin(None, None);
        };
        let realm = &self.gate.realms[handling.realm];
        let holder = Holder {
            realm: Arc::clone(&realm.name),
            user: session.subject().into(),
            session: session.id().into(),
            issued_at: session.signed_in_at(&realm.demands),
        };
        // The session may have been revoked since the decision. From here on, the lease is notified of revocations.
        let verdict = realm
            .revocations
            .verdict(session, &realm.demands, clock::now());
        if let RevocationVerdict::Revoked(_) = verdict {
            return Lease::ended(holder, LeaseEnd::SessionRevoked);
        }
        let ends = self.limits.session_end.is_some();
        let end = ends.then(|| leases::end_of(session, realm.demands.max_age));
        Lease::begin(Some(holder), end)
    }

    /// Waits for the first attempt to read the ACME certificates.
    pub(crate) async fn wait_for_certificates(&self) {
        if let Some(acme) = &self.acme {
            acme.wait_for_first_read().await;
        }
    }

    /// The session ticket keys, for the next process.
    pub(crate) fn tickets(&self) -> Vec<ListenerTickets> {
        let listeners = self.listeners.iter();
        listeners.filter_map(ListenerTerms::tickets).collect()
    }

    /// Waits for the first answer or failure of every token issuer. Returns whether all have answered.
    pub(crate) async fn wait_for_issuer_keys(&self) -> bool {
        let mut all_have = true;
        for realm in &self.realms {
            all_have &= realm.wait_for_issuer_keys().await;
        }
        all_have
    }

    /// Closes the running parts, such as stores and the keys of issuers.
    pub(crate) async fn close(&self) {
        self.close_all_but(None).await;
    }

    async fn close_all_but(&self, successor: Option<&Self>) {
        for superseded in self.superseded(successor) {
            superseded.close().await;
        }
    }

    /// The running parts that `successor` does not share.
    fn superseded_by(&self, successor: &Self) -> Vec<Superseded> {
        self.superseded(Some(successor))
    }

    fn superseded(&self, successor: Option<&Self>) -> Vec<Superseded> {
        let superseded = self.realms.iter().map(|realm| {
            let successor =
                successor.and_then(|successor| Opened::named(&successor.realms, realm.name()));
            realm.superseded_by(successor)
        });
        let theirs = successor.and_then(|successor| successor.acme.as_ref());
        let acme = self.acme.as_ref();
        let acme = acme.filter(|ours| theirs.is_none_or(|theirs| !Arc::ptr_eq(ours, theirs)));
        let theirs = successor.and_then(|successor| successor.shared_rates.as_ref());
        let rates = self.shared_rates.as_ref();
        let rates = rates.filter(|ours| theirs.is_none_or(|theirs| !Arc::ptr_eq(ours, theirs)));
        let theirs = successor.and_then(|successor| successor.revocations.as_ref());
        let revocations = self.revocations.as_ref();
        let revocations =
            revocations.filter(|ours| theirs.is_none_or(|theirs| !Arc::ptr_eq(ours, theirs)));
        let of_process =
            Superseded::of_process(acme.cloned(), rates.cloned(), revocations.cloned());
        superseded
            .chain([of_process])
            .filter(|superseded| !superseded.is_empty())
            .collect()
    }

    /// Waits until the changed parts have answered.
    async fn wait_for_answers(&self, before: &Self) -> Result<(), LiveError> {
        self.wait_for_certificates().await;
        for realm in &self.realms {
            let before = Opened::named(&before.realms, realm.name());
            realm.wait_for_answers(before).await?;
        }
        self.wait_for_revocations().await;
        // A store that was down before does not fail the reload.
        let was_down = before.knows_revocations() == Some(false);
        match self.knows_revocations() {
            Some(false) if !was_down => Err(LiveError::Revocations),
            Some(_) | None => Ok(()),
        }
    }
}
