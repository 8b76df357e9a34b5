//! An open realm: its stores and keys.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gate::{Issuer, Realm, Revocations};
use tokio::time::{sleep, timeout};

use super::context::LiveContext;
use super::error::{ConfiguredColumnError, LiveError};
use crate::acme::Acme;
use crate::config::{ContentDigest, Place, RealmSettings, Setting};
use crate::jwks::{self, Keychain};
use crate::revocations::RevocationWatch;
use stores::{self, SharedRates, StoreHealth, StoreOpenError, Stores, UserChain};

/// The running parts of a realm, and the settings that they were made of.
pub(crate) struct Opened {
    name: Arc<str>,
    /// Where the file first names each column, or a whole table (its name with a dot).
    places: Vec<(String, Place)>,
    /// The stores of its users and sessions.
    pub(crate) stores: Option<Stores>,
    keychain: Option<Arc<Keychain>>,
    key_inputs: KeyInputs,
}

/// What an issuer's keys depend on: settings, fingerprints of secrets, and the contents of files.
#[derive(PartialEq, Eq)]
struct KeyInputs(Vec<(String, String, Option<ContentDigest>)>);

/// The running parts that are no longer needed.
pub(super) struct Superseded {
    acme: Option<Arc<Acme>>,
    rates: Option<Arc<SharedRates>>,
    revocations: Option<Arc<RevocationWatch>>,
    keychain: Option<Arc<Keychain>>,
    stores: Option<Stores>,
}

impl Opened {
    /// Opens the stores and keys of a realm. Parts that have not changed since `before` are taken from there.
    ///
    /// # Errors
    /// When the stores cannot be opened. A server that is down is not an error.
    pub(super) fn open(
        settings: RealmSettings,
        before: Option<&Self>,
        context: &LiveContext,
        revocations: Arc<Revocations>,
    ) -> Result<(Self, Realm<UserChain, stores::SessionChain>), StoreOpenError> {
        let known = before.and_then(|before| before.stores.as_ref());
        let name = Arc::clone(&settings.name);
        let stores = match (settings.stores, known) {
            (Some(settings), Some(known)) if known.match_settings(&settings) => Some(known.clone()),
            (Some(settings), _) => {
                let observer = Arc::clone(&context.metrics) as _;
                let listener = context.rechecks.of(Arc::clone(&name));
                Some(Stores::open(&settings, &context.pools, observer, listener)?)
            }
            (None, _) => None,
        };
        let key_inputs = KeyInputs::new(&settings.settings);
        let kept = before.filter(|before| before.key_inputs == key_inputs);
        let kept = kept.and_then(|before| before.keychain.clone());
        let issuer = settings.issuer.map(|issuer| {
            let jwks::Settings {
                keys,
                demands,
                check_user,
            } = issuer;
            let open = || {
                let (metrics, trial) =
                    (Arc::clone(&context.metrics), context.pools.trial().clone());
                Keychain::open(keys, &context.runtime, metrics, trial)
            };
            let keychain = kept.unwrap_or_else(open);
            let issuer = Issuer {
                keys: Arc::clone(&keychain) as _,
                demands,
                check_user,
            };
            (issuer, keychain)
        });
        let (issuer, keychain) = issuer.unzip();
        let realm = Realm {
            name: Arc::clone(&settings.name),
            keys: settings.keys,
            demands: settings.demands,
            identity: settings.identity,
            active: settings.active,
            issuer,
            users: stores.as_ref().and_then(Stores::users),
            sessions: stores.as_ref().and_then(Stores::sessions),
            revocations,
        };
        let opened = Self {
            name: settings.name,
            places: settings.places,
            stores,
            keychain,
            key_inputs,
        };
        Ok((opened, realm))
    }

    /// Waits for the first answer or failure of the realm's token issuer. Returns whether it has answered, or there is none.
    pub(super) async fn wait_for_issuer_keys(&self) -> bool {
        match &self.keychain {
            Some(keychain) => keychain.wait_until_usable().await,
            None => true,
        }
    }

