//! Changes in Redis take effect at once, although memory entries last for long; and while the channel is down, the gate answers
//! nothing from memory.

use std::time::Duration;

use anyhow::{Context, Result};
use harness::{CutProxy, Echo, Gate, Redis, Request, Sentinels, mint, poll};
use session::{Secret, seal};

use crate::support::gate;

/// A gate that looks up Better Auth's sessions in a Redis and is notified of changes.
pub(crate) struct Tracking {
    pub(crate) gate: Gate,
    _echo: Echo,
}

const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz012345";
const OTHER: &str = "012345abcdefghijklmnopqrstuvwxyz";

impl Tracking {
    /// Starts the gate and waits until its channel works.
    pub(crate) async fn start(url: &str) -> Result<Self> {
        let echo = Echo::start().await?;
        let gate = gate(&echo.url())
            .without("AUTH_SECRET")
            .env("BETTER_AUTH_SECRET", mint::SECRET)
            .env("SESSION_FORMAT", "better-auth")
            .env("SESSION_STORE", "redis")
            .env("REDIS_URL", url)
            .env("REDIS_TRACKING", "true")
            // No entry expires while this test runs.
            .env("MEMORY_CACHE_TTL", "3600")
            .env("HEARD_CACHE_TTL", "3600")
            .start()
            .await?;
        let tracking = Self { gate, _echo: echo };
        tracking.logged("Redis announces changes").await?;
        Ok(tracking)
    }

    pub(crate) async fn status(&self, token: &str) -> Result<u16> {
        let sealed = seal::better_auth_token(&Secret::new(mint::SECRET), token);
        let cookie = format!("better-auth.session_token={sealed}");
        Ok(self
            .gate
            .send(&Request::get("/").cookie(cookie))
            .await?
            .status)
    }

    /// Sends requests with this session until memory has it.
    pub(crate) async fn remembered(&self, token: &str) -> Result<()> {
        poll("memory to know the session", async || {
            (self.status(token).await.ok()? == 200).then_some(())?;
            let line = self.gate.audit_lines().pop()?;
            (line["session_check"] == "memory").then_some(())
        })
        .await
    }

    pub(crate) async fn refused(&self, token: &str) -> Result<()> {
        poll("the session to be refused", async || {
            (self.status(token).await.ok()? == 401).then_some(())
        })
        .await
    }

    /// Returns a description of a failure at this point, with everything that the gate has logged.
    pub(crate) fn told(&self, when: &str) -> String {
        format!(
            "{when}; the gate said:\n{}",
            self.gate.stderr().all().join("\n")
        )
    }

    pub(crate) async fn logged(&self, text: &str) -> Result<()> {
        let stderr = self.gate.stderr();
        stderr
            .wait_for(|line| line.contains(text).then_some(()))
            .await
    }
}

/// Returns the value that Better Auth stores for a session with this token.
pub(crate) fn value(token: &str) -> String {
    format!(
        r#"{{"session":{{"token":"{token}","userId":"ada","expiresAt":"2100-01-01T00:00:00.000Z","createdAt":"2020-01-01T00:00:00.000Z"}},"user":{{"id":"ada","email":"ada@example.com","name":"Ada"}}}}"#
    )
}

async fn sign_in(redis: &Redis, token: &str) -> Result<()> {
    redis.cli(["SET", &key(token), &value(token)]).await?;
    Ok(())
}

async fn sign_out(redis: &Redis, token: &str) -> Result<()> {
    redis.cli(["DEL", &key(token)]).await?;
    Ok(())
}

pub(crate) fn key(token: &str) -> String {
    format!("better-auth:{token}")
}

#[tokio::test]
async fn a_session_ends_with_its_key_and_with_its_users_revocation() -> Result<()> {
    let redis = Redis::start().await?;
    for token in [TOKEN, OTHER] {
        sign_in(&redis, token).await?;
    }
    let tracking = Tracking::start(&redis.url()).await?;
    tracking.remembered(TOKEN).await?;
    tracking.remembered(OTHER).await?;
    sign_out(&redis, TOKEN).await?;
    tracking.refused(TOKEN).await?;
    assert_eq!(tracking.status(OTHER).await?, 200);
    let key = "better-auth:revoked-sessions-before-ada";
    redis.cli(["SET", key, "4000000000000"]).await?;
    tracking.refused(OTHER).await?;
    redis.cli(["DEL", key]).await?;
    tracking.remembered(OTHER).await?;
    redis.cli(["-n", "7", "FLUSHALL"]).await?;
    tracking.refused(OTHER).await
}

#[tokio::test]
async fn a_gate_that_was_stopped_lets_nobody_in_by_what_it_knew_before() -> Result<()> {
    let redis = Redis::start().await?;
    sign_in(&redis, TOKEN).await?;
    let tracking = Tracking::start(&redis.url()).await?;
    tracking.remembered(TOKEN).await?;
    tracking.gate.signal("STOP")?;
    sign_out(&redis, TOKEN).await?;
    // The last message on the channel is trusted for two seconds.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    tracking.gate.signal("CONT")?;
    assert_eq!(tracking.status(TOKEN).await?, 401);
    Ok(())
}

#[tokio::test]
async fn while_nothing_is_heard_memory_vouches_for_nobody() -> Result<()> {
    let redis = Redis::start().await?;
    sign_in(&redis, TOKEN).await?;
    let wire = CutProxy::start(&redis.address()).await?;
    let tracking = Tracking::start(&format!("redis://{}", wire.address())).await?;
    tracking.remembered(TOKEN).await?;
    wire.stall();
    tracking.logged("Redis announces no changes").await?;
    // From memory the answer would be 200.
    assert_eq!(tracking.status(TOKEN).await?, 503);
    sign_out(&redis, TOKEN).await?;
    wire.restore().await?;
    poll("Redis to answer", async || {
        (tracking.status(TOKEN).await.ok()? != 503).then_some(())
    })
    .await?;
    assert_eq!(tracking.status(TOKEN).await?, 401);
    Ok(())
}

#[tokio::test]
async fn a_session_ends_on_the_primary_that_took_over() -> Result<()> {
    let former = Redis::start().await?;
    let of_primary = format!("127.0.0.1 {}", former.port());
    let replica = Redis::options()
        .set("replicaof", &of_primary)
        .start()
        .await?;
    let sentinels = Sentinels::start(&former, 1).await?;
    sign_in(&former, TOKEN).await?;
    let tracking = Tracking::start(&sentinels.url()).await?;
    tracking.remembered(TOKEN).await?;
    poll("the replica to have the session", async || {
        (replica.cli(["EXISTS", &key(TOKEN)]).await.ok()? == "1").then_some(())
    })
    .await?;
    // It stops responding, but keeps its connections.
    former.stand_still()?;
    let new = sentinels.follow(former.port()).await?;
    assert_eq!(new, replica.port());
    poll("the new primary to be tracking", async || {
        let lines = tracking.gate.stderr().all();
        let says = lines
            .iter()
            .filter(|line| line.contains("Redis announces changes"));
        (says.count() == 2).then_some(())
    })
    .await
    .context("after the failover")?;
    tracking.remembered(TOKEN).await?;
    sign_out(&replica, TOKEN).await?;
    tracking.refused(TOKEN).await?;
    former.go_on()?;
    assert_eq!(tracking.status(TOKEN).await?, 401);
    Ok(())
}
