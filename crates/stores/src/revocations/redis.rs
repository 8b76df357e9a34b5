//! Revocations in Redis: members of one sorted set, whose scores say when each has had its time.
//!
//! A member is one JSON object. A second revocation of the same is another member; whoever reads both takes the later time. So
//! nothing that is written takes the place of what somebody else writes at the same moment.

use gate::{Revoked, Source};
use session::UnixTime;

use super::super::pools::{Lease, Pools, RedisLine};
use super::super::redis::{RedisTarget, Tracking, TrackingTarget};
use super::super::settings::RedisSettings;
use super::entry::{self, Columns, RevocationEntry, key};
use super::{MOST, RevocationStoreError};

pub(super) struct InRedis {
    lease: Lease<RedisTarget, RedisLine>,
    /// Says when there are others, if it is to.
    tracking: Option<Lease<TrackingTarget, Tracking>>,
    key: String,
}

impl InRedis {
    pub(super) fn open(settings: &RedisSettings, pools: &Pools) -> Self {
        Self {
            lease: pools.redis(settings),
            tracking: pools.tracking(settings),
            key: format!("{}{KEY}", settings.key_prefix),
        }
    }

    pub(super) async fn load(
        &self,
        now: UnixTime,
    ) -> Result<Vec<RevocationEntry>, RevocationStoreError> {
        let members = self.members(now).await?;
        members.iter().map(|member| read(member)).collect()
    }

    async fn members(&self, now: UnixTime) -> Result<Vec<String>, RevocationStoreError> {
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(&self.key).arg(format!("({}", now.millis()));
        command.arg("+inf").arg("LIMIT").arg(0).arg(MOST + 1);
        self.ask("ZRANGEBYSCORE", &command).await
    }

    pub(super) async fn add(
        &self,
        entry: &RevocationEntry,
        now: UnixTime,
    ) -> Result<(), RevocationStoreError> {
        let mut command = redis::cmd("ZREMRANGEBYSCORE");
        command.arg(&self.key).arg("-inf").arg(now.millis());
        let _: u64 = self.ask("ZREMRANGEBYSCORE", &command).await?;
        let mut command = redis::cmd("ZCARD");
        command.arg(&self.key);
        let count: u64 = self.ask("ZCARD", &command).await?;
        if usize::try_from(count).is_ok_and(|count| count >= MOST) {
            return Err(RevocationStoreError::Full(Source::Redis));
        }
        let member = serde_json::to_string(&Columns::from(entry)).expect("texts and numbers");
        let mut command = redis::cmd("ZADD");
        let until = entry.revocation.until.millis();
        command.arg(&self.key).arg(until).arg(member);
        let _: u64 = self.ask("ZADD", &command).await?;
        Ok(())
    }

    pub(super) async fn remove(
        &self,
        realm: &str,
        what: &Revoked,
    ) -> Result<bool, RevocationStoreError> {
        let (kind, id) = key(what);
        let is_meant = |member: &String| {
            let columns = serde_json::from_str::<Columns>(member);
            columns.is_ok_and(|it| (&*it.realm, &*it.kind, &*it.id) == (realm, kind, id))
        };
        let mut members = self.members(UnixTime::from_millis(0)).await?;
        members.retain(is_meant);
        if members.is_empty() {
            return Ok(false);
        }
        let mut command = redis::cmd("ZREM");
        command.arg(&self.key).arg(members);
        let removed: u64 = self.ask("ZREM", &command).await?;
        Ok(removed > 0)
    }

    async fn ask<T: redis::FromRedisValue>(
        &self,
        name: &'static str,
        command: &redis::Cmd,
    ) -> Result<T, RevocationStoreError> {
        let answer = self.lease.resource.redis.ask(name, command).await;
        answer.map_err(RevocationStoreError::Redis)
    }

    pub(super) async fn close(self) {
        if let Some(line) = self.lease.give_back() {
            line.close().await;
        }
        if let Some(tracking) = self.tracking.and_then(Lease::give_back) {
            tracking.close().await;
        }
    }
}

/// Whether revocations are kept under `key` where the gate's keys begin with `prefix`.
pub(in super::super) fn is_key(prefix: &str, key: &[u8]) -> bool {
    key.strip_prefix(prefix.as_bytes()) == Some(KEY.as_bytes())
}

fn read(member: &str) -> Result<RevocationEntry, RevocationStoreError> {
    entry::read(serde_json::from_str(member).ok(), Source::Redis)
}

/// Behind the prefix of the gate's keys. Where users of the default realm are cached, their keys are the prefix and their id.
const KEY: &str = "sessiongate:revocations";
