//! Rate limits that all nodes count together in Redis, many in one round trip.

use std::slice;
use std::sync::LazyLock;
use std::time::Duration;

use futures_util::future::join_all;
use redis::Cmd;
use tokio::time::Instant;

use super::super::hex;
use super::node::Replies;
use super::refusal::code;
use super::script::{self, EVAL, EVALSHA};
use super::{Redis, Topology};

/// The count of one client under one rate limit, and the change to make to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SharedCell {
    /// Identifies the client and the limit. It is the same on all nodes.
    pub key: [u8; 16],
    /// The interval at which one more request is allowed, in microseconds.
    pub interval: f64,
    /// The change to the count.
    pub change: SharedChange,
}

/// A change to the count of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedChange {
    /// Counts one more, unless that exceeds the limit.
    Count {
        /// How many requests may arrive at once, including the first.
        burst: u32,
    },
    /// Counts one less.
    GiveBack,
}

/// Cells that are counted in order, up to the first that exceeds its limit.
pub(in super::super) type SharedCells = Vec<SharedCell>;

/// A cell that exceeds its limit, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverShared {
    /// The index of the cell among those that were counted together.
    pub cell: usize,
    /// How long it will take until one more request is allowed.
    pub wait: Duration,
}

/// The result of one part of a batch: the cell that exceeds its limit, if one does; or a description of the error if
/// Redis does not answer or refuses.
pub(in super::super) type Counted = Result<Option<OverShared>, String>;

/// The parts of a batch that count the same cell: the index of each, with that cell alone.
type PartsOfOne = Vec<(usize, SharedCells)>;

impl Redis {
    /// Counts all cells of `batch`, in order, and returns the result of each part. Keys begin with `prefix`.
    pub(in super::super) async fn count(
        &self,
        prefix: &str,
        batch: &[&SharedCells],
    ) -> Vec<Counted> {
        let deadline = self.deadline();
        match &self.topology {
            Topology::Cluster(_) => self.count_each(prefix, batch, deadline).await,
            Topology::Single(_) => match self.count_together(prefix, batch, deadline).await {
                Ok(counted) => counted.into_iter().map(Ok).collect(),
                Err(why) => batch.iter().map(|_| Err(why.clone())).collect(),
            },
        }
    }

    /// Counts in a cluster, where the cells of one part may be on several servers: first the first cell of each part,
    /// then the second cell, and so on. All counts of one cell go out in one round trip.
    async fn count_each(
        &self,
        prefix: &str,
        batch: &[&SharedCells],
        deadline: Instant,
    ) -> Vec<Counted> {
        let mut counted: Vec<Counted> = batch.iter().map(|_| Ok(None)).collect();
        let rounds = batch.iter().map(|cells| cells.len()).max().unwrap_or(0);
        for round in 0..rounds {
            let mut cells: Vec<([u8; 16], PartsOfOne)> = Vec::new();
            for (part, of_part) in batch.iter().enumerate() {
                let (Some(Ok(None)), Some(cell)) = (counted.get(part), of_part.get(round)) else {
                    continue;
                };
                let same = cells.iter_mut().find(|(key, _)| *key == cell.key);
                match same {
                    Some((_, parts)) => parts.push((part, vec![*cell])),
                    None => cells.push((cell.key, vec![(part, vec![*cell])])),
                }
            }
            let counting = cells.iter().map(|(_, parts)| async move {
                let of_each: Vec<_> = parts.iter().map(|(_, cells)| cells).collect();
                let counted = self.count_together(prefix, &of_each, deadline).await;
                let parts = parts.iter().map(|(part, _)| *part);
                match counted {
                    Ok(counted) => parts.zip(counted.into_iter().map(Ok)).collect::<Vec<_>>(),
                    Err(why) => parts.map(|part| (part, Err(why.clone()))).collect(),
                }
            });
            for (part, outcome) in join_all(counting).await.into_iter().flatten() {
                if let Some(of_part) = counted.get_mut(part) {
                    let here = |over: OverShared| OverShared {
                        cell: round,
                        ..over
                    };
                    *of_part = outcome.map(|over| over.map(here));
                }
            }
        }
        counted
    }

