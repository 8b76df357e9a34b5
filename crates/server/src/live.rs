//! What a reload replaces: everything that was read from secrets and certificate files, in one value.
//!
//! The variables of a process do not change while it runs, but the files that they name do. So a reload reads the
//! configuration again, as at start-up, and puts what is made of it in the place of what there was, as a whole or not at all.
//! Requests that are under way go on with what they began with. Stores and the issuer's keys stay as they are, with their
//! connections and caches, unless something that they depend on has changed.

mod reload;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use gate::{Gate, Issuer};
use percent_encoding::percent_decode_str;
use session::Secret;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

pub(crate) use self::reload::Reload;
use crate::config::{Config, Setting, Variables};
use crate::jwks::Keychain;
use crate::metrics::Metrics;
use crate::store::{StoreHealth, StoreOpenError, Stores, Users};
use crate::{jwks, store};

/// What a reload replaces.
pub(crate) struct Live {
    /// What decides.
    pub(crate) gate: Gate<Users, store::Sessions>,
    /// What the admin listener demands.
    pub(crate) admin_token: Option<Secret>,
    /// What the gate asks, for health and metrics.
    pub(crate) stores: Option<Stores>,
    keychain: Option<Arc<Keychain>>,
    /// What it was made of, to see what has changed.
    read: Read,
}

/// What was read: the settings, secrets as fingerprints; and what is in files that are not secrets.
#[derive(Debug, Default)]
struct Read {
    settings: BTreeSet<(String, String)>,
    warnings: Vec<String>,
}

/// Why there is nothing live.
#[derive(Debug, Error)]
pub(crate) enum LiveError {
    /// The issuer does not answer as it is now asked.
    #[error("BEARER_JWKS: the issuer's keys cannot be had; the log says why")]
    Issuer,
    /// A store that answers does not do so with the new settings.
    #[error("{} does not answer with the new settings: {}", .0.source.as_str(), .0.detail.as_deref().unwrap_or("no reason given"))]
    Store(StoreHealth),
    /// The stores cannot be opened.
    #[error(transparent)]
    Stores(#[from] StoreOpenError),
}

/// Where things that are live run, and what counts how they fare.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) runtime: Handle,
    pub(crate) metrics: Arc<Metrics>,
}

