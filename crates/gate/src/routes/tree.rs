//! The paths of one host's routes, as a tree of segments.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::FixedState;
use http::Method;
use percent_encoding::percent_decode;

use super::Methods;
use super::folding::Folding;
use super::path_pattern::{PathPattern, PatternSegment};

/// The routes of a host, by path.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    folding: Folding,
}

/// A node of the tree, reached by the segments before it.
#[derive(Clone, Debug, Default)]
struct Node {
    literals: Literals,
    /// The node that any segment leads to.
    any: Option<usize>,
    /// The routes of the path that ends here; routes with fewer methods come first.
    here: Vec<Entry>,
    /// The routes of the folder here, and of everything below.
    below: Vec<Entry>,
}

/// A pattern that ends in the tree.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) methods: Methods,
    /// The id of its route.
    pub(super) route: usize,
}

/// The node that each literal segment leads to. The operator chooses the keys, so the hash needs no secret.
type Literals = HashMap<Box<[u8]>, usize, FixedState>;

impl Tree {
    pub(super) fn new(folding: Folding) -> Self {
        Self {
            nodes: vec![Node::default()],
            folding,
        }
    }

    pub(super) fn folding(&self) -> Folding {
        self.folding
    }

    /// Adds a pattern. Returns the other route that matches the same requests with the same precedence, if there is one.
    pub(super) fn add(&mut self, pattern: &PathPattern, entry: Entry) -> Option<usize> {
        let mut at = 0;
        for segment in &pattern.segments {
            let next = self.nodes.len();
            let node = &mut self.nodes[at];
            at = match segment {
                PatternSegment::Any => *node.any.get_or_insert(next),
                PatternSegment::Literal(literal) => {
                    let literal = self.folding.fold(Cow::Borrowed(literal));
                    *node.literals.entry((*literal).into()).or_insert(next)
                }
            };
            if at == next {
                self.nodes.push(Node::default());
            }
        }
        let node = &mut self.nodes[at];
        let entries = match pattern.is_folder {
            true => &mut node.below,
            false => &mut node.here,
        };
        let is_equal = |other: &&Entry| {
            other.methods.rank() == entry.methods.rank()
                && other.methods.overlap(&entry.methods)
                && other.route != entry.route
        };
        let equal = entries.iter().find(is_equal).map(|other| other.route);
        let rank = |entry: &Entry| entry.methods.rank();
        let place = entries.partition_point(|other| rank(other) <= rank(&entry));
        entries.insert(place, entry);
        equal
    }

    /// Returns a segment in the form of patterns: escapes decoded, and folded.
    pub(super) fn canonical<'s>(&self, segment: &'s [u8]) -> Cow<'s, [u8]> {
        let decoded = match segment.contains(&b'%') {
            true => percent_decode(segment).into(),
            false => Cow::Borrowed(segment),
        };
        self.folding.fold(decoded)
    }

    /// Returns the route of the most specific pattern that matches: a path before a folder, a longer folder before a shorter one,
    /// and of patterns of the same length the one that names the first segment in which they differ.
    ///
    /// `path` begins with a slash. Its escapes are decoded segment by segment, so `%2f` does not divide segments.
    pub(super) fn find(&self, path: &[u8], method: &Method) -> Option<usize> {
        let mut search = Search {
            tree: self,
            method,
            folder: None,
        };
        let rest = path.strip_prefix(b"/").unwrap_or(path);
        let exact = search.descend(0, Some(rest), 0);
        exact.or_else(|| search.folder.map(|(_, route)| route))
    }
}

struct Search<'t> {
    tree: &'t Tree,
    method: &'t Method,
    /// The best folder so far: its depth and its route.
    folder: Option<(usize, usize)>,
}

impl Search<'_> {
    /// Returns the route of the path that is `rest` below this node, and notes folders on the way. `None` for `rest` is the end
    /// of the path.
    fn descend(&mut self, at: usize, rest: Option<&[u8]>, depth: usize) -> Option<usize> {
        let node = &self.tree.nodes[at];
        let Some(rest) = rest else {
            return self.first(&node.here);
        };
        if self.folder.is_none_or(|(best, _)| best < depth)
            && let Some(route) = self.first(&node.below)
        {
            self.folder = Some((depth, route));
        }
        if node.literals.is_empty() && node.any.is_none() {
            return None;
        }
        let (segment, rest) = match memchr::memchr(b'/', rest) {
            Some(slash) => (&rest[..slash], Some(&rest[slash + 1..])),
            None => (rest, None),
        };
        if let Some(next) = self.literal(&node.literals, segment)
            && let Some(route) = self.descend(next, rest, depth + 1)
        {
            return Some(route);
        }
        let next = node.any.filter(|_| !segment.is_empty())?;
        self.descend(next, rest, depth + 1)
    }

    fn literal(&self, literals: &Literals, segment: &[u8]) -> Option<usize> {
        if literals.is_empty() {
            return None;
        }
        literals.get(&*self.tree.canonical(segment)).copied()
    }

    fn first(&self, entries: &[Entry]) -> Option<usize> {
        let matching = entries.iter().find(|entry| entry.methods.has(self.method));
        matching.map(|entry| entry.route)
    }
}
