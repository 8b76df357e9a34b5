//! The lookups that Redis and PostgreSQL have counted.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// The commands of a Redis and the transactions of a database, since their start or between two moments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lookups {
    /// How often Redis has executed each command.
    pub(super) commands: BTreeMap<String, u64>,
    /// Transactions; a statement outside a transaction is one by itself.
    pub(super) postgres: u64,
}

impl Lookups {
    /// Reads the section `commandstats` of Redis's `INFO`. The `INFO` commands themselves are not counted.
    ///
    /// # Errors
    /// When a line has another form.
    pub(super) fn read(commandstats: &str, postgres: u64) -> Result<Self> {
        let lines = commandstats.lines().map(str::trim);
        let lines = lines.filter_map(|line| line.strip_prefix("cmdstat_"));
        let commands = lines.map(|line| {
            let (name, counted) = line.split_once(":calls=").context("no name")?;
            let calls = counted.split(',').next().unwrap_or_default().parse()?;
            anyhow::Ok((name.to_owned(), calls))
        });
        let mut commands = commands
            .collect::<Result<BTreeMap<_, _>>>()
            .context("Redis printed commandstats in an unknown format")?;
        commands.remove("info");
        Ok(Self { commands, postgres })
    }

    /// Returns the difference to `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        let commands = self.commands.iter().map(|(name, calls)| {
            let before = before.commands.get(name).copied().unwrap_or_default();
            (name.clone(), calls.saturating_sub(before))
        });
        Self {
            commands: commands.filter(|(_, calls)| *calls > 0).collect(),
            postgres: self.postgres.saturating_sub(before.postgres),
        }
    }

    /// Returns the number of lookups in Redis. Commands that are sent together are one lookup: `PTTL` is sent with the command
    /// that reads its key, and the commands of a script belong to the script.
    pub(super) fn redis(&self) -> u64 {
        let calls = |name| self.commands.get(name).copied().unwrap_or_default();
        let scripts = calls("evalsha") + calls("eval");
        let all: u64 = self.commands.values().sum();
        all.saturating_sub(calls("pttl") + scripts * IN_SCRIPT)
    }

    /// Returns the number of lookups in both stores.
    pub(super) fn all(&self) -> u64 {
        self.redis() + self.postgres
    }
}

/// The commands in the gate's script: it reads a key to compare its value, and writes or deletes the key.
const IN_SCRIPT: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: &str = "# Commandstats\r\n\
        cmdstat_info:calls=9,usec=54,usec_per_call=27.00,rejected_calls=0,failed_calls=0\r\n\
        cmdstat_client|tracking:calls=1,usec=4,usec_per_call=4.00,rejected_calls=0,failed_calls=0\r\n\
        cmdstat_getrange:calls=30,usec=3,usec_per_call=3.00,rejected_calls=0,failed_calls=0\r\n\
        cmdstat_set:calls=20,usec=40,usec_per_call=40.00,rejected_calls=0,failed_calls=0\r\n\
        cmdstat_pttl:calls=20,usec=28,usec_per_call=28.00,rejected_calls=0,failed_calls=0\r\n\
        cmdstat_evalsha:calls=10,usec=368,usec_per_call=368.00,rejected_calls=0,failed_calls=0\r\n";

    #[test]
    fn what_travels_together_is_one_question() {
        let lookups = Lookups::read(STATS, 10).unwrap();
        // Twenty keys were read, each with its `PTTL`; ten leases were taken, and redeemed by a script that reads and writes.
        assert_eq!(lookups.commands["pttl"], 20);
        assert_eq!(lookups.redis(), 1 + 20 + 10 + 10);
        assert_eq!(lookups.all(), 51);
    }

    #[test]
    fn since_subtracts_the_earlier_counts() {
        let before = Lookups::read("cmdstat_getrange:calls=10,usec=1", 4).unwrap();
        let since = Lookups::read(STATS, 10).unwrap().since(&before);
        assert_eq!((since.commands["getrange"], since.postgres), (20, 6));
        assert_eq!(since.since(&since), Lookups::default());
    }

    #[test]
    fn counters_in_another_format_are_an_error() {
        assert!(Lookups::read("cmdstat_getrange:count=10", 0).is_err());
        assert!(Lookups::read("cmdstat_getrange:calls=many", 0).is_err());
    }
}
