//! A real Redis: the rights of its users, and its behavior when it is full.

use anyhow::Result;
use harness::{Postgres, Redis, RedisCluster, RedisVersion};

use super::super::{Outcome, SECRET};
use super::{doctor_of_stores, finding_text, ids};

/// Runs `doctor` with this Redis and a database without flaws.
fn of(postgres: &Postgres, redis: &str) -> Outcome {
    doctor_of_stores(["--ignore", "database-superuser"])
        .env("AUTH_SECRET", SECRET)
        .env("ENABLE_DB_CHECK", "true")
        .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
        .env("REDIS_URL", redis)
        .run()
}

async fn database() -> Result<Postgres> {
    let postgres = Postgres::start().await?;
    postgres
        .execute("CREATE TABLE users (id text PRIMARY KEY)")
        .await?;
    Ok(postgres)
}

/// Creates the user `gate` with exactly these rights; returns the URL to connect with.
async fn allow(redis: &Redis, rights: &[&str]) -> Result<String> {
    redis
        .cli(["ACL", "SETUSER", "gate", "reset", "on", ">hidden-password"])
        .await?;
    for right in rights {
        redis.cli(["ACL", "SETUSER", "gate", right]).await?;
    }
    Ok(redis.url_of("gate", "hidden-password"))
}

#[tokio::test]
async fn missing_and_unneeded_redis_rights_are_named() -> Result<()> {
    let (postgres, redis) = (database().await?, Redis::start().await?);
    for (rights, found, seen) in [
        (
            "+getrange +set +pttl +del +evalsha +eval ~auth:*",
            &["redis-policy-unknown"][..],
            "",
        ),
        (
            "+getrange +set +pttl +del +evalsha +eval +info ~auth:*",
            &[],
            "",
        ),
        (
            "+getrange +pttl +del +evalsha +eval +info ~auth:*",
            &["redis-rights-missing"],
            "refused SET: NOPERM",
        ),
        (
            "+getrange +set +pttl +del +eval +info ~auth:*",
            &["redis-rights-missing"],
            "refused EVALSHA: NOPERM",
        ),
        (
            "+getrange +set +pttl +evalsha +eval +info ~auth:*",
            &["redis-rights-missing"],
            "refused DEL: NOPERM",
        ),
        (
            "+getrange +set +del +evalsha +eval +info ~auth:*",
            &["redis-rights-missing"],
            "refused PTTL: NOPERM",
        ),
        (
            "+getrange +set +pttl +del +evalsha +eval +info %R~auth:*",
            &["redis-rights-missing"],
            "refused SET: NOPERM",
        ),
        (
            "+set +pttl +del +evalsha +eval +info ~auth:*",
            &["redis-rights-missing"],
            "refused GETRANGE: NOPERM",
        ),
        (
            "+getrange +set +pttl +del +evalsha +eval +info ~auth:* %R~*",
            &["redis-rights-many"],
            "may read keys",
        ),
        (
            "+@all ~*",
            &["redis-rights-many"],
            "may read and write keys",
        ),
    ] {
        let rights: Vec<_> = rights.split(' ').collect();
        let url = allow(&redis, &rights).await?;
        let outcome = of(&postgres, &url);
        assert_eq!(ids(&outcome), found, "{rights:?}: {outcome:?}");
        if !seen.is_empty() {
            let all = finding_text(&outcome, found[0], "seen");
            assert!(all.contains(seen), "{rights:?}: {all}");
        }
        assert!(!outcome.stdout.contains("hidden-password"), "{outcome:?}");
    }
    assert_eq!(redis.cli(["DBSIZE"]).await?, "0", "nothing is written");
    let stats = redis.cli(["INFO", "persistence"]).await?;
    assert!(stats.contains("rdb_changes_since_last_save:0"), "{stats}");
    Ok(())
}

