//! Reads where revocations are stored, and for how long.

use std::path::PathBuf;

use super::reader::Reader;
use super::stores;
use super::words::nearest;
use ::stores::{RevocationPlace, RevocationSettings};

/// Reads the settings. `stores` are those of the top level. `None` if there is no store of revocations.
pub(super) fn read(
    reader: &mut Reader<'_>,
    stores: Option<&::stores::Settings>,
) -> Option<RevocationSettings> {
    let Some(place) = reader.text(STORE) else {
        let why = "REVOCATION_STORE is not set";
        reader.warn_about_unused("SIGN_IN_TIME_CLAIM", why);
        return None;
    };
    let place = self::place(reader, &place, stores);
    let interval = reader.limit("REVOCATION_INTERVAL", 5);
    let keep = reader.limit("REVOCATION_TTL", 30 * 24 * 60 * 60);
    let max_stale = reader.limit(MAX_STALE, 60);
    if max_stale <= interval {
        let (limit, interval) = (max_stale.as_secs(), interval.as_secs());
        let what = format!(
            "it is {limit}, but the list is read only every {interval} seconds (REVOCATION_INTERVAL), so every list \
             would be too old; use a larger value"
        );
        reader.problem(MAX_STALE, what);
    }
    Some(RevocationSettings {
        place: place?,
        interval,
        keep,
        max_stale,
    })
}

/// The warning that `REVOCATION_MAX_STALE` limits `STALE_IF_DOWN` if the database also stores the revocations.
pub(super) fn warning<'s>(
    settings: &RevocationSettings,
    mut stores: impl Iterator<Item = &'s ::stores::Settings>,
) -> Option<String> {
    let RevocationPlace::Postgres(list) = &settings.place else {
        return None;
    };
    let is_cut_short = |stores: &::stores::Settings| {
        let database = stores.database.as_ref();
        let is_same = database.is_some_and(|database| database.url == list.url);
        is_same && stores.stale_if_down > settings.max_stale
    };
    let limit = settings.max_stale.as_secs();
    stores.any(is_cut_short).then(|| {
        format!(
            "STALE_IF_DOWN is limited by REVOCATION_MAX_STALE, {limit} s: with REVOCATION_STORE=postgres, revocations \
             are in the database that is down. Store them in Redis or in a file, or raise REVOCATION_MAX_STALE"
        )
    })
}

fn place(
    reader: &mut Reader<'_>,
    text: &str,
    stores: Option<&::stores::Settings>,
) -> Option<RevocationPlace> {
    match text {
        "postgres" => {
            let advice = "give the path of a SQLite file of the gate's own";
            let database = stores::shared_database(reader, stores, STORE, advice)?;
            Some(RevocationPlace::Postgres(Box::new(database)))
        }
        "redis" => {
            let redis = stores::shared_redis(reader, stores);
            // Problems of these settings are reported already.
            let is_reported = reader.is_set("REDIS_URL") || reader.is_set("REDIS_HOST");
            if redis.is_none() && !is_reported {
                let what = "`redis` needs a Redis server: set REDIS_URL to a redis:// URL, or set REDIS_HOST";
                reader.problem(STORE, what);
            }
            redis.map(RevocationPlace::Redis)
        }
        text if text.contains("://") => {
            let what = "it is a URL; write `postgres` for the database in DATABASE_URL, `redis` for the server in \
                 REDIS_URL, or the path of a file";
            reader.problem(STORE, what);
            None
        }
        // A bare word is more likely a typo than a file in the working directory.
        word if !word.contains('/') => {
            let known = ["postgres", "redis"].map(str::to_owned);
            let meant = nearest(&word.to_ascii_lowercase(), &known);
            let meant = meant.map_or_else(
                || ".".to_owned(),
                |meant| format!("; did you mean `{meant}`?"),
            );
            let what = format!(
                "`{word}` is neither `postgres` nor `redis`, nor a path with a slash{meant} For a file in the working \
                 directory write `./{word}`; to store no revocations, remove the setting"
            );
            reader.problem(STORE, what);
            None
        }
        path => {
            let path = PathBuf::from(path);
            if path.is_dir() {
                reader.problem(STORE, "it is a folder; give the path of a file");
                return None;
            }
            Some(RevocationPlace::Sqlite(path))
        }
    }
}

const STORE: &str = "REVOCATION_STORE";
const MAX_STALE: &str = "REVOCATION_MAX_STALE";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Config, Variables};
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Option<RevocationSettings>, String> {
        let base = [
            ("UPSTREAM", "http://127.0.0.1:3000"),
            ("AUTH_SECRET", "kW9tZ3mQ7xL2vB8nR4pJ6sD1fG5hC0yA"),
        ];
        let pairs = base.iter().chain(pairs);
        let pairs = pairs.map(|(name, value)| (*name, (*value).to_owned()));
        let config = Config::from_variables(&Variables::default().with(pairs));
        let config = config.map_err(|errors| errors.to_string())?;
        Ok(config.revocations)
    }

    const POSTGRES: (&str, &str) = ("REVOCATION_STORE", "postgres");
    const REDIS: (&str, &str) = ("REVOCATION_STORE", "redis");

    #[test]
    fn store_alone_is_enough() {
        assert_eq!(read(&[]), Ok(None));
        let file = read(&[("REVOCATION_STORE", "/var/lib/sessiongate/revocations.db")]);
        let file = file.unwrap().unwrap();
        assert_eq!(file.interval, Duration::from_secs(5));
        assert_eq!(file.max_stale, Duration::from_secs(60));
        assert_eq!(file.keep, Duration::from_secs(2_592_000));
        let path = PathBuf::from("/var/lib/sessiongate/revocations.db");
        assert_eq!(file.place, RevocationPlace::Sqlite(path));
        let postgres = read(&[POSTGRES, ("DATABASE_URL", "postgres://gate@db/app")]);
        let postgres = postgres.unwrap().unwrap();
        assert!(matches!(postgres.place, RevocationPlace::Postgres(_)));
        let redis = read(&[REDIS, ("REDIS_URL", "redis://cache")]);
        let redis = redis.unwrap().unwrap();
        assert!(matches!(redis.place, RevocationPlace::Redis(_)));
    }

    #[test]
    fn impossible_revocation_settings_are_reported() {
        let file = ("REVOCATION_STORE", "./revocations.db");
        let sqlite = ("DATABASE_URL", "sqlite:///users.db");
        for (pairs, expected) in [
            (&[POSTGRES][..], "REVOCATION_STORE is `postgres`"),
            (
                &[POSTGRES, sqlite],
                "the path of a SQLite file of the gate's own",
            ),
            (&[REDIS], "`redis` needs a Redis server"),
            (&[("REVOCATION_STORE", "redis://cache")], "it is a URL"),
            (&[("REVOCATION_STORE", "/")], "it is a folder"),
            (
                &[("REVOCATION_STORE", "Postgress")],
                "`Postgress` is neither `postgres` nor `redis`, nor a path with a slash; did you mean `postgres`? For a file",
            ),
            (
                &[("REVOCATION_STORE", "off")],
                "nor a path with a slash. For a file",
            ),
            (&[file, ("REVOCATION_INTERVAL", "0")], "use at least 1"),
            (&[file, ("REVOCATION_TTL", "0")], "use at least 1"),
            (&[file, ("REVOCATION_MAX_STALE", "5")], "it is 5"),
        ] {
            let error = read(pairs).expect_err(expected);
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
