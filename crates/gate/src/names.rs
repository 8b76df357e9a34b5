//! Header names that mean something to a gate: those that say who the user is, and those that describe the original request.
//!
//! Names are compared in **normal form**: lower case, with every byte that is neither a letter nor a digit replaced by `-`.
//! [`lists`] holds the names; this file searches them.

mod lists;

use self::lists::{LISTS, REWRITTEN, ROUTING_SUFFIXES};

/// What a header name means to a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It claims an identity.
    Identity,
    /// It has no meaning to a gate.
    Other,
    /// It describes the original request.
    Routing,
}

/// Returns the meaning of a name in normal form.
pub(crate) fn meaning(normal: &str) -> Meaning {
    let mut meaning = Meaning::Other;
    for listed in listed_with_start(normal) {
        match listed.meaning {
            Meaning::Identity if listed.is(normal) => return Meaning::Identity,
            Meaning::Routing if listed.is(normal) => meaning = Meaning::Routing,
            Meaning::Identity | Meaning::Other | Meaning::Routing => {}
        }
    }
    if meaning == Meaning::Other && has_routing_suffix(normal) {
        return Meaning::Routing;
    }
    meaning
}

/// Whether a name can be in the lists, judged by its first four bytes and its last three. That rules out nearly every header
/// that browsers send.
pub(crate) fn may_be_listed(name: &[u8]) -> bool {
    let [a, b, c, d, ..] = name else {
        return false;
    };
    let may_start = STARTS[0].has(*a, *b) && STARTS[2].has(*c, *d) && STARTS[1].has(*b, *c);
    may_start || may_have_routing_suffix(name)
}

/// Whether a service that folds names reads this name as one of [`REWRITTEN`], although it is spelled differently.
pub(crate) fn is_alias_of_rewritten(name: &str) -> bool {
    let is_alias = |rewritten: &&str| {
        rewritten.len() == name.len()
            && **rewritten != *name
            && name.bytes().map(normal_byte).eq(rewritten.bytes())
    };
    // The length rules out nearly every name, and most of the others are in normal form.
    REWRITTEN_LENGTHS & 1 << (name.len() % 64) != 0
        && !is_normal(name)
        && REWRITTEN.iter().any(is_alias)
}

/// A bit for the length of each name in [`REWRITTEN`].
const REWRITTEN_LENGTHS: u64 = {
    let (mut lengths, mut index) = (0, 0);
    while index < REWRITTEN.len() {
        lengths |= 1 << (REWRITTEN[index].len() % 64);
        index += 1;
    }
    lengths
};

/// Whether a name is in normal form.
pub(crate) fn is_normal(name: &str) -> bool {
    // The loop has no early exit, so that it vectorizes.
    name.bytes().fold(true, |normal, byte| {
        normal & matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')
    })
}

/// Returns the normal form of a byte of a name.
pub(crate) const fn normal_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'-'
    }
}

/// A name in the lists, or a prefix of names.
#[derive(Clone, Copy)]
struct Listed {
    name: &'static str,
    is_prefix: bool,
    meaning: Meaning,
}

impl Listed {
    fn is(&self, name: &str) -> bool {
        if self.is_prefix {
            name.starts_with(self.name)
        } else {
            name == self.name
        }
    }
}

/// Returns everything in the lists that has the same first four bytes as the name.
fn listed_with_start(name: &str) -> impl Iterator<Item = &'static Listed> {
    let key = name
        .as_bytes()
        .first_chunk()
        .map(|key| u32::from_be_bytes(*key));
    let start = KEYS.partition_point(|other| Some(*other) < key);
    let like = KEYS[start..].iter().zip(&LISTED[start..]);
    like.take_while(move |(other, _)| Some(**other) == key)
        .map(|(_, listed)| listed)
}

/// Whether the name is one of [`ROUTING_SUFFIXES`], or ends in one after a `-`.
fn has_routing_suffix(name: &str) -> bool {
    may_have_routing_suffix(name.as_bytes())
        && ROUTING_SUFFIXES.iter().any(|suffix| {
            name.strip_suffix(suffix)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('-'))
        })
}