#[tokio::test]
async fn the_advised_redis_rights_are_sufficient() -> Result<()> {
    let (postgres, redis) = (database().await?, Redis::start().await?);
    let url = allow(&redis, &["+get"]).await?;
    let outcome = of(&postgres, &url);
    let advice = finding_text(&outcome, "redis-rights-missing", "advice");
    let command = advice.split('`').nth(1).expect("a command");
    assert_eq!(
        command,
        "ACL SETUSER gate reset on >PASSWORD +getrange +set +pttl +del +evalsha +eval ~auth:*"
    );
    let words: Vec<_> = command.split(' ').collect();
    let words: [&str; 13] = words.try_into().expect("thirteen words");
    redis.cli(words).await?;
    let outcome = of(&postgres, &redis.url_of("gate", "PASSWORD"));
    assert_eq!(ids(&outcome), ["redis-policy-unknown"], "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn rights_for_tracking_are_checked() -> Result<()> {
    let (postgres, redis) = (database().await?, Redis::start().await?);
    let tracking = |url: &str| {
        doctor_of_stores(["--ignore", "database-superuser"])
            .env("AUTH_SECRET", SECRET)
            .env("ENABLE_DB_CHECK", "true")
            .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
            .env("REDIS_URL", url)
            .env("REDIS_TRACKING", "true")
            .run()
    };
    let url = allow(&redis, &["+getrange", "+set", "+info", "~auth:*"]).await?;
    let outcome = tracking(&url);
    let seen = finding_text(&outcome, "redis-rights-missing", "seen");
    assert!(seen.contains("refused CLIENT TRACKING: NOPERM"), "{seen}");
    let advice = finding_text(&outcome, "redis-rights-missing", "advice");
    assert!(
        advice.contains("+eval +client|tracking ~auth:*"),
        "{advice}"
    );
    let rights = "+getrange +set +pttl +del +evalsha +eval +client|tracking +info ~auth:*";
    let rights: Vec<_> = rights.split(' ').collect();
    let outcome = tracking(&allow(&redis, &rights).await?);
    assert_eq!(ids(&outcome), [""; 0], "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn a_redis_that_refuses_writes_is_named() -> Result<()> {
    let (postgres, redis) = (
        database().await?,
        Redis::options().maxmemory("1").start().await?,
    );
    let rights = "+getrange +set +pttl +del +evalsha +eval +info ~auth:*";
    let rights: Vec<_> = rights.split(' ').collect();
    let url = allow(&redis, &rights).await?;
    let outcome = of(&postgres, &url);
    assert_eq!(
        ids(&outcome),
        ["redis-takes-no-writes", "redis-refuses-when-full"],
        "{outcome:?}"
    );
    assert_eq!(
        finding_text(&outcome, "redis-takes-no-writes", "seen"),
        "refused SET: OOM"
    );
    Ok(())
}

#[tokio::test]
async fn a_redis_with_sessions_must_not_evict_them() -> Result<()> {
    let redis = Redis::options().maxmemory("100mb").start().await?;
    redis
        .cli(["CONFIG", "SET", "maxmemory-policy", "volatile-lru"])
        .await?;
    let url = allow(
        &redis,
        &["+getrange", "+set", "+info", "~auth:*", "%R~better-auth:*"],
    )
    .await?;
    let outcome = doctor_of_stores([])
        .env("BETTER_AUTH_SECRET", SECRET)
        .env("SESSION_FORMAT", "better-auth")
        .env("SESSION_STORE", "redis")
        .env("REDIS_URL", url)
        .run();
    assert_eq!(ids(&outcome), ["redis-evicts-sessions"], "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn a_redis_that_does_not_answer_is_a_problem() -> Result<()> {
    let (postgres, mut redis) = (database().await?, Redis::start().await?);
    let wrong = allow(&redis, &["+@all", "~*"])
        .await?
        .replace("hidden", "wrong");
    let outcome = of(&postgres, &wrong);
    assert_eq!(ids(&outcome), ["redis-unreachable"], "{outcome:?}");
    assert!(!outcome.stdout.contains("wrong-password"), "{outcome:?}");
    redis.stop();
    let outcome = of(&postgres, &redis.url());
    assert_eq!(
        (ids(&outcome), outcome.code),
        (vec!["redis-unreachable".to_owned()], Some(1))
    );
    Ok(())
}

/// Runs `doctor` with a Redis that is used only for rate limits.
fn of_limits(redis: &str) -> Outcome {
    doctor_of_stores([])
        .env("AUTH_SECRET", SECRET)
        .env("RATE_LIMIT_SHARED", "true")
        .env("REDIS_URL", redis)
        .run()
}

#[tokio::test]
async fn rights_for_shared_limits_are_checked_if_limits_are_shared() -> Result<()> {
    let mut redis = Redis::start().await?;
    let url = allow(&redis, &["+getrange", "+set", "+eval", "~auth:*"]).await?;
    let outcome = of_limits(&url);
    assert_eq!(ids(&outcome), ["redis-rights-missing"], "{outcome:?}");
    let seen = finding_text(&outcome, "redis-rights-missing", "seen");
    for (command, is_refused) in [("EVALSHA", true), ("EVAL", false), ("TIME", true)] {
        let refusal = format!("refused {command}: NOPERM");
        assert_eq!(seen.contains(&refusal), is_refused, "{seen}");
    }
    let advice = finding_text(&outcome, "redis-rights-missing", "advice");
    let command = advice.split('`').nth(1).expect("a command");
    assert_eq!(
        command,
        "ACL SETUSER gate reset on >PASSWORD +getrange +set +evalsha +eval +time ~auth:*"
    );
    let words: Vec<_> = command.split(' ').collect();
    let words: [&str; 12] = words.try_into().expect("twelve words");
    redis.cli(words).await?;
    let outcome = of_limits(&redis.url_of("gate", "PASSWORD"));
    assert_eq!(ids(&outcome), [""; 0], "{outcome:?}");
    assert_eq!(redis.cli(["DBSIZE"]).await?, "0", "nothing is written");
    redis.stop();
    let outcome = of_limits(&redis.url());
    assert_eq!(ids(&outcome), ["limits-not-shared"], "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn rights_are_checked_on_every_server_of_a_cluster() -> Result<()> {
    let postgres = database().await?;
    let cluster = RedisCluster::start(RedisVersion::Debian).await?;
    let enough = "+getrange +set +pttl +del +evalsha +eval +info +cluster|slots ~auth:*";
    let tracking = "+client|tracking +cluster|nodes";
    let url = cluster.url_of("gate:hidden-password@");
    let judged = |tracking: &str| {
        let ignored = ["--ignore", "database-superuser"];
        doctor_of_stores(ignored)
            .env("AUTH_SECRET", SECRET)
            .env("ENABLE_DB_CHECK", "true")
            .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
            .env("REDIS_URL", &url)
            .env("REDIS_TRACKING", tracking)
            .run()
    };
    let allow_all = async |rights: &str| {
        for node in &cluster.nodes {
            allow(node, &rights.split(' ').collect::<Vec<_>>()).await?;
        }
        anyhow::Ok(())
    };
    allow_all(enough).await?;
    let outcome = judged("false");
    assert!(ids(&outcome).is_empty(), "{outcome:?}");
    let outcome = judged("true");
    assert_eq!(ids(&outcome), ["redis-rights-missing"]);
    for refused in ["CLUSTER NODES: NOPERM", "CLIENT TRACKING: NOPERM"] {
        let seen = finding_text(&outcome, "redis-rights-missing", "seen");
        assert!(seen.contains(refused), "{seen}");
    }
    let advice = finding_text(&outcome, "redis-rights-missing", "advice");
    assert!(
        advice.contains("+client|tracking +cluster|slots +cluster|nodes"),
        "{advice}"
    );
    allow_all(&format!("{tracking} {enough}")).await?;
    let outcome = judged("true");
    assert!(ids(&outcome).is_empty(), "{outcome:?}");
    // One server with missing rights is enough for a finding.
    let all_but_set = enough.replace("+set ", "");
    allow(
        &cluster.nodes[1],
        &all_but_set.split(' ').collect::<Vec<_>>(),
    )
    .await?;
    let outcome = judged("false");
    assert_eq!(ids(&outcome), ["redis-rights-missing"]);
    let at = format!(", at redis://{}", cluster.nodes[1].address());
    let seen = finding_text(&outcome, "redis-rights-missing", "seen");
    assert!(seen.contains(&at), "{seen}");
    Ok(())
}
