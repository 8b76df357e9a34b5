//! Revocations in Redis: members of one sorted set, whose scores are the times at which they expire.
//!
//! A member is one JSON object. A second revocation of the same user or session is another member; a reader takes the
//! later time of both. So no write overwrites another that happens at the same moment.
//!
//! If all revocations are kept equally long and clocks agree, new members have the highest scores. So new members are
//! looked for there, and the number of the other members shows whether anything else has changed.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use gate::{LookupSource, Revoked};
use session::UnixTime;

use super::super::pools::{Lease, Pools, RedisHandle};
use super::super::redis::{RedisTarget, Tracking, TrackingTarget};
use super::super::settings::RedisSettings;
use super::entry::{self, EntryColumns, RevocationEntry, key};
use super::{MAX_REVOCATIONS, RevocationStoreError};

pub(super) struct InRedis {
    lease: Lease<RedisTarget, RedisHandle>,
    /// The channel that announces changes, if it is configured.
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
    ) -> Result<(Vec<RevocationEntry>, Members), RevocationStoreError> {
        let members = self.members(now.millis()).await?;
        let entries = members.iter().map(|(member, _)| read(member));
        let entries = entries.collect::<Result<_, _>>()?;
        let mut known = Members::default();
        known.extend(&members);
        Ok((entries, known))
    }

    /// Reads the members that were added after the `known` ones, and adds them to `known`. `None` when a member is gone,
    /// or was added with a lower score, which the number of members shows.
    pub(super) async fn read_new(
        &self,
        known: &mut Members,
        now: UnixTime,
    ) -> Result<Option<Vec<RevocationEntry>>, RevocationStoreError> {
        known.remove_expired(now.millis());
        let Some(last) = known.last() else {
            return Ok(None);
        };
        let floor = last.saturating_sub(OVERLAP).max(now.millis());
        let mut command = redis::cmd("ZCOUNT");
        command.arg(&self.key).arg(format!("({}", now.millis()));
        command.arg(floor);
        let before: u64 = self.query("ZCOUNT", &command).await?;
        let members = self.members(floor).await?;
        let is_all = known.count_until(floor) == before && known.are_among(floor, &members);
        if !is_all || members.len() > MAX_REVOCATIONS {
            return Ok(None);
        }
        let new = members.iter().filter(|member| !known.holds(member));
        let new = new.map(|(member, _)| read(member));
        let new = new.collect::<Result<_, _>>()?;
        known.extend(&members);
        Ok(Some(new))
    }

    /// Reads the members with a higher score than `floor`, and their scores: at most one more than the allowed number.
    async fn members(&self, floor: u64) -> Result<Vec<(String, u64)>, RevocationStoreError> {
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(&self.key).arg(format!("({floor}"));
        command.arg("+inf").arg("WITHSCORES");
        command.arg("LIMIT").arg(0).arg(MAX_REVOCATIONS + 1);
        let members: Vec<(String, f64)> = self.query("ZRANGEBYSCORE", &command).await?;
        let members = members.into_iter();
        Ok(members.map(|(member, at)| (member, millis(at))).collect())
    }

    pub(super) async fn add(
        &self,
        entry: &RevocationEntry,
        now: UnixTime,
    ) -> Result<(), RevocationStoreError> {
        let mut command = redis::cmd("ZREMRANGEBYSCORE");
        command.arg(&self.key).arg("-inf").arg(now.millis());
        let _: u64 = self.query("ZREMRANGEBYSCORE", &command).await?;
        let mut command = redis::cmd("ZCARD");
        command.arg(&self.key);
        let count: u64 = self.query("ZCARD", &command).await?;
        if usize::try_from(count).is_ok_and(|count| count >= MAX_REVOCATIONS) {
            return Err(RevocationStoreError::Full(LookupSource::Redis));
        }
        let member = serde_json::to_string(&EntryColumns::from(entry)).expect("texts and numbers");
        let mut command = redis::cmd("ZADD");
        let until = entry.revocation.until.millis();
        command.arg(&self.key).arg(until).arg(member);
        let _: u64 = self.query("ZADD", &command).await?;
        Ok(())
    }

    pub(super) async fn remove(
        &self,
        realm: &str,
        what: &Revoked,
    ) -> Result<bool, RevocationStoreError> {
        let (kind, id) = key(what);
        let is_meant = |member: &String| {
            let columns = serde_json::from_str::<EntryColumns>(member);
            columns.is_ok_and(|it| (&*it.realm, &*it.kind, &*it.id) == (realm, kind, id))
        };
        let members = self.members(0).await?.into_iter();
        let members = members.map(|(member, _)| member).filter(is_meant);
        let members: Vec<_> = members.collect();
        if members.is_empty() {
            return Ok(false);
        }
        let mut command = redis::cmd("ZREM");
        command.arg(&self.key).arg(members);
        let removed: u64 = self.query("ZREM", &command).await?;
        Ok(removed > 0)
    }

    async fn query<T: redis::FromRedisValue>(
        &self,
        name: &'static str,
        command: &redis::Cmd,
    ) -> Result<T, RevocationStoreError> {
        let answer = self.lease.resource.redis.query(name, command).await;
        answer.map_err(RevocationStoreError::Redis)
    }

    pub(super) async fn close(self) {
        if let Some(handle) = self.lease.give_back() {
            handle.close().await;
        }
        if let Some(tracking) = self.tracking.and_then(Lease::give_back) {
            tracking.close().await;
        }
    }
}

