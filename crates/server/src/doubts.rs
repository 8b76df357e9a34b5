//! What is heard to have changed, for exchanges that last: they ask again whether they would be let in.
//!
//! Words come in bursts, and each runtime looks at all of its leases for each. So what comes within a moment is told together.

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

/// Collects what is heard, until it is dropped.
pub(crate) struct Doubts {
    heard: Sender<Heard>,
    /// Whether more was heard than could be collected, so that everybody is in doubt.
    too_many: Arc<AtomicBool>,
    _telling: AbortOnDropHandle<()>,
}

/// What concerns one realm.
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

/// Hears what changes in one realm.
struct OfRealm {
    realm: Arc<str>,
    doubts: Arc<Doubts>,
}

impl Doubts {
    /// Collects on `runtime`.
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

    /// Hears what changes in the realm of this name.
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
        // Before the rest is taken, so that what finds no room from here on is told the next time.
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

/// What was heard within a moment.
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

/// How long words are collected: much shorter than anybody notices.
const MOMENT: Duration = Duration::from_millis(2);

/// How many words wait at most; they take about 100 bytes each.
const MOST_WORDS: usize = 16_384;
