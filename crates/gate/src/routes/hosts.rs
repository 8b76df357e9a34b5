//! The routes of each host.

use std::collections::HashMap;
use std::io::Write as _;

use foldhash::fast::FixedState;
use http::Method;

use super::folding::Folding;
use super::host_pattern::{LONGEST_HOST, address};
use super::tree::{Entry, Tree};
use super::{Conflict, HostPattern, Matched};

/// The routes of each host.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    pub(super) exact: HashMap<Box<str>, Tree, FixedState>,
    pub(super) one_label_below: HashMap<Box<str>, Tree, FixedState>,
    pub(super) any: Tree,
}

impl Hosts {
    pub(super) fn new(folding: Folding) -> Self {
        Self {
            exact: HashMap::default(),
            one_label_below: HashMap::default(),
            any: Tree::new(folding),
        }
    }

    pub(super) fn add(&mut self, matched: &Matched, conflicts: &mut Vec<Conflict>) {
        let folding = self.any.folding();
        let any = [HostPattern::Any];
        let hosts = match matched.hosts.is_empty() {
            true => &any[..],
            false => &matched.hosts[..],
        };
        for host in hosts {
            let tree = match host {
                HostPattern::Any => &mut self.any,
                HostPattern::Exact(name) => Self::tree(&mut self.exact, name, folding),
                HostPattern::OneLabelBelow(name) => {
                    Self::tree(&mut self.one_label_below, name, folding)
                }
            };
            for path in &matched.paths {
                let entry = Entry {
                    methods: matched.methods.clone(),
                    route: matched.route.id,
                };
                let equal = tree.add(path, entry);
                conflicts.extend(equal.map(|first| Conflict {
                    first,
                    second: matched.route.id,
                    host: host.clone(),
                    path: path.clone(),
                }));
            }
        }
    }

    fn tree<'t>(
        trees: &'t mut HashMap<Box<str>, Tree, FixedState>,
        name: &str,
        folding: Folding,
    ) -> &'t mut Tree {
        let new = || Tree::new(folding);
        trees.entry(name.into()).or_insert_with(new)
    }

    /// Returns the most specific route that matches: first of this host, then of its parent domain with `*.`, then of any host.
    pub(super) fn find(&self, host: &str, path: &[u8], method: &Method) -> Option<usize> {
        let by_host = || {
            let mut buffer = [0; LONGEST_HOST];
            let name = canonical(host, &mut buffer)?;
            let exact = self.exact.get(name);
            let exact = exact.and_then(|tree| tree.find(path, method));
            exact.or_else(|| {
                let (label, above) = name.split_once('.')?;
                let trees = self.one_label_below.get(above);
                trees.filter(|_| !label.is_empty())?.find(path, method)
            })
        };
        let has_hosts = !self.exact.is_empty() || !self.one_label_below.is_empty();
        let found = has_hosts.then(by_host).flatten();
        found.or_else(|| self.any.find(path, method))
    }
}

/// Returns the host in the form of patterns: lower case, without a port and a final dot. `None` for a host that no pattern can
/// have.
pub(super) fn canonical<'b>(host: &'b str, buffer: &'b mut [u8; LONGEST_HOST]) -> Option<&'b str> {
    if host.starts_with('[') {
        // The colons in an IPv6 address do not begin a port.
        let address = address(&host[..=host.find(']')?])?;
        let mut rest = &mut buffer[..];
        write!(rest, "{address}").ok()?;
        let len = LONGEST_HOST - rest.len();
        return str::from_utf8(&buffer[..len]).ok();
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let name = name.strip_suffix('.').unwrap_or(name);
    if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(name);
    }
    let lower = buffer.get_mut(..name.len())?;
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    str::from_utf8(lower).ok()
}

/// Returns the form `*.name` for all hosts one label below this name. Used as a host, it is one that no route can name exactly.
pub(super) fn below(name: &str) -> String {
    format!("*.{name}")
}
