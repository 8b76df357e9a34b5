//! Finds variables that are probably misspelled settings, or settings that cannot be read.

use std::collections::BTreeSet;

use super::super::catalogue::is_from_files;
use super::Reader;

impl Reader<'_> {
    /// A warning for each unknown variable whose name differs from that of a setting by one typo. `others` are settings that
    /// may not have been read.
    pub(crate) fn probable_typos(&self, others: &[&str]) -> Vec<String> {
        let known = self.known(others);
        let is_known = |name: &str| known.contains(name.strip_suffix("_FILE").unwrap_or(name));
        let unknown = self
            .variables
            .names()
            .filter(|name| name.len() >= 6 && !known.contains(name) && !is_known(name));
        let nearest = |name: &str| {
            known
                .iter()
                .find(|known| is_one_typo_away(name, known))
                .copied()
        };
        unknown
            .filter_map(|name| {
                let nearest = nearest(name)?;
                Some(format!(
                    "{name} is set but is not a setting of sessiongate; did you mean {nearest}?"
                ))
            })
            .collect()
    }

    /// Reports settings that cannot be read: values that are not UTF-8, and `_FILE` variables of settings that cannot come
    /// from a file.
    pub(crate) fn unreadable(&mut self, others: &[&str]) {
        let known = self.known(others);
        let known: BTreeSet<_> = known.into_iter().map(str::to_owned).collect();
        for name in self.variables.unreadable() {
            if known.contains(name.strip_suffix("_FILE").unwrap_or(name)) || known.contains(name) {
                self.problem(name, "its value is not UTF-8 text");
            }
        }
        let files: Vec<_> = self.variables.names().map(str::to_owned).collect();
        for name in files {
            let Some(stem) = name.strip_suffix("_FILE") else {
                continue;
            };
            if known.contains(stem) && !known.contains(&name) && !is_from_files(stem) {
                self.warnings.push(format!(
                    "{name} has no effect: only secrets and URLs with credentials can be read from files"
                ));
            }
        }
    }

    fn known<'a>(&'a self, others: &[&'a str]) -> BTreeSet<&'a str> {
        let read = self.settings.iter().map(|setting| setting.name.as_str());
        read.chain(others.iter().copied()).collect()
    }
}

/// Whether one letter was added, removed, changed or swapped with its neighbor.
pub(super) fn is_one_typo_away(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same_start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same_start..], &b[same_start..]);
    let same_end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    match (&a[..a.len() - same_end], &b[..b.len() - same_end]) {
        ([_], []) | ([], [_]) | ([_], [_]) => true,
        ([a0, a1], [b0, b1]) => a0 == b1 && a1 == b0,
        _ => false,
    }
}