    /// Counts in one round trip. In a cluster, all cells must have the same key.
    async fn count_together(
        &self,
        prefix: &str,
        batch: &[&SharedCells],
        deadline: Instant,
    ) -> Result<Vec<Option<OverShared>>, String> {
        let first = batch.iter().find_map(|cells| cells.first());
        let Some(first) = first else {
            return Ok(batch.iter().map(|_| None).collect());
        };
        let key = key(prefix, &first.key);
        let send = async |name, script: &str| {
            let command = command(name, script, prefix, batch);
            let commands = slice::from_ref(&command);
            self.send_to_holder(key.as_bytes(), commands, deadline)
                .await
        };
        let (mut name, mut replies) = (EVALSHA, send(EVALSHA, &SHA).await);
        if replies.as_ref().is_ok_and(Replies::has_no_script) {
            // The server was restarted, or never saw the script: send the text, which it caches.
            (name, replies) = (EVAL, send(EVAL, SCRIPT).await);
        }
        let replies = replies.map_err(|why| self.target.describe(why))?;
        read(&replies.only::<Vec<i64>>(name)?, batch.len())
    }
}

impl Replies {
    fn has_no_script(&self) -> bool {
        let answer = self.answers.first();
        let refusal = answer.and_then(|answer| answer.as_ref().err());
        refusal.and_then(code) == Some("NOSCRIPT")
    }
}

fn command(name: &str, script: &str, prefix: &str, batch: &[&SharedCells]) -> Cmd {
    let mut command = redis::cmd(name);
    let cells = || batch.iter().flat_map(|cells| cells.iter());
    command.arg(script).arg(cells().count());
    for cell in cells() {
        command.arg(key(prefix, &cell.key));
    }
    for cells in batch {
        command.arg(cells.len());
        for cell in cells.iter() {
            let burst = match cell.change {
                SharedChange::Count { burst } => burst,
                SharedChange::GiveBack => 0,
            };
            command.arg(cell.interval).arg(burst);
        }
    }
    command
}

fn key(prefix: &str, key: &[u8]) -> String {
    format!("{prefix}limit:{}", hex(key))
}

/// Reads two numbers for each part: the cell that exceeds its limit, counted from 1, and the wait in microseconds.
fn read(answers: &[i64], parts: usize) -> Result<Vec<Option<OverShared>>, String> {
    let (pairs, rest) = answers.as_chunks::<2>();
    if pairs.len() != parts || !rest.is_empty() {
        return Err("the answer of the script is not understood".to_owned());
    }
    let over = |[cell, wait]: &[i64; 2]| {
        let cell = usize::try_from(*cell).ok()?.checked_sub(1)?;
        let wait = Duration::from_micros(u64::try_from(*wait).unwrap_or(0));
        Some(OverShared { cell, wait })
    };
    Ok(pairs.iter().map(over).collect())
}

static SHA: LazyLock<String> = LazyLock::new(|| script::sha(SCRIPT));

/// The generic cell rate algorithm (GCRA), by the clock of Redis. For each key it stores when the key will have its
/// whole limit back, in microseconds since a moment in 2023, so that a double has digits left for fractions. A key
/// expires at that time. A refused request changes nothing; a burst of 0 takes one count back. `GETRANGE` and `SET` are
/// commands that the gate's user may run anyway.
const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = (time[1] - 1700000000) * 1000000 + time[2]
local answers, key, place = {}, 0, 1
while place <= #ARGV do
  local cells, over, wait = tonumber(ARGV[place]), 0, 0
  place = place + 1
  for cell = 1, cells do
    key = key + 1
    local interval, burst = tonumber(ARGV[place]), tonumber(ARGV[place + 1])
    place = place + 2
    if over == 0 then
      local full = math.max(tonumber(redis.call('GETRANGE', KEYS[key], 0, 31)) or now, now)
      full = burst > 0 and full + interval or math.max(full - interval, now)
      local allowed = full - burst * interval
      if burst > 0 and allowed > now then
        over, wait = cell, math.ceil(allowed - now)
      else
        local left = math.max(math.ceil((full - now) / 1000), 1)
        redis.call('SET', KEYS[key], string.format('%.3f', full), 'PX', left)
      end
    end
  end
  answers[#answers + 1] = over
  answers[#answers + 1] = wait
end
return answers
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_pairs() {
        let over = OverShared {
            cell: 1,
            wait: Duration::from_micros(7),
        };
        assert_eq!(read(&[0, 0, 2, 7], 2), Ok(vec![None, Some(over)]));
        assert!(read(&[0, 0], 2).is_err());
        assert!(read(&[0, 0, 1], 1).is_err());
    }

    #[test]
    fn keys_are_plain_text_of_one_length() {
        assert_eq!(key("auth:", &[0, 255]), "auth:limit:00ff");
        assert_eq!(SHA.len(), 40);
    }
}
