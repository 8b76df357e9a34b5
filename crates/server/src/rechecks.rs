//! Decides the requests of long exchanges again when a store announces a change.
//!
//! Changes come in bursts, and each one requires a search through all leases of each runtime. So changes are collected for a
//! short time.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::leases::{self, Holder};
use crate::vital;
use stores::{Change, ChangeListener};

/// Collects changes until it is dropped.
pub(crate) struct Rechecks {
    changes: Sender<RealmChange>,
    /// Whether there were more changes than could be collected, so that all leases need a recheck.
    too_many: Arc<AtomicBool>,
    _collecting: AbortOnDropHandle<()>,
}

/// A change in one realm.
struct RealmChange {
    realm: Arc<str>,
    what: ChangeScope,
}

#[derive(PartialEq, Eq, Hash)]
enum ChangeScope {
    Everything,
    Session(Box<str>),
    User(Box<str>),
}

/// The listener for changes in one realm.
struct RealmListener {
    realm: Arc<str>,
    rechecks: Arc<Rechecks>,
}

impl Rechecks {
    /// Starts to collect changes, in a task on `runtime`.
    pub(crate) fn open(runtime: &Handle) -> Arc<Self> {
        let (changes, receiver) = mpsc::channel(MAX_CHANGES);
        let too_many = Arc::new(AtomicBool::new(false));
        let all = Arc::clone(&too_many);
        let collecting = runtime.spawn(async move {
            let _part = vital::part("the rechecks of long exchanges");
            collect(receiver, &all).await;
        });
        Arc::new(Self {
            changes,
            too_many,
            _collecting: AbortOnDropHandle::new(collecting),
        })
    }

    /// A listener for changes in the realm of this name.
    pub(crate) fn of(self: &Arc<Self>, realm: Arc<str>) -> Arc<dyn ChangeListener> {
        let rechecks = Arc::clone(self);
        Arc::new(RealmListener { realm, rechecks })
    }
}

impl ChangeListener for RealmListener {
    fn changed(&self, changed: Change<'_>) {
        let what = match changed {
            Change::Everything => ChangeScope::Everything,
            Change::Session(id) => ChangeScope::Session(id.into()),
            Change::User(id) => ChangeScope::User(id.into()),
        };
        let change = RealmChange {
            realm: Arc::clone(&self.realm),
            what,
        };
        if self.rechecks.changes.try_send(change).is_err() {
            self.rechecks.too_many.store(true, Ordering::Release);
        }
    }
}

async fn collect(mut changes: Receiver<RealmChange>, too_many: &AtomicBool) {
    while let Some(first) = changes.recv().await {
        sleep(COLLECTING_TIME).await;
        // Reset before the rest is taken, so that a change that finds no room from here on counts the next time.
        let all = too_many.swap(false, Ordering::AcqRel);
        let mut collected = Collected::default();
        collected.add(first);
        while let Ok(change) = changes.try_recv() {
            collected.add(change);
        }
        leases::recheck_everywhere(move |holder| {
            all || holder.is_some_and(|holder| collected.concerns(holder))
        });
    }
}

/// The changes that were collected together.
#[derive(Default)]
struct Collected {
    realms: HashSet<Arc<str>>,
    sessions: HashSet<(Arc<str>, Box<str>)>,
    users: HashSet<(Arc<str>, Box<str>)>,
}

impl Collected {
    fn add(&mut self, RealmChange { realm, what }: RealmChange) {
        match what {
            ChangeScope::Everything => self.realms.insert(realm),
            ChangeScope::Session(id) => self.sessions.insert((realm, id)),
            ChangeScope::User(id) => self.users.insert((realm, id)),
        };
    }

    fn concerns(&self, holder: &Holder) -> bool {
        let Holder {
            realm,
            user,
            session,
            issued_at: _,
        } = holder;
        let is_among = |ids: &HashSet<(Arc<str>, Box<str>)>, id: &str| {
            !ids.is_empty() && ids.contains(&(Arc::clone(realm), Box::from(id)))
        };
        self.realms.contains(realm)
            || is_among(&self.users, user)
            || is_among(&self.sessions, session)
    }
}

/// How long changes are collected: too short to be noticed.
const COLLECTING_TIME: Duration = Duration::from_millis(2);

/// The most changes that wait. They take about 100 bytes each.
const MAX_CHANGES: usize = 16_384;