    /// The realm's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The realm of this name.
    pub(super) fn named<'o>(all: &'o [Self], name: &str) -> Option<&'o Self> {
        all.iter().find(|opened| *opened.name == *name)
    }

    /// Waits until the changed parts have answered: the issuer, and each store that answers now. A mistyped password must
    /// not replace one that works.
    pub(super) async fn wait_for_answers(&self, before: Option<&Self>) -> Result<(), LiveError> {
        let Some(before) = before else {
            return Ok(());
        };
        let Superseded {
            acme: _,
            rates: _,
            revocations: _,
            keychain,
            stores,
        } = self.superseded_by(Some(before));
        if let Some(keychain) = keychain
            && !keychain.wait_until_usable().await
        {
            return Err(LiveError::Issuer);
        }
        if stores.is_some() {
            self.check_columns().await?;
        }
        let (Some(new), Some(old)) = (stores, &before.stores) else {
            return Ok(());
        };
        let answering: Vec<_> = old.health().into_iter().filter(|store| store.up).collect();
        let is_missed =
            |new: &StoreHealth| !new.up && answering.iter().any(|old| old.source == new.source);
        let all_answer = async {
            while new.health().iter().any(is_missed) {
                sleep(BETWEEN_CHECKS).await;
            }
        };
        if timeout(LONGEST_UNTIL_ANSWERS, all_answer).await.is_err()
            && let Some(missed) = new.health().into_iter().find(is_missed)
        {
            return Err(LiveError::Store(missed));
        }
        Ok(())
    }

    /// Checks that the tables have every configured column, if the database answers now.
    ///
    /// # Errors
    /// The first column that is missing or cannot be read.
    pub(super) async fn check_columns(&self) -> Result<(), ConfiguredColumnError> {
        let Some(stores) = &self.stores else {
            return Ok(());
        };
        let proven = stores.check_columns().await;
        proven.map_err(|error| ConfiguredColumnError::new(error, &self.places))
    }

    /// The running parts that `other` does not share.
    pub(super) fn superseded_by(&self, other: Option<&Self>) -> Superseded {
        let theirs = other.and_then(|other| other.keychain.as_ref());
        let keychain = self.keychain.as_ref();
        let keychain =
            keychain.filter(|ours| theirs.is_none_or(|theirs| !Arc::ptr_eq(ours, theirs)));
        let theirs = other.and_then(|other| other.stores.as_ref());
        let stores = self.stores.as_ref();
        let stores = stores.filter(|ours| theirs.is_none_or(|theirs| !ours.is(theirs)));
        Superseded {
            acme: None,
            rates: None,
            revocations: None,
            keychain: keychain.cloned(),
            stores: stores.cloned(),
        }
    }
}

impl KeyInputs {
    fn new(settings: &[Setting]) -> Self {
        let settings = settings.iter();
        let settings = settings.filter(|setting| KEYS.contains(&setting.name.as_str()));
        let inputs = settings.map(|Setting { name, shown, .. }| {
            // `None` for a URL.
            let content = ContentDigest::of_file(Path::new(shown));
            (name.clone(), shown.clone(), content)
        });
        Self(inputs.collect())
    }
}

impl Superseded {
    /// Adds the parts that belong to no realm: ACME, shared rate limits and revocations.
    pub(super) fn of_process(
        acme: Option<Arc<Acme>>,
        rates: Option<Arc<SharedRates>>,
        revocations: Option<Arc<RevocationWatch>>,
    ) -> Self {
        Self {
            acme,
            rates,
            revocations,
            keychain: None,
            stores: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        let Self {
            acme,
            rates,
            revocations,
            keychain,
            stores,
        } = self;
        (acme.is_none() && rates.is_none() && revocations.is_none())
            && (keychain.is_none() && stores.is_none())
    }

    /// Closes these parts.
    pub(super) async fn close(&self) {
        if let Some(acme) = &self.acme {
            acme.close().await;
        }
        if let Some(rates) = &self.rates {
            rates.close().await;
        }
        if let Some(revocations) = &self.revocations {
            revocations.close().await;
        }
        if let Some(keychain) = &self.keychain {
            keychain.close().await;
        }
        if let Some(stores) = &self.stores {
            stores.close().await;
        }
    }
}

/// The settings that determine the keys of a token issuer.
const KEYS: [&str; 3] = ["BEARER_JWKS", "BEARER_JWKS_CA_FILE", "BEARER_SECRET"];

/// How long the stores may take to answer with new settings. Their health is checked every two seconds.
const LONGEST_UNTIL_ANSWERS: Duration = Duration::from_secs(5);
const BETWEEN_CHECKS: Duration = Duration::from_millis(20);
