//! A primary and its standby: which of the two is asked, and what happens while the standby lags behind.

use tokio_postgres::config::TargetSessionAttrs;

use super::*;

/// Settings with both servers, in this order, that require a server of this kind.
fn among([first, second]: [&Postgres; 2], target: TargetSessionAttrs) -> Settings {
    let server = |server: &Postgres| urls::postgres_server(&server.url(Postgres::DATABASE));
    let mut both = server(first);
    both.hosts.extend(server(second).hosts);
    both.config.target_session_attrs(target);
    settings(DatabaseUrl::Postgres(Box::new(both)), "users")
}

#[tokio::test]
async fn the_server_of_the_wanted_kind_is_queried_in_any_order_and_a_standby_lags() {
    let mut primary = with_users().await;
    let standby = primary.standby().await.unwrap();
    let (of_primary, _) = open(among([&standby, &primary], TargetSessionAttrs::ReadWrite));
    let (of_standby, _) = open(among([&primary, &standby], TargetSessionAttrs::ReadOnly));
    for node in [&of_primary, &of_standby] {
        assert!(exists(node, "7").await);
    }
    // The standby stops replaying the primary's changes.
    standby
        .execute("SELECT pg_wal_replay_pause()")
        .await
        .unwrap();
    let paused = "SELECT pg_get_wal_replay_pause_state()";
    let waiting = async { while standby.execute(paused).await.unwrap() != "paused" {} };
    timeout(TIMEOUT, waiting).await.unwrap();
    primary.execute("DELETE FROM users").await.unwrap();
    assert!(!exists(&of_primary, "7").await);
    assert!(exists(&of_standby, "7").await, "it lags");
    standby
        .execute("SELECT pg_wal_replay_resume()")
        .await
        .unwrap();
    let waiting = async { while exists(&of_standby, "7").await {} };
    timeout(TIMEOUT, waiting).await.unwrap();

    // After a failover the former standby accepts writes.
    primary.stop().await.unwrap();
    assert!(of_primary.find("7").await.is_err());
    let promote = "SELECT pg_promote()";
    standby.execute(promote).await.unwrap();
    standby
        .execute("INSERT INTO users VALUES (9)")
        .await
        .unwrap();
    let is_found = async {
        while !of_primary
            .find("9")
            .await
            .is_ok_and(|lookup| lookup.found.is_some())
        {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, is_found).await.unwrap();
}
