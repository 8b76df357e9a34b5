//! The settings of a configuration as written, to report what a reload has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::config::{Config, DEFAULT_REALM, FileDigests, RestartSettings};

/// The settings as written, with fingerprints of secrets.
#[derive(Debug)]
pub(super) struct WrittenSettings {
    /// The values of settings, by realm.
    realms: BTreeMap<String, BTreeSet<(String, String)>>,
    routes: BTreeSet<String>,
    contents: FileDigests,
}

/// What a reload has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Changed settings, by variable and realm, and changed files.
    pub(crate) changed: BTreeSet<String>,
    /// New routes and realms.
    pub(crate) added: BTreeSet<String>,
    /// Removed routes and realms.
    pub(crate) removed: BTreeSet<String>,
    /// Settings that differ from those at the start of the process and need a restart.
    pub(crate) needs_restart: Vec<&'static str>,
}

impl WrittenSettings {
    /// The settings of this configuration, which was read from files with these contents.
    pub(super) fn of(config: &Config, contents: &FileDigests) -> Self {
        let realms = config.realms.iter().map(|realm| {
            let settings = realm.settings.iter();
            let written = settings.map(|setting| (setting.name.clone(), setting.shown.clone()));
            (realm.name.to_string(), written.collect())
        });
        let routes = config.rules.routes.all().iter();
        Self {
            realms: realms.collect(),
            routes: routes.map(|route| route.name.to_string()).collect(),
            contents: contents.clone(),
        }
    }

    /// What has changed since `before`.
    pub(super) fn changes_since(&self, before: &Self) -> Changes {
        let mut changes = Changes::default();
        for (name, settings) in &self.realms {
            match before.realms.get(name) {
                Some(before) => {
                    let differing = settings.symmetric_difference(before);
                    let differing =
                        differing.filter(|(setting, _)| !RestartSettings::needs_restart(setting));
                    changes
                        .changed
                        .extend(differing.map(|(setting, _)| match name.as_str() {
                            DEFAULT_REALM => setting.clone(),
                            realm => format!("{realm}: {setting}"),
                        }));
                }
                None => drop(changes.added.insert(format!("realm {name}"))),
            }
        }
        let gone = before.realms.keys();
        let gone = gone.filter(|name| !self.realms.contains_key(*name));
        changes
            .removed
            .extend(gone.map(|name| format!("realm {name}")));
        let route = |name: &String| format!("route {name}");
        let (ours, theirs) = (&self.routes, &before.routes);
        changes.added.extend(ours.difference(theirs).map(route));
        changes.removed.extend(theirs.difference(ours).map(route));
        let files = self.contents.differing(&before.contents);
        changes.changed.extend(files.map(str::to_owned));
        changes
    }
}

impl Changes {
    /// Whether nothing has changed.
    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("changed", &self.changed),
            ("added", &self.added),
            ("removed", &self.removed),
        ];
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        for (index, (what, names)) in parts.enumerate() {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{what}: {}", names.join(", "))?;
        }
        Ok(())
    }
}
