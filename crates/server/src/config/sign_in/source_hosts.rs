//! The hosts from which browsers are redirected to a sign-in page, and whether a path is public on them.

use std::collections::BTreeSet;

use gate::Routes;

/// The hosts from which browsers are redirected to a sign-in page.
#[derive(Debug, Default)]
pub(in crate::config) struct SourceHosts {
    /// The hosts in routes, which may be wildcards such as `*.example.com`.
    pub(in crate::config) hosts: BTreeSet<String>,
    /// Whether there may be other hosts, whose names are unknown.
    pub(in crate::config) others: bool,
    /// Whether a route without `host` redirects to the page.
    pub(in crate::config) from_anywhere: bool,
}

impl SourceHosts {
    /// The hosts of the routes with these ids.
    pub(in crate::config) fn of_routes(
        routes: &Routes,
        ids: impl IntoIterator<Item = usize>,
    ) -> Self {
        let mut sources = Self::default();
        for id in ids {
            let mut names = routes.hosts_of(id).peekable();
            sources.from_anywhere |= names.peek().is_none();
            sources.hosts.extend(names);
        }
        // Requests that match no route are redirected to the page too.
        sources.others = sources.from_anywhere || sources.hosts.is_empty();
        sources
    }

    /// Whether a path is public on all known hosts, and if there may be unknown ones, on at least one host.
    pub(super) fn is_public(&self, routes: &Routes, path: &str) -> bool {
        self.closed_hosts(routes, path).next().is_none()
            && (!self.others || routes.is_public_somewhere(path))
    }

    /// The known hosts on which a path is not public.
    pub(super) fn closed_hosts<'c>(
        &'c self,
        routes: &'c Routes,
        path: &'c str,
    ) -> impl Iterator<Item = &'c String> {
        let hosts = self.hosts.iter();
        hosts.filter(move |host| !routes.is_public_on(Some(host), path))
    }
}
