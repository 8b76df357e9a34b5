//! Everything that a request says about one session cookie, and the values that this makes.
//!
//! A browser keeps one cookie of a name for the host and another for each domain above it, and sends them all without
//! saying which is which (RFC 6265 section 5.4). An application that has moved its cookie to the domain leaves the old one
//! behind. So there can be several values, and each could be the session.

use std::borrow::Cow;

use crate::CookieName;
use crate::cookies::{MAX_CHUNKS, MAX_TOKEN_LEN, Part, Quotes, decode, recognise};
use crate::error::OpenError;

/// The most values of one cookie that are looked at: a host and three domains above it.
pub(crate) const MAX_VALUES: usize = 4;

/// Everything the request's `Cookie` headers say about one session cookie. What is empty is left of a cookie that is being
/// deleted, and says nothing.
#[derive(Default)]
pub(crate) struct Gathered<'a> {
    plain: Option<&'a [u8]>,
    other_plains: Vec<&'a [u8]>,
    /// Each by its number, as it first came.
    chunks: Vec<Option<&'a [u8]>>,
    /// Chunks that came again, with their number.
    repeated_chunks: Vec<(usize, &'a [u8])>,
    flaw: Option<Flaw>,
}

/// What makes a cookie unusable, noted while gathering: it counts only if this cookie is the one that matters.
#[derive(Clone, Copy)]
enum Flaw {
    Ambiguous,
    MalformedChunk,
    TooManyChunks,
}

/// One value, or why it cannot be one.
pub(crate) type Value<'a> = Result<Cow<'a, [u8]>, OpenError>;

/// The values of a cookie: at most [`MAX_VALUES`], nearly always one, for which no memory is asked.
#[derive(Clone, Default)]
pub(crate) struct Values<'a> {
    pub(crate) first: Option<Value<'a>>,
    pub(crate) others: Vec<Value<'a>>,
}

impl<'a> Values<'a> {
    pub(crate) fn flawed(error: OpenError) -> Self {
        Self {
            first: Some(Err(error)),
            others: Vec::new(),
        }
    }

    fn push(&mut self, value: Value<'a>) {
        if self.first.is_none() {
            self.first = Some(value);
        } else {
            self.others.push(value);
        }
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Value<'a>> {
        self.first.iter().chain(&self.others)
    }
}

