//! The answer to `CLUSTER SLOTS`: which server holds which slots.

use std::collections::{BTreeMap, BTreeSet};

use redis::{Value, from_redis_value};

use super::seeds::Place;
use super::slot::SLOTS;
use super::{MAX_SERVERS, TOO_MANY_SERVERS};

/// Maps each slot to the server that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct SlotMap {
    /// The ranges of slots, in ascending order, without overlap.
    ranges: Vec<Range>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    holder: Place,
}

impl SlotMap {
    /// Reads the answer of a server at the host `asked`. An answer may leave this host out.
    ///
    /// # Errors
    /// When the answer is not understood.
    pub(in super::super) fn read(answer: Value, asked: &str) -> Result<Self, String> {
        let Value::Array(ranges) = answer else {
            return Err(NOT_UNDERSTOOD.to_owned());
        };
        if ranges.len() > usize::from(SLOTS) {
            return Err(NOT_UNDERSTOOD.to_owned());
        }
        let ranges: Option<Vec<_>> = ranges
            .into_iter()
            .map(|range| Range::read(range, asked))
            .collect();
        let mut ranges = ranges.ok_or(NOT_UNDERSTOOD)?;
        ranges.sort_by_key(|range| range.first);
        let overlap = |pair: &[Range]| matches!(pair, [a, b] if a.last >= b.first);
        if ranges.windows(2).any(overlap) {
            return Err(NOT_UNDERSTOOD.to_owned());
        }
        let map = Self { ranges };
        match map.holders().collect::<BTreeSet<_>>().len() > MAX_SERVERS {
            true => Err(TOO_MANY_SERVERS.to_owned()),
            false => Ok(map),
        }
    }

    /// All servers in an answer, replicas included, by their ids.
    pub(in super::super) fn endpoints(answer: &Value, asked: &str) -> BTreeMap<String, Place> {
        let Value::Array(ranges) = answer else {
            return BTreeMap::new();
        };
        let servers = ranges.iter().flat_map(|range| {
            let parts: &[Value] = if let Value::Array(parts) = range {
                parts
            } else {
                &[]
            };
            parts.get(2..).unwrap_or_default()
        });
        let endpoints = servers.filter_map(|server| read_endpoint(server.clone(), asked));
        endpoints.map(|(place, id)| (id, place)).collect()
    }

    /// The most common map. Of several that are equally common, the first.
    pub(in super::super) fn most_common(maps: Vec<Self>) -> Option<Self> {
        let count = |map: &Self| maps.iter().filter(|other| *other == map).count();
        // Reversed, because `max_by_key` returns the last of several.
        let most = maps.iter().rev().max_by_key(|map| count(map));
        most.cloned()
    }

    /// The server that holds this slot, if one does.
    pub(in super::super) fn holder(&self, slot: u16) -> Option<&Place> {
        let next = self.ranges.partition_point(|range| range.first <= slot);
        let range = self.ranges.get(next.checked_sub(1)?)?;
        (slot <= range.last).then_some(&range.holder)
    }

    /// The servers that hold slots. A server with several ranges appears once for each.
    pub(in super::super) fn holders(&self) -> impl Iterator<Item = &Place> {
        self.ranges.iter().map(|range| &range.holder)
    }

    /// How many slots no server holds.
    pub(super) fn uncovered(&self) -> u16 {
        let covered = |range: &Range| range.last - range.first + 1;
        SLOTS - self.ranges.iter().map(covered).sum::<u16>()
    }
}

impl Range {
    /// Reads a range: the first slot, the last one, the server that holds them, and its replicas.
    fn read(range: Value, asked: &str) -> Option<Self> {
        let Value::Array(parts) = range else {
            return None;
        };
        let mut parts = parts.into_iter();
        let first = number(parts.next()?)?;
        let last = number(parts.next()?)?;
        let (holder, _) = read_endpoint(parts.next()?, asked)?;
        (first <= last && last < SLOTS).then_some(Self {
            first,
            last,
            holder,
        })
    }
}

/// Reads a server: its host and port, and its id.
fn read_endpoint(server: Value, asked: &str) -> Option<(Place, String)> {
    let Value::Array(parts) = server else {
        return None;
    };
    let mut parts = parts.into_iter();
    let host: Option<String> = from_redis_value(parts.next()?).ok()?;
    // A missing host means that of the server that was asked; `?` stands for an unknown host.
    let host = host.filter(|host| !["", "?"].contains(&&**host));
    let port = number(parts.next()?)?;
    let id = parts.next().and_then(|id| from_redis_value(id).ok());
    let host = host.unwrap_or_else(|| asked.to_owned());
    Some(((host, port), id.unwrap_or_default()))
}

/// Reads a 16-bit number. The driver would truncate a larger one.
fn number(value: Value) -> Option<u16> {
    let number: i64 = from_redis_value(value).ok()?;
    number.try_into().ok()
}

const NOT_UNDERSTOOD: &str = "its answer about its slots is not understood";

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let holder = Value::Array(vec![host, Value::Int(port), text("id")]);
        let replica = Value::Array(vec![text("replica"), Value::Int(1), text("id")]);
        Value::Array(vec![Value::Int(first), Value::Int(last), holder, replica])
    }

    fn map(ranges: Vec<Value>) -> Result<SlotMap, String> {
        SlotMap::read(Value::Array(ranges), "asked")
    }

    #[test]
    fn each_slot_has_its_holder() {
        let map = map(vec![
            range(8000, 16383, text(""), 2),
            range(0, 4000, text("a"), 1),
            range(4001, 4001, Value::Nil, 3),
        ]);
        let map = map.unwrap();
        for (slot, holder) in [
            (0, Some(("a", 1))),
            (4000, Some(("a", 1))),
            (4001, Some(("asked", 3))),
            (4002, None),
            (7999, None),
            (8000, Some(("asked", 2))),
            (16383, Some(("asked", 2))),
        ] {
            let holder = holder.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(map.holder(slot), holder.as_ref(), "{slot}");
        }
        assert_eq!(map.uncovered(), 3998);
        assert_eq!(map.holders().count(), 3);
    }

    #[test]
    fn an_invalid_answer_is_an_error() {
        for ranges in [
            vec![Value::Nil],
            vec![range(0, 16384, text("a"), 1)],
            vec![range(5, 4, text("a"), 1)],
            vec![range(0, 5, text("a"), 70000)],
            vec![range(0, 5, text("a"), 1), range(5, 6, text("a"), 1)],
            vec![Value::Array(vec![Value::Int(0), Value::Int(1)])],
        ] {
            assert!(map(ranges.clone()).is_err(), "{ranges:?}");
        }
        assert!(SlotMap::read(Value::Okay, "asked").is_err());
    }

    #[test]
    fn the_most_common_map_is_used() {
        let [one, other] = [1, 2].map(|port| map(vec![range(0, 9, text("a"), port)]).unwrap());
        let maps = vec![other.clone(), one.clone(), one.clone()];
        assert_eq!(SlotMap::most_common(maps), Some(one.clone()));
        assert_eq!(SlotMap::most_common(vec![other.clone(), one]), Some(other));
        assert_eq!(SlotMap::most_common(Vec::new()), None);
    }
}
