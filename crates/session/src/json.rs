//! Strict JSON objects, read in one pass without building a tree.
//!
//! JSON parsers disagree about edge cases: JavaScript keeps the last of two members with the same name, others the first; some
//! accept a byte order mark, half a surrogate pair, or a number too large for a float. Where readers disagree, an attacker can
//! show each a different session, so all of that is refused, at every depth. serde_json itself refuses most of it, and nesting
//! beyond 128; this module finds duplicate members.

mod kept;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

pub(crate) use self::kept::Kept;

/// Reads `text` as one strict JSON object, and returns the values of the `wanted` members in the order of `wanted`. If a name
/// is wanted twice, only its first place gets the value.
///
/// # Errors
/// When `text` is not one object, or not strict.
pub(crate) fn members<'de, const N: usize>(
    text: &'de str,
    wanted: [&str; N],
) -> Result<[Option<Kept<'de>>; N], serde_json::Error> {
    walk(text, wanted, Depth::Outermost, usize::MAX)
}

/// Reads members, as [`members`] does, by path: `outer.inner` is the member `inner` of the object that is the member `outer`.
///
/// # Errors
/// The errors of [`members`], and when the outer member of a path is not an object.
pub(crate) fn members_by_path<'de, const N: usize>(
    text: &'de str,
    wanted: [&str; N],
) -> Result<[Option<Kept<'de>>; N], serde_json::Error> {
    walk(text, wanted, Depth::Paths, usize::MAX)
}

/// Reads members, as [`members`] does, of a text from an untrusted source. An object that has more than [`FEW`] members, together
/// with those that the objects around it have so far, is refused, because looking for duplicates among hundreds would make a
/// hostile header more expensive than a whole session.
pub(crate) fn few_members<'de, const N: usize>(
    text: &'de str,
    wanted: [&str; N],
) -> Result<[Option<Kept<'de>>; N], serde_json::Error> {
    walk(text, wanted, Depth::Outermost, FEW)
}

/// The limit of [`few_members`]. Headers have two to four members.
const FEW: usize = 16;

/// Where wanted members can be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// In the outermost object. A dot in a wanted name is a part of the name.
    Outermost,
    /// In the outermost object, or by a path in an object that is a member of it.
    Paths,
}

fn walk<'de, const N: usize>(
    text: &'de str,
    wanted: [&str; N],
    depth: Depth,
    most: usize,
) -> Result<[Option<Kept<'de>>; N], serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    // Sessions have about a dozen members: one allocation serves the whole walk.
    let open = Vec::with_capacity(16);
    let mut names = Names { open, most };
    let mut found = [const { None }; N];
    json.deserialize_map(Members {
        wanted: &wanted,
        depth,
        path: "",
        found: &mut found,
        names: &mut names,
    })?;
    json.end()?;
    Ok(found)
}

/// The names of the members read so far, of all objects that are still open. The innermost object's names come last.
struct Names<'de> {
    open: Vec<Cow<'de, str>>,
    most: usize,
}

impl<'de> Names<'de> {
    fn push<E: Error>(&mut self, name: Cow<'de, str>) -> Result<(), E> {
        if self.open.len() >= self.most {
            return Err(E::custom("too many members"));
        }
        self.open.push(name);
        Ok(())
    }

    /// Refuses two members with the same name in the object whose names start at `start`, and forgets its names.
    fn close_object<E: Error>(&mut self, start: usize) -> Result<(), E> {
        let own = self.open.get_mut(start..).unwrap_or_default();
        // Sorting keeps an object of thousands of members cheap.
        own.sort_unstable();
        if own.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(E::custom("duplicate member"));
        }
        self.open.truncate(start);
        Ok(())
    }
}

/// Visits an object that has wanted members: the outermost, or one named in the path of a wanted member.
struct Members<'n, 'de> {
    wanted: &'n [&'n str],
    depth: Depth,
    /// The name of this object in the outermost object; empty for the outermost object itself.
    path: &'n str,
    found: &'n mut [Option<Kept<'de>>],
    names: &'n mut Names<'de>,
}

impl Members<'_, '_> {
    /// The place of a member of this object among the wanted ones.
    fn place(&self, name: &str) -> Option<usize> {
        if self.path.is_empty() {
            let place = self.wanted.iter().position(|wanted| *wanted == name)?;
            // When reading by path, a member whose own name has a dot is not wanted.
            let is_path = self.depth == Depth::Paths && name.as_bytes().contains(&b'.');
            return (!is_path).then_some(place);
        }
        // The length rules out nearly all names.
        let (path, len) = (self.path, self.path.len() + 1 + name.len());
        self.wanted.iter().position(|wanted| {
            wanted.len() == len
                && wanted.starts_with(path)
                && wanted.as_bytes().get(path.len()) == Some(&b'.')
                && wanted.ends_with(name)
        })
    }

    /// Whether a wanted path leads into the member called `name`.
    fn leads_into(&self, name: &str) -> bool {
        self.depth == Depth::Paths
            && self.path.is_empty()
            && self.wanted.iter().any(|wanted| {
                let rest = wanted.strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with('.'))
            })
    }
}

impl<'de> DeserializeSeed<'de> for Members<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let start = self.names.open.len();
        while let Some(name) = map.next_key_seed(Name)? {
            self.names.push(name.clone())?;
            if let Some(place) = self.place(&name) {
                let value = map.next_value_seed(Keep { names: self.names })?;
                if let Some(found) = self.found.get_mut(place) {
                    *found = Some(value);
                }
            } else if self.leads_into(&name) {
                map.next_value_seed(Members {
                    wanted: self.wanted,
                    depth: self.depth,
                    path: &name,
                    found: self.found,
                    names: self.names,
                })?;
            } else {
                map.next_value_seed(Skip { names: self.names })?;
            }
        }
        self.names.close_object(start)
    }
}

/// Visits a member's name.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Visits a value that is wanted.
struct Keep<'n, 'de> {
    names: &'n mut Names<'de>,
}

impl<'de> DeserializeSeed<'de> for Keep<'_, 'de> {
    type Value = Kept<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep<'_, 'de> {
    type Value = Kept<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Kept::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Kept::Bool(value))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let float = || Kept::Number(number as f64);
        Ok(i64::try_from(number).map_or_else(|_| float(), Kept::Integer))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Kept::Integer(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Kept::Number(number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Kept::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Kept::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        let mut only_texts = true;
        while let Some(item) = seq.next_element_seed(Keep { names: self.names })? {
            match item {
                Kept::Text(text) => texts.push(text),
                Kept::Bool(_)
                | Kept::Integer(_)
                | Kept::Null
                | Kept::Number(_)
                | Kept::Other
                | Kept::Texts(_) => only_texts = false,
            }
        }
        Ok(if only_texts {
            Kept::Texts(texts)
        } else {
            Kept::Other
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Skip { names: self.names }.visit_map(map)?;
        Ok(Kept::Other)
    }
}

/// Visits a value that is not wanted, and only has to be strict.
struct Skip<'n, 'de> {
    names: &'n mut Names<'de>,
}

impl<'de> DeserializeSeed<'de> for Skip<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        // Not `deserialize_ignored_any`: that would skip strings without looking at their escapes.
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Skip { names: self.names })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let start = self.names.open.len();
        while let Some(name) = map.next_key_seed(Name)? {
            self.names.push(name)?;
            map.next_value_seed(Skip { names: self.names })?;
        }
        self.names.close_object(start)
    }
}

#[cfg(test)]
mod tests;
