use std::path::Path;

use gate::Revocation;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);

fn user(id: &str, lasts: u64) -> RevocationEntry {
    RevocationEntry {
        realm: "default".to_owned(),
        revocation: Revocation {
            what: Revoked::User(id.into()),
            before: NOW,
            until: UnixTime::from_secs(NOW.secs() + lasts),
        },
        made: NOW,
        by: "ops".to_owned(),
        source: "cli".to_owned(),
        reason: "it's \"over\"; DROP TABLE".to_owned(),
    }
}

/// Opens a store in a file of this folder, as a gate does.
fn file(folder: &Path) -> (PathBuf, RevocationStore) {
    let path = folder.join("revocations.db");
    let store = RevocationStore(Kind::Sqlite(InSqlite::at(&path)));
    (path, store)
}

#[tokio::test]
async fn a_revocation_is_read_until_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    let (_, store) = file(folder.path());
    let (short, long) = (user("ada", 10), user("bob", 20));
    store.add(&short, NOW).await.unwrap();
    store.add(&long, NOW).await.unwrap();
    assert_eq!(store.load(NOW).await.unwrap(), [short, long.clone()]);
    let later = UnixTime::from_secs(NOW.secs() + 10);
    assert_eq!(store.load(later).await.unwrap(), [long]);
    let bob = Revoked::User("bob".into());
    assert!(!store.remove("other", &bob).await.unwrap());
    assert!(store.remove("default", &bob).await.unwrap());
    assert!(!store.remove("default", &bob).await.unwrap());
}

#[tokio::test]
async fn a_second_revocation_of_a_user_never_shortens_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (_, store) = file(folder.path());
    let first = user("ada", 20);
    store.add(&first, NOW).await.unwrap();
    let mut second = user("ada", 10);
    second.revocation.before = UnixTime::from_secs(NOW.secs() - 5);
    second.by = "other".to_owned();
    store.add(&second, NOW).await.unwrap();
    let both = RevocationEntry {
        by: "other".to_owned(),
        ..first
    };
    assert_eq!(store.load(NOW).await.unwrap(), [both]);
}

#[tokio::test]
async fn a_full_store_accepts_no_more_and_an_overfull_one_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, store) = file(folder.path());
    store.install().await.unwrap();
    let options = SqliteConnectOptions::new().filename(&path);
    let mut connection = options.connect().await.unwrap();
    let fill = "WITH RECURSIVE ids (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids WHERE id < ?1) \
                INSERT INTO revocations SELECT 'default', 'user', 'user-' || id, 1, ?2, 1, 'ops', 'cli', '' FROM ids";
    let until = i64::try_from(NOW.millis()).unwrap() + 60_000;
    let most = i64::try_from(MAX_REVOCATIONS).unwrap();
    let filled = sqlx::query(fill).bind(most).bind(until);
    filled.execute(&mut connection).await.unwrap();
    let refused = store.add(&user("ada", 60), NOW).await;
    assert!(matches!(
        refused,
        Err(RevocationStoreError::Full(LookupSource::Sqlite))
    ));
    store.add(&user("user-7", 60), NOW).await.unwrap();
    assert_eq!(store.load(NOW).await.unwrap().len(), MAX_REVOCATIONS);
    let more = "INSERT INTO revocations SELECT 'other', kind, id, before, until, made, made_by, source, reason \
                FROM revocations LIMIT 1";
    sqlx::query(more).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let read = store.load(NOW).await;
    assert!(matches!(
        read,
        Err(RevocationStoreError::TooMany(LookupSource::Sqlite))
    ));
}
