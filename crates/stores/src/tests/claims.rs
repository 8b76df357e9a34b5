//! Claims of sessions that are looked up, in both databases and in caches.

use serde_json::{Value, json};

use super::columns::{column, create, settings_reading, value};
use super::sessions::{OnPostgres, OnSqlite, WritableDatabase, token};
use super::*;
use crate::{ClaimOf, ColumnError, StoredClaim};

fn claim(of: ClaimOf, name: &str, held_in: &str) -> StoredClaim {
    StoredClaim {
        of,
        name: name.into(),
        column: column(held_in),
    }
}

/// Looks up the configured claims of session `7`, and the columns of its user.
async fn of_session(node: &TestNode) -> (Value, Vec<Value>) {
    let known = node.look_up(&token("7")).await.unwrap().found.unwrap();
    let claims = known.stored.more_claims().cloned().unwrap_or_default();
    (Value::Object(claims), known.user.columns().to_vec())
}

async fn claims_are_read<D: WritableDatabase>(mut database: D, time: &str, expiry: Value) {
    create(&mut database, "text", time, ", role text").await;
    let sql = "ALTER TABLE session ADD COLUMN active_organization_id text;
        UPDATE session SET active_organization_id = 'o1' WHERE token = '7'; UPDATE \"user\" SET role = 'admin'";
    database.execute(sql).await;
    let redis = Redis::start().await.unwrap();
    let url = database.url();
    let asked = || {
        let mut settings = settings_reading(url.clone(), [value("role")]);
        settings.redis = Some(super::redis(&redis.url()));
        settings.claims = vec![
            claim(
                ClaimOf::Session,
                "activeOrganizationId",
                "active_organization_id",
            ),
            claim(ClaimOf::User, "plan", "role"),
            claim(ClaimOf::Session, "expiresAt", "expiresAt"),
        ];
        settings
    };
    let (node, _) = open(asked());
    node.0.check_columns().await.unwrap();
    let expected = (
        json!({
            "session": {"activeOrganizationId": "o1", "expiresAt": expiry},
            "user": {"plan": "admin"},
        }),
        vec![json!("admin")],
    );
    assert_eq!(of_session(&node).await, expected);
    // A user who is looked up by id has no session, and so no claims.
    let user = node.find("7").await.unwrap().found.unwrap();
    assert_eq!(user.columns(), [json!("admin")]);

    // Another node finds the same claims in Redis, and a node with fewer claims treats that record as a miss.
    harness::poll("the session to be in Redis", async || {
        let keys = redis.cli(["KEYS", "*session:*"]).await.ok()?;
        (!keys.is_empty()).then_some(())
    })
    .await
    .unwrap();
    database
        .execute("UPDATE session SET active_organization_id = 'o2'")
        .await;
    let (other, _) = open(asked());
    assert_eq!(of_session(&other).await, expected);
    let mut less = asked();
    less.claims.truncate(1);
    let (third, _) = open(less);
    let (claims, columns) = of_session(&third).await;
    assert_eq!(claims, json!({"session": {"activeOrganizationId": "o2"}}));
    assert_eq!(columns, [json!("admin")]);

    for (claim, table) in [
        (
            claim(ClaimOf::Session, "activeTeamId", "activeTeamId"),
            "\"session\"",
        ),
        (claim(ClaimOf::User, "plan", "plan"), "\"user\""),
    ] {
        let mut settings = asked();
        settings.claims.push(claim);
        let (node, _) = open(settings);
        let error = node.0.check_columns().await.unwrap_err();
        let is_missing =
            matches!(&error, ColumnError::Missing { table: found, .. } if found == table);
        assert!(is_missing, "{error}");
    }
}

#[tokio::test]
async fn claims_are_read_with_the_session_from_postgres() {
    let server = Postgres::start().await.unwrap();
    let expiry = json!(4_102_444_800_000_u64);
    claims_are_read(OnPostgres::<false>(&server), "timestamptz", expiry).await;
}

#[tokio::test]
async fn claims_are_read_with_the_session_from_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let database = OnSqlite::new(&folder, "app.db").await;
    claims_are_read(database, "text", json!("2100-01-01T00:00:00Z")).await;
}
