//! The CPU time and memory of processes, from `/proc`.

use std::collections::HashMap;
use std::fs;

/// The CPU time of every process at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot(HashMap<u32, Account>);

#[derive(Clone, Copy, Debug)]
struct Account {
    parent: u32,
    ticks: u64,
}

/// The memory of a process and all of its descendants, in MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident set size: a page that several processes share counts fully in each.
    pub(crate) rss: f64,
    /// Proportional set size: a shared page is divided among the processes that share it.
    pub(crate) pss: f64,
}

impl Snapshot {
    /// Reads the CPU time of every process on the machine.
    pub(crate) fn take() -> Self {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let accounts = processes.filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            // The time of a process that has ended since the listing is in its parent's account.
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            Some((id, account(&stat)?))
        });
        Self(accounts.collect())
    }

    /// Returns the CPU seconds of these processes and their descendants, including those that have ended.
    pub(crate) fn seconds(&self, roots: &[u32]) -> f64 {
        let ids = self.descendants(roots);
        let ticks = ids.iter().filter_map(|id| self.0.get(id));
        seconds(ticks.map(|account| account.ticks).sum())
    }

    /// Returns the CPU seconds of all running processes except this one.
    pub(crate) fn seconds_beside_this(&self) -> f64 {
        let beside = self.0.iter().filter(|(id, _)| **id != std::process::id());
        seconds(beside.map(|(_, account)| account.ticks).sum())
    }

    /// Returns the CPU seconds of all processes except this one and its descendants.
    pub(crate) fn seconds_of_others(&self) -> f64 {
        let all = self.0.values().map(|account| account.ticks).sum();
        seconds(all) - self.seconds(&[std::process::id()])
    }

    /// Returns the memory of these processes and their descendants, if any of them still runs.
    pub(crate) fn memory(&self, roots: &[u32]) -> Option<Memory> {
        let sum = |name: &str| {
            let kibibytes = |id: u32| {
                let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
                let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
                line.trim().strip_suffix(" kB")?.parse::<f64>().ok()
            };
            let ids = self.descendants(roots);
            ids.into_iter().filter_map(kibibytes).sum::<f64>() / 1024.0
        };
        let (rss, pss) = (sum("Rss:"), sum("Pss:"));
        (rss > 0.0).then_some(Memory { rss, pss })
    }

    /// Returns `roots` and all their descendants.
    fn descendants(&self, roots: &[u32]) -> Vec<u32> {
        let mut found = roots.to_vec();
        let mut next = 0;
        while let Some(&parent) = found.get(next) {
            let children = self.0.iter().filter(|(_, child)| child.parent == parent);
            found.extend(children.map(|(id, _)| id));
            next += 1;
        }
        found
    }
}

/// Reads the parent and the CPU time from a line of `/proc/ID/stat` (proc_pid_stat(5)): user and system time, of the process
/// and of the children that it has waited for.
fn account(stat: &str) -> Option<Account> {
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<_> = fields.split(' ').collect();
    let ticks = fields.get(11..15)?.iter().map(|ticks| ticks.parse::<u64>());
    Some(Account {
        parent: fields.get(1)?.parse().ok()?,
        ticks: ticks.sum::<Result<_, _>>().ok()?,
    })
}

/// Converts clock ticks to seconds: Linux reports times in hundredths of a second, whatever its timer frequency.
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::{Account, Snapshot, account};

    #[test]
    fn the_time_of_children_that_have_ended_counts() {
        let line = "42 (a) b) S 7 42 42 0 -1 4194560 9 0 0 0 100 20 3 4 20 0 1 0 5 6 7";
        let account = account(line).unwrap();
        assert_eq!((account.parent, account.ticks), (7, 127));
    }

    #[test]
    fn descendants_count_and_strangers_do_not() {
        let process = |parent, ticks| Account { parent, ticks };
        let accounts = [
            (1, process(0, 1000)),
            (5, process(1, 100)),
            (6, process(5, 20)),
            (7, process(6, 3)),
        ];
        let snapshot = Snapshot(accounts.into());
        assert_eq!(snapshot.seconds(&[5]), 1.23);
    }
}