/// The known members, as their scores and hashes.
#[derive(Debug, Default)]
pub(super) struct Members {
    known: BTreeSet<(u64, u64)>,
    hasher: RandomState,
}

impl Members {
    fn extend(&mut self, members: &[(String, u64)]) {
        for member in members {
            let member = self.of(member);
            self.known.insert(member);
        }
    }

    /// Removes the members that have expired by `now`.
    fn remove_expired(&mut self, now: u64) {
        self.known = self.known.split_off(&(now.saturating_add(1), 0));
    }

    fn last(&self) -> Option<u64> {
        self.known.last().map(|(score, _)| *score)
    }

    fn holds(&self, member: &(String, u64)) -> bool {
        self.known.contains(&self.of(member))
    }

    /// How many members have this score or a lower one.
    fn count_until(&self, floor: u64) -> u64 {
        let after = self.known.range((floor.saturating_add(1), 0)..).count();
        u64::try_from(self.known.len() - after).unwrap_or(u64::MAX)
    }

    /// Whether all known members with a higher score than `floor` are among `members`.
    fn are_among(&self, floor: u64, members: &[(String, u64)]) -> bool {
        let after = self.known.range((floor.saturating_add(1), 0)..).count();
        members.iter().filter(|member| self.holds(member)).count() == after
    }

    fn of(&self, (member, score): &(String, u64)) -> (u64, u64) {
        (*score, self.hasher.hash_one(member))
    }
}

/// Whether `key` is the key of the revocations, with the gate's `prefix`.
pub(in super::super) fn is_key(prefix: &str, key: &[u8]) -> bool {
    key.strip_prefix(prefix.as_bytes()) == Some(KEY.as_bytes())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is out of range, infinity too, becomes the end of the range"
)]
fn millis(score: f64) -> u64 {
    score as u64
}

fn read(member: &str) -> Result<RevocationEntry, RevocationStoreError> {
    entry::read(serde_json::from_str(member).ok(), LookupSource::Redis)
}

/// The key of the revocations after the gate's prefix. In the default realm, the key of a cached user is the prefix
/// and the user's id.
const KEY: &str = "sessiongate:revocations";

/// How many milliseconds below the highest known score new members are looked for, because the clocks of nodes differ.
/// If they differ by more, the whole list is read.
const OVERLAP: u64 = 1000;
