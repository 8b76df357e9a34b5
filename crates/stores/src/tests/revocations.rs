//! Reading only the revocations that are new.

use std::collections::BTreeSet;

use gate::{Revocation, Revoked};

use super::columns::settings_reading;
use super::*;
use crate::{
    ChangedRevocations, RevocationEntry, RevocationKey, RevocationMark, RevocationNews,
    RevocationPlace, RevocationStore,
};

/// A revocation of this user, made now, that lasts this many seconds.
fn entry(id: &str, lasts: u64) -> RevocationEntry {
    let now = clock::now();
    RevocationEntry {
        realm: "default".to_owned(),
        revocation: Revocation {
            what: Revoked::User(id.into()),
            before: now,
            until: now.saturating_add(Duration::from_secs(lasts)),
        },
        made: now,
        by: "ops".to_owned(),
        source: "cli".to_owned(),
        reason: String::new(),
    }
}

fn keys(ids: &[&str]) -> BTreeSet<RevocationKey> {
    ids.iter().map(|id| entry(id, 60).key()).collect()
}

fn news(ids: &[&str]) -> RevocationNews {
    RevocationNews {
        keys: keys(ids),
        ..RevocationNews::default()
    }
}

async fn add(store: &RevocationStore, id: &str, lasts: u64) {
    store.add(&entry(id, lasts), clock::now()).await.unwrap();
}

async fn remove(store: &RevocationStore, id: &str) {
    let what = Revoked::User(id.into());
    assert!(store.remove("default", &what).await.unwrap());
}

/// Looks up the users that `news` is about, and whether each is revoked. `None` when the whole list must be read.
async fn changes(
    store: &RevocationStore,
    news: &RevocationNews,
    mark: &mut RevocationMark,
) -> Option<Vec<(String, bool)>> {
    let id = |what: &Revoked| match what {
        Revoked::User(id) => id.to_string(),
        Revoked::All | Revoked::Session(_) => panic!("{what:?}"),
    };
    let changed = store
        .read_changes(news, mark, clock::now())
        .await
        .unwrap()?;
    Some(match changed {
        ChangedRevocations::Added(entries) => {
            let entries = entries.iter();
            entries.map(|it| (id(&it.revocation.what), true)).collect()
        }
        ChangedRevocations::Now(entries) => {
            let entries = entries.iter();
            entries
                .map(|(key, it)| (id(&key.what), it.is_some()))
                .collect()
        }
    })
}

fn found(users: &[(&str, bool)]) -> Option<Vec<(String, bool)>> {
    let users = users.iter();
    Some(users.map(|(id, is)| ((*id).to_owned(), *is)).collect())
}

/// The contract of stores in which each revocation is read by its key.
async fn check_reading_by_key(store: &RevocationStore) {
    for id in ["ada", "bob"] {
        add(store, id, 60).await;
    }
    let (_, mut mark) = store.load_marked(clock::now()).await.unwrap();
    add(store, "eve", 60).await;
    remove(store, "ada").await;
    // An expired revocation has no effect.
    add(store, "old", 0).await;
    let named = news(&["ada", "bob", "eve", "old", "x'; DROP TABLE"]);
    let now = [("ada", false), ("bob", true), ("eve", true), ("old", false)];
    let now = [&now[..], &[("x'; DROP TABLE", false)]].concat();
    assert_eq!(changes(store, &named, &mut mark).await, found(&now));
    assert_eq!(changes(store, &news(&[]), &mut mark).await, found(&[]));
    let everything = RevocationNews {
        everything: true,
        ..named
    };
    assert_eq!(changes(store, &everything, &mut mark).await, None);
}

#[tokio::test]
async fn new_revocations_in_postgresql_are_read_by_key() {
    let server = Postgres::start().await.unwrap();
    let settings = settings_reading(postgres(&server), []).database.unwrap();
    let store = RevocationStore::open(&RevocationPlace::Postgres(Box::new(settings)), &pools());
    store.install().await.unwrap();
    check_reading_by_key(&store).await;
    store.close().await;
}

#[tokio::test]
async fn new_revocations_in_a_file_are_read_by_key() {
    let folder = tempfile::tempdir().unwrap();
    let place = RevocationPlace::Sqlite(folder.path().join("revocations.db"));
    check_reading_by_key(&RevocationStore::open(&place, &pools())).await;
}

#[tokio::test]
async fn new_revocations_in_redis_are_found_unless_others_have_changed() {
    let server = Redis::start().await.unwrap();
    let place = RevocationPlace::Redis(redis(&server.url()));
    let pools = pools();
    let [store, other] = [(); 2].map(|()| RevocationStore::open(&place, &pools));
    let none = RevocationNews::default();
    let (_, mut mark) = store.load_marked(clock::now()).await.unwrap();
    add(&other, "ada", 60).await;
    // An empty list has no highest score, so the whole list must be read.
    assert_eq!(changes(&store, &none, &mut mark).await, None);

    let (_, mut mark) = store.load_marked(clock::now()).await.unwrap();
    assert_eq!(changes(&store, &none, &mut mark).await, found(&[]));
    add(&other, "bob", 60).await;
    add(&other, "eve", 60).await;
    let added = found(&[("bob", true), ("eve", true)]);
    assert_eq!(changes(&store, &none, &mut mark).await, added);
    assert_eq!(changes(&store, &none, &mut mark).await, found(&[]));

    // A removed revocation is noticed wherever it was in the list, even if another one takes its place.
    remove(&other, "bob").await;
    add(&other, "joe", 60).await;
    assert_eq!(changes(&store, &none, &mut mark).await, None);
    let (_, mut mark) = store.load_marked(clock::now()).await.unwrap();
    add(&other, "long", 3600).await;
    assert_eq!(
        changes(&store, &none, &mut mark).await,
        found(&[("long", true)])
    );
    remove(&other, "ada").await;
    assert_eq!(changes(&store, &none, &mut mark).await, None);

    // A revocation is also noticed if another node keeps it for a shorter time, or has a clock that is slow.
    let (_, mut mark) = store.load_marked(clock::now()).await.unwrap();
    add(&other, "short", 60).await;
    assert_eq!(changes(&store, &none, &mut mark).await, None);

    // An expired revocation is neither missed nor new.
    add(&other, "brief", 10).await;
    let (_, mut mark) = store.load_marked(clock::now()).await.unwrap();
    add(&other, "longer", 3600).await;
    let later = clock::now().saturating_add(Duration::from_secs(11));
    let changed = store.read_changes(&none, &mut mark, later).await.unwrap();
    let Some(ChangedRevocations::Added(added)) = changed else {
        panic!("{changed:?}");
    };
    let added: Vec<_> = added.iter().map(RevocationEntry::key).collect();
    assert_eq!(added, [entry("longer", 0).key()]);

    server.cli(["FLUSHALL"]).await.unwrap();
    assert_eq!(changes(&store, &none, &mut mark).await, None);
    store.close().await;
    other.close().await;
}
