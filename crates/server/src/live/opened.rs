//! A realm whose stores and keys are open.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gate::{Issuer, Realm};
use tokio::time::{sleep, timeout};

use super::read::Read;
use super::{LiveError, Surroundings};
use crate::config::RealmSettings;
use crate::jwks::{self, Keychain};
use crate::store::{self, StoreHealth, StoreOpenError, Stores, Users};

/// What of a realm runs, and what it was made of.
pub(crate) struct Opened {
    name: Arc<str>,
    /// What is asked about its users and sessions.
    pub(crate) stores: Option<Stores>,
    keychain: Option<Arc<Keychain>>,
    read: Read,
}

impl Opened {
    /// Opens what the realm needs. What has not changed since `before` is taken from there.
    ///
    /// # Errors
    /// When the stores cannot be opened. Servers that are down are no reason.
    pub(super) fn open(
        settings: RealmSettings,
        before: Option<&Self>,
        around: &Surroundings,
    ) -> Result<(Self, Realm<Users, store::Sessions>), StoreOpenError> {
        let read = Read::of(&settings.variables, &settings.settings);
        let changed = before.map(|before| read.changed_since(&before.read));
        let kept = |prefixes: &[&str]| {
            let begins = |name: &String| prefixes.iter().any(|prefix| name.starts_with(prefix));
            let is_same = !changed.as_ref()?.iter().any(begins);
            before.filter(|_| is_same)
        };
        let known = before.and_then(|before| before.stores.as_ref());
        let stores = match (settings.stores, known) {
            (Some(settings), Some(known)) if known.are_of(&settings) => Some(known.clone()),
            (Some(settings), _) => {
                let observer = Arc::clone(&around.metrics) as _;
                Some(Stores::open(&settings, &around.pools, observer)?)
            }
            (None, _) => None,
        };
        let open = |keys| Keychain::open(keys, &around.runtime, Arc::clone(&around.metrics));
        let (issuer, keychain) = match (settings.issuer, kept(&ISSUER)) {
            (Some(settings), before) => {
                let jwks::Settings {
                    keys,
                    demands,
                    check_user,
                } = settings;
                let known = before.and_then(|before| before.keychain.clone());
                let keychain = known.unwrap_or_else(|| open(keys));
                let issuer = Issuer {
                    keys: Arc::clone(&keychain) as _,
                    demands,
                    check_user,
                };
                (Some(issuer), Some(keychain))
            }
            (None, _) => (None, None),
        };
        let realm = Realm {
            name: Arc::clone(&settings.name),
            keys: settings.keys,
            demands: settings.demands,
            identity: settings.identity,
            active: settings.active,
            issuer,
            users: stores.as_ref().and_then(Stores::users),
            sessions: stores.as_ref().and_then(Stores::sessions),
        };
        let opened = Self {
            name: settings.name,
            stores,
            keychain,
            read,
        };
        Ok((opened, realm))
    }

    /// The realm's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The realm of this name.
    pub(super) fn named<'o>(all: &'o [Self], name: &str) -> Option<&'o Self> {
        all.iter().find(|opened| *opened.name == *name)
    }

    /// The names of settings that are not as they were, under the realm's name if it is not the default one.
    pub(super) fn changed_since(&self, before: Option<&Self>) -> BTreeSet<String> {
        let none = Read::default();
        let before = before.map_or(&none, |before| &before.read);
        let changed = self.read.changed_since(before).into_iter();
        let of_realm = |name: String| match &*self.name {
            DEFAULT => name,
            realm => format!("{realm}: {name}"),
        };
        changed.map(of_realm).collect()
    }

    /// Waits until what is new in it has answered: the issuer, and each store that answers now. A password with a slip of the
    /// hand must not take the place of one that works.
    pub(super) async fn proves_itself(&self, before: Option<&Self>) -> Result<(), LiveError> {
        let Some(before) = before else {
            return Ok(());
        };
        let (keychain, stores) = self.without(Some(before));
        if let Some(keychain) = keychain
            && !keychain.is_usable().await
        {
            return Err(LiveError::Issuer);
        }
        if let Some(stores) = &stores {
            stores.prove_columns().await?;
        }
        let (Some(new), Some(old)) = (stores, &before.stores) else {
            return Ok(());
        };
        let answering: Vec<_> = old.health().into_iter().filter(|store| store.up).collect();
        let is_missed =
            |new: &StoreHealth| !new.up && answering.iter().any(|old| old.source == new.source);
        let all_answer = async {
            while new.health().iter().any(is_missed) {
                sleep(BETWEEN_LOOKS).await;
            }
        };
        if timeout(LONGEST_PROOF, all_answer).await.is_err()
            && let Some(missed) = new.health().into_iter().find(is_missed)
        {
            return Err(LiveError::Store(missed));
        }
        Ok(())
    }

    /// Ends what runs for it and is not taken over by `successor`.
    pub(super) async fn close(&self, successor: Option<&Self>) {
        let (keychain, stores) = self.without(successor);
        if let Some(keychain) = keychain {
            keychain.close().await;
        }
        if let Some(stores) = stores {
            stores.close().await;
        }
    }

    /// What of this nobody else has: the keys and the stores that `other` has not taken over.
    fn without(&self, other: Option<&Self>) -> (Option<Arc<Keychain>>, Option<Stores>) {
        let theirs = other.and_then(|other| other.keychain.as_ref());
        let keychain = self.keychain.as_ref();
        let keychain =
            keychain.filter(|ours| theirs.is_none_or(|theirs| !Arc::ptr_eq(ours, theirs)));
        let theirs = other.and_then(|other| other.stores.as_ref());
        let stores = self.stores.as_ref();
        let stores = stores.filter(|ours| theirs.is_none_or(|theirs| !ours.is(theirs)));
        (keychain.cloned(), stores.cloned())
    }
}

/// What the names begin with on which the issuer's keys depend.
const ISSUER: [&str; 1] = ["BEARER_"];

/// The realm that the environment makes.
const DEFAULT: &str = "default";

/// How long the stores may take to answer with new settings. They are asked every other second.
const LONGEST_PROOF: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