impl<'a> Gathered<'a> {
    /// Whether the request says nothing about the cookie.
    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_none() && self.chunks.is_empty() && self.flaw.is_none()
    }

    /// Takes the value of the cookie called `own`, if that belongs to the session cookie `name`.
    pub(crate) fn gather(&mut self, name: &CookieName, own: &[u8], value: &'a [u8]) {
        match recognise(own, name) {
            None => {}
            Some(_) if value.is_empty() => {}
            Some(Part::Whole) => self.gather_plain(value),
            Some(Part::Chunk(index)) => self.gather_chunk(index, value),
            Some(Part::ChunkBeyondLimit) => self.note(Flaw::TooManyChunks),
            Some(Part::MisnumberedChunk) => self.note(Flaw::MalformedChunk),
        }
    }

    fn gather_plain(&mut self, value: &'a [u8]) {
        match self.plain {
            None => self.plain = Some(value),
            // The same value twice is what a host-only cookie beside one with a Domain may look like.
            Some(plain) if plain == value || self.other_plains.contains(&value) => {}
            Some(_) if self.other_plains.len() + 1 < MAX_VALUES => self.other_plains.push(value),
            Some(_) => self.note(Flaw::Ambiguous),
        }
    }

    fn gather_chunk(&mut self, index: usize, value: &'a [u8]) {
        if self.chunks.len() <= index {
            self.chunks.resize(index + 1, None);
        }
        if self.chunks[index].is_none() {
            self.chunks[index] = Some(value);
        } else if self.repeated_chunks.len() < MAX_CHUNKS * MAX_VALUES {
            self.repeated_chunks.push((index, value));
        } else {
            self.note(Flaw::Ambiguous);
        }
    }

    fn note(&mut self, flaw: Flaw) {
        self.flaw = self.flaw.or(Some(flaw));
    }

    /// The values that could each be the session, put together from chunks if need be. A value that cannot be put together
    /// is an [`OpenError::MissingChunk`] or [`OpenError::Oversize`]; a request that says too much about the cookie, or
    /// what no framework writes, makes one [`OpenError::AmbiguousCookie`], [`OpenError::MalformedChunk`] or
    /// [`OpenError::Oversize`] of all of it.
    pub(crate) fn values(&self, name: &CookieName, quotes: Quotes) -> Values<'a> {
        let ambiguous = || OpenError::AmbiguousCookie { name: name.clone() };
        match self.flaw {
            None => {}
            Some(Flaw::Ambiguous) => return Values::flawed(ambiguous()),
            Some(Flaw::MalformedChunk) => {
                return Values::flawed(OpenError::MalformedChunk { name: name.clone() });
            }
            Some(Flaw::TooManyChunks) => return Values::flawed(OpenError::Oversize),
        }
        let mut values = Values::default();
        for plain in self.plain.iter().chain(&self.other_plains) {
            values.push(if plain.len() > MAX_TOKEN_LEN {
                Err(OpenError::Oversize)
            } else {
                Ok(decode(plain, quotes))
            });
        }
        if self.repeated_chunks.is_empty() {
            if !self.chunks.is_empty() {
                values.push(join(name, &self.chunks, quotes));
            }
        } else {
            for chunks in self.chunk_sets() {
                values.push(join(name, &chunks, quotes));
            }
        }
        if values.len() > MAX_VALUES {
            return Values::flawed(ambiguous());
        }
        values
    }

    /// The sets of chunks that could belong together, one more than [`MAX_VALUES`] at most.
    ///
    /// A browser sends the cookies of one domain in the order of their making, so the first of every number are one set, the
    /// second another. A set that is shorter than the others ends where there are fewer of a number than of the one
    /// before. Whether the right ones were put together, the token's seal tells.
    fn chunk_sets(&self) -> Vec<Vec<Option<&'a [u8]>>> {
        let mut repeated = self.repeated_chunks.clone();
        // Stable: those of one number stay in their order.
        repeated.sort_by_key(|(index, _)| *index);
        let again = |index: usize| {
            let start = repeated.partition_point(|(other, _)| *other < index);
            let end = repeated.partition_point(|(other, _)| *other <= index);
            &repeated[start..end]
        };
        let count = |index: usize| match self.chunks.get(index) {
            Some(Some(_)) => 1 + again(index).len(),
            Some(None) | None => 0,
        };
        let lengths = (1..=self.chunks.len()).filter(|len| count(*len) < count(*len - 1));
        let turns = (0..self.chunks.len()).map(count).max().unwrap_or(0);
        let sets = lengths.flat_map(|len| (0..turns).map(move |turn| (len, turn)));
        let pick = |index: usize, turn: usize| {
            let again = again(index);
            match turn.min(again.len()).checked_sub(1) {
                Some(at) => again.get(at).map(|(_, value)| *value),
                None => self.chunks.get(index).copied().flatten(),
            }
        };
        let mut unlike = Vec::new();
        for (len, turn) in sets {
            let set: Vec<_> = (0..len).map(|index| pick(index, turn)).collect();
            if !unlike.contains(&set) {
                unlike.push(set);
            }
            if unlike.len() > MAX_VALUES {
                break;
            }
        }
        unlike
    }
}

fn join<'a>(name: &CookieName, chunks: &[Option<&'a [u8]>], quotes: Quotes) -> Value<'a> {
    let len: usize = chunks.iter().flatten().map(|chunk| chunk.len()).sum();
    if len > MAX_TOKEN_LEN {
        return Err(OpenError::Oversize);
    }
    let mut token = Vec::with_capacity(len);
    for (index, chunk) in chunks.iter().enumerate() {
        let chunk = chunk.ok_or_else(|| OpenError::MissingChunk {
            name: name.clone(),
            index,
        })?;
        token.extend_from_slice(&decode(chunk, quotes));
    }
    Ok(Cow::Owned(token))
}
