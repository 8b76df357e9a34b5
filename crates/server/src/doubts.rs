//! Puts leases in doubt when a store says that something has changed, so that their requests are decided again.
//!
//! Changes come in bursts, and each one costs a look at all leases of each runtime. So changes are collected for a moment.

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
pub(crate) struct Doubts {
    heard: Sender<Heard>,
    /// Whether there were more changes than could be collected, so that all leases are in doubt.
    too_many: Arc<AtomicBool>,
    _telling: AbortOnDropHandle<()>,
}

/// A change in one realm.
struct Heard {
    realm: Arc<str>,
    what: What,
}

#[derive(PartialEq, Eq, Hash)]
enum What {
    Everything,
    Session(Box<str>),
    User(Box<str>),
}

/// The listener for changes in one realm.
struct OfRealm {
    realm: Arc<str>,
    doubts: Arc<Doubts>,
}

impl Doubts {
    /// Starts to collect changes, in a task on `runtime`.
    pub(crate) fn open(runtime: &Handle) -> Arc<Self> {
        let (heard, words) = mpsc::channel(MOST_WORDS);
        let too_many = Arc::new(AtomicBool::new(false));
        let all = Arc::clone(&too_many);
        let telling = runtime.spawn(async move {
            let _part = vital::part("the doubts about long exchanges");
            tell(words, &all).await;
        });
        Arc::new(Self {
            heard,
            too_many,
            _telling: AbortOnDropHandle::new(telling),
        })
    }

    /// A listener for changes in the realm of this name.
    pub(crate) fn of(self: &Arc<Self>, realm: Arc<str>) -> Arc<dyn ChangeListener> {
        let doubts = Arc::clone(self);
        Arc::new(OfRealm { realm, doubts })
    }
}

impl ChangeListener for OfRealm {
    fn changed(&self, change: Change<'_>) {
        let what = match change {
            Change::Everything => What::Everything,
            Change::Session(id) => What::Session(id.into()),
            Change::User(id) => What::User(id.into()),
        };
        let heard = Heard {
            realm: Arc::clone(&self.realm),
            what,
        };
        if self.doubts.heard.try_send(heard).is_err() {
            self.doubts.too_many.store(true, Ordering::Release);
        }
    }
}

async fn tell(mut words: Receiver<Heard>, too_many: &AtomicBool) {
    while let Some(first) = words.recv().await {
        sleep(MOMENT).await;
        // Reset before the rest is taken, so that a change that finds no room from here on counts the next time.
        let everybody = too_many.swap(false, Ordering::AcqRel);
        let mut collected = Collected::default();
        collected.add(first);
        while let Ok(heard) = words.try_recv() {
            collected.add(heard);
        }
        leases::doubt_everywhere(move |holder| {
            everybody || holder.is_some_and(|holder| collected.concerns(holder))
        });
    }
}

/// The changes of a moment.
#[derive(Default)]
struct Collected {
    realms: HashSet<Arc<str>>,
    sessions: HashSet<(Arc<str>, Box<str>)>,
    users: HashSet<(Arc<str>, Box<str>)>,
}

impl Collected {
    fn add(&mut self, Heard { realm, what }: Heard) {
        match what {
            What::Everything => self.realms.insert(realm),
            What::Session(id) => self.sessions.insert((realm, id)),
            What::User(id) => self.users.insert((realm, id)),
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
const MOMENT: Duration = Duration::from_millis(2);

/// The most changes that wait. They take about 100 bytes each.
const MOST_WORDS: usize = 16_384;