impl Live {
    /// Makes it of a configuration, which is what `variables` say. What has not changed since `before` is taken from there.
    ///
    /// # Errors
    /// When the stores cannot be opened. Servers that are down are no reason.
    pub(crate) fn open(
        variables: &Variables,
        config: Config,
        before: Option<&Self>,
        around: &Surroundings,
    ) -> Result<Self, StoreOpenError> {
        let read = Read::of(variables, &config);
        let changed = before.map(|before| read.changed_since(&before.read));
        let kept = |prefixes: &[&str]| {
            let begins = |name: &String| prefixes.iter().any(|prefix| name.starts_with(prefix));
            let is_same = !changed.as_ref()?.iter().any(begins);
            before.filter(|_| is_same)
        };
        let stores = match (config.stores, kept(&STORES)) {
            (Some(_), Some(before)) => before.stores.clone(),
            (Some(settings), None) => {
                let observer = Arc::clone(&around.metrics) as _;
                Some(Stores::open(settings, around.runtime.clone(), observer)?)
            }
            (None, _) => None,
        };
        let open = |keys| Keychain::open(keys, &around.runtime, Arc::clone(&around.metrics));
        let (issuer, keychain) = match (config.issuer, kept(&ISSUER)) {
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
        let gate = Gate {
            policy: config.policy,
            keys: config.keys,
            demands: config.demands,
            identity: config.identity,
            issuer,
            users: stores.as_ref().and_then(Stores::users),
            sessions: stores.as_ref().and_then(Stores::sessions),
            bypass: config.bypass,
            passes_preflight: config.passes_preflight,
            hygiene: config.hygiene,
        };
        Ok(Self {
            gate,
            admin_token: config.admin.token,
            stores,
            keychain,
            read,
        })
    }

    /// With this gate, and nothing around it.
    #[cfg(test)]
    pub(crate) fn only(gate: Gate<Users, store::Sessions>) -> Self {
        Self {
            gate,
            admin_token: None,
            stores: None,
            keychain: None,
            read: Read::default(),
        }
    }

    /// Ends what runs for it.
    pub(crate) async fn close(&self) {
        close(self.keychain.as_deref(), self.stores.as_ref()).await;
    }

    /// Waits until what is new in it has answered: the issuer, and each store that answers now. A password with a slip of the
    /// hand must not take the place of one that works.
    async fn proves_itself(&self, before: &Self) -> Result<(), LiveError> {
        let (keychain, stores) = self.without(before);
        if let Some(keychain) = keychain
            && !keychain.is_usable().await
        {
            return Err(LiveError::Issuer);
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

    /// What of this nobody else has: the keys and the stores that `other` has not taken over.
    fn without(&self, other: &Self) -> (Option<Arc<Keychain>>, Option<Stores>) {
        let (theirs, ours) = (other.keychain.as_ref(), self.keychain.as_ref());
        let keychain = ours.filter(|ours| theirs.is_none_or(|theirs| !Arc::ptr_eq(ours, theirs)));
        let (theirs, ours) = (other.stores.as_ref(), self.stores.as_ref());
        let stores = ours.filter(|ours| theirs.is_none_or(|theirs| !ours.is(theirs)));
        (keychain.cloned(), stores.cloned())
    }
}

async fn close(keychain: Option<&Keychain>, stores: Option<&Stores>) {
    if let Some(keychain) = keychain {
        keychain.close().await;
    }
    if let Some(stores) = stores {
        stores.close().await;
    }
}

impl Read {
    fn of(variables: &Variables, config: &Config) -> Self {
        let settings = config.settings.iter();
        let shown = settings
            .clone()
            .map(|Setting { name, shown, .. }| (name.clone(), shown.clone()));
        let is_file = |name: &str| name.ends_with("_CA_FILE") || name == "BEARER_JWKS";
        let named = settings.filter(|setting| is_file(&setting.name));
        let named = named.map(|Setting { name, shown, .. }| (name.clone(), shown.clone()));
        let url = "DATABASE_URL";
        let in_url = match (variables.get(url), variables.get(&format!("{url}_FILE"))) {
            (Some(text), _) => certificates_in(text),
            (None, Some(path)) => certificates_in(&fs::read_to_string(path).unwrap_or_default()),
            (None, None) => Vec::new(),
        };
        let in_url = in_url.into_iter().map(|path| (url.to_owned(), path));
        let contents = named.chain(in_url).filter_map(|(name, path)| {
            // One that cannot be read, or is a URL, is for others to report.
            let content = Secret::new(fs::read(&path).ok()?);
            Some((name, format!("{path}: {content}")))
        });
        Self {
            settings: shown.chain(contents).collect(),
            warnings: config.warnings.clone(),
        }
    }

    /// The names of settings that are not as they were.
    fn changed_since(&self, before: &Self) -> BTreeSet<String> {
        let differing = self.settings.symmetric_difference(&before.settings);
        differing.map(|(name, _)| name.clone()).collect()
    }
}

/// The certificate files that a URL of PostgreSQL names in its parameters.
fn certificates_in(url: &str) -> Vec<String> {
    let parameters = url.trim().rsplit_once('?').map_or("", |(_, after)| after);
    let parameters = parameters
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    let files = parameters.filter(|(name, _)| {
        let same = |file: &&str| name.eq_ignore_ascii_case(file);
        CERTIFICATES.iter().any(same)
    });
    let path = |path| percent_decode_str(path).decode_utf8_lossy().into_owned();
    files.map(|(_, value)| path(value)).collect()
}

/// The parameters of libpq, and the names by which sqlx takes them too.
const CERTIFICATES: [&str; 6] = [
    "sslrootcert",
    "ssl-root-cert",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
];

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

struct Holder(Arc<Live>);

impl Deref for Current {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.0.0
    }
}

impl View {
    /// A view of what is in `shared`, now and later.
    pub(crate) fn of(shared: Shared) -> Self {
        let mut latest = Cache::new(shared);
        let current = Current(Rc::new(Holder(Arc::clone(latest.load()))));
        Self(RefCell::new(Seen { latest, current }))
    }

    /// What is live now, for one request.
    pub(crate) fn current(&self) -> Current {
        let Seen { latest, current } = &mut *self.0.borrow_mut();
        let latest = latest.load();
        if !Arc::ptr_eq(latest, &current.0.0) {
            *current = Current(Rc::new(Holder(Arc::clone(latest))));
        }
        current.clone()
    }
}

/// What the names begin with on which stores depend, and the issuer's keys.
const STORES: [&str; 3] = ["DATABASE_", "POSTGRES_", "REDIS_"];
const ISSUER: [&str; 1] = ["BEARER_"];

/// How long the stores may take to answer with new settings. They are asked every other second.
const LONGEST_PROOF: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_files_are_found_in_a_url() {
        let url = "postgres://u:p?@h/db?sslmode=verify-full&SSLRootCert=/a%20b.pem&sslkey=/k\n";
        assert_eq!(certificates_in("postgres://u:p@h/db"), [""; 0]);
        assert_eq!(certificates_in(&url.replace("p?", "p")), ["/a b.pem", "/k"]);
        assert_eq!(certificates_in(url), ["/a b.pem", "/k"]);
    }
}
