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
        tracking
            .wait_for_log("change notifications from Redis are working")
            .await?;
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
    pub(crate) async fn wait_until_in_memory(&self, token: &str) -> Result<()> {
        poll("memory to have the session", async || {
            (self.status(token).await.ok()? == 200).then_some(())?;
            let line = self.gate.audit_lines().pop()?;
            (line["session_check"] == "memory").then_some(())
        })
        .await
    }

    pub(crate) async fn wait_until_refused(&self, token: &str) -> Result<()> {
        poll("the session to be refused", async || {
            (self.status(token).await.ok()? == 401).then_some(())
        })
        .await
    }

    /// Returns a description of a failure at this point, with everything that the gate has logged.
    pub(crate) fn failure_at(&self, when: &str) -> String {
        format!(
            "{when}; the log of the gate:\n{}",
            self.gate.stderr().all().join("\n")
        )
    }

    pub(crate) async fn wait_for_log(&self, text: &str) -> Result<()> {
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
async fn a_session_ends_with_its_redis_key_and_with_a_revocation() -> Result<()> {
    let redis = Redis::start().await?;
    for token in [TOKEN, OTHER] {
        sign_in(&redis, token).await?;
    }
    let tracking = Tracking::start(&redis.url()).await?;
    tracking.wait_until_in_memory(TOKEN).await?;
    tracking.wait_until_in_memory(OTHER).await?;
    sign_out(&redis, TOKEN).await?;
    tracking.wait_until_refused(TOKEN).await?;
    assert_eq!(tracking.status(OTHER).await?, 200);
    let key = "better-auth:revoked-sessions-before-ada";
    redis.cli(["SET", key, "4000000000000"]).await?;
    tracking.wait_until_refused(OTHER).await?;
    redis.cli(["DEL", key]).await?;
    tracking.wait_until_in_memory(OTHER).await?;
    redis.cli(["-n", "7", "FLUSHALL"]).await?;
    tracking.wait_until_refused(OTHER).await
}

#[tokio::test]
async fn a_gate_continued_after_sigstop_uses_no_outdated_memory() -> Result<()> {
    let redis = Redis::start().await?;
    sign_in(&redis, TOKEN).await?;
    let tracking = Tracking::start(&redis.url()).await?;
    tracking.wait_until_in_memory(TOKEN).await?;
    tracking.gate.signal("STOP")?;
    sign_out(&redis, TOKEN).await?;
    // The last message on the channel is trusted for two seconds.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    tracking.gate.signal("CONT")?;
    assert_eq!(tracking.status(TOKEN).await?, 401);
    Ok(())
}

#[tokio::test]
async fn memory_is_not_used_while_the_redis_channel_is_down() -> Result<()> {
    let redis = Redis::start().await?;
    sign_in(&redis, TOKEN).await?;
    let wire = CutProxy::start(&redis.address()).await?;
    let tracking = Tracking::start(&format!("redis://{}", wire.address())).await?;
    tracking.wait_until_in_memory(TOKEN).await?;
    wire.stall();
    tracking
        .wait_for_log("change notifications from Redis are not working")
        .await?;
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
    tracking.wait_until_in_memory(TOKEN).await?;
    poll("the replica to have the session", async || {
        (replica.cli(["EXISTS", &key(TOKEN)]).await.ok()? == "1").then_some(())
    })
    .await?;
    // It stops responding, but keeps its connections.
    former.suspend()?;
    let new = sentinels.follow(former.port()).await?;
    assert_eq!(new, replica.port());
    poll("the new primary to be tracking", async || {
        let lines = tracking.gate.stderr().all();
        let says = lines
            .iter()
            .filter(|line| line.contains("change notifications from Redis are working"));
        (says.count() == 2).then_some(())
    })
    .await
    .context("after the failover")?;
    tracking.wait_until_in_memory(TOKEN).await?;
    sign_out(&replica, TOKEN).await?;
    tracking.wait_until_refused(TOKEN).await?;
    former.resume()?;
    assert_eq!(tracking.status(TOKEN).await?, 401);
    Ok(())
}