fn may_have_routing_suffix(name: &[u8]) -> bool {
    match name {
        [.., third, second, last] if name.len() >= SHORTEST_SUFFIX => {
            ENDS[0].has(*third, *second) && ENDS[1].has(*second, *last)
        }
        _ => false,
    }
}

/// A set of pairs of bytes in normal form. Only the low five bits of a byte are compared, so a few pairs coincide.
struct Pairs([u32; 32]);

impl Pairs {
    const fn add(&mut self, first: u8, second: u8) {
        self.0[SLOTS[first as usize] as usize] |= 1 << SLOTS[second as usize];
    }

    /// Returns the pairs of bytes at `at` in all listed names.
    const fn at_start(at: usize) -> Self {
        let mut pairs = Self([0; 32]);
        let mut index = 0;
        while index < LISTED.len() {
            let name = LISTED[index].name.as_bytes();
            pairs.add(name[at], name[at + 1]);
            index += 1;
        }
        pairs
    }

    /// Returns the pairs of bytes at `at`, counted from the end, in all suffixes.
    const fn at_end(at: usize) -> Self {
        let mut pairs = Self([0; 32]);
        let mut index = 0;
        while index < ROUTING_SUFFIXES.len() {
            let name = ROUTING_SUFFIXES[index].as_bytes();
            pairs.add(name[name.len() - at], name[name.len() - at + 1]);
            index += 1;
        }
        pairs
    }

    fn has(&self, first: u8, second: u8) -> bool {
        self.0[SLOTS[first as usize] as usize] & (1 << SLOTS[second as usize]) != 0
    }
}

/// The low five bits of every byte in normal form.
static SLOTS: [u8; 256] = {
    let mut slots = [0; 256];
    let mut byte = 0;
    while byte < slots.len() {
        slots[byte] = normal_byte(byte as u8) & 31;
        byte += 1;
    }
    slots
};

static STARTS: [Pairs; 3] = [Pairs::at_start(0), Pairs::at_start(1), Pairs::at_start(2)];

static ENDS: [Pairs; 2] = [Pairs::at_end(3), Pairs::at_end(2)];

/// The length of the shortest of [`ROUTING_SUFFIXES`].
const SHORTEST_SUFFIX: usize = 5;

/// All lists together, sorted by the first four bytes.
static LISTED: [Listed; count()] = listed();

/// The first four bytes of everything in [`LISTED`], so that a search compares numbers.
static KEYS: [u32; LISTED.len()] = {
    let mut keys = [0; LISTED.len()];
    let mut index = 0;
    while index < LISTED.len() {
        keys[index] = key(LISTED[index].name);
        index += 1;
    }
    keys
};

const fn key(name: &str) -> u32 {
    match name.as_bytes().first_chunk() {
        Some(key) => u32::from_be_bytes(*key),
        None => panic!("every listed name has four bytes"),
    }
}

const fn listed() -> [Listed; count()] {
    let mut all = [Listed {
        name: "",
        is_prefix: false,
        meaning: Meaning::Other,
    }; count()];
    let (mut len, mut list) = (0, 0);
    while list < LISTS.len() {
        let (names, is_prefix, meaning) = LISTS[list];
        let mut index = 0;
        while index < names.len() {
            let name = names[index];
            let mut at = len;
            while at > 0 && key(name) < key(all[at - 1].name) {
                all[at] = all[at - 1];
                at -= 1;
            }
            all[at] = Listed {
                name,
                is_prefix,
                meaning,
            };
            len += 1;
            index += 1;
        }
        list += 1;
    }
    all
}

const fn count() -> usize {
    let (mut count, mut list) = (0, 0);
    while list < LISTS.len() {
        count += LISTS[list].0.len();
        list += 1;
    }
    count
}

#[cfg(test)]
mod tests;
