//! Collects what a request's `Cookie` headers contain for one session cookie, and joins its chunks to values.
//!
//! A browser can keep a cookie of the same name for the host and for each parent domain, and sends them all without saying
//! which is which (RFC 6265 section 5.4). An application that moves its cookie to the parent domain leaves the old one behind.
//! So there can be several values, and each could be the session.

use std::borrow::Cow;

use crate::CookieName;
use crate::cookies::{MAX_CHUNKS, MAX_TOKEN_LEN, NameRelation, Quotes, decode, recognize};
use crate::error::OpenError;

/// The largest number of values of one cookie that are accepted: those of a host and three parent domains.
pub(crate) const MAX_VALUES: usize = 4;

/// Everything that the request's `Cookie` headers contain for one session cookie. An empty value is left over from a cookie that
/// is being deleted, and is ignored.
#[derive(Default)]
pub(crate) struct Gathered<'a> {
    plain: Option<&'a [u8]>,
    /// The first chunk of each number, by that number.
    chunks: Vec<Option<&'a [u8]>>,
    /// Repeated values. Boxed, because they are rare, and a request makes many `Gathered`.
    repeated: Option<Box<Repeated<'a>>>,
    flaw: Option<CookieFlaw>,
}

/// The repeated values of a cookie.
#[derive(Default)]
struct Repeated<'a> {
    /// Other values of the plain cookie.
    plains: Vec<&'a [u8]>,
    /// Repeated chunks, with their numbers.
    chunks: Vec<(usize, &'a [u8])>,
}

/// What makes a cookie unusable. It is noted while gathering, and matters only if the values of this cookie are used.
#[derive(Clone, Copy)]
enum CookieFlaw {
    Ambiguous,
    MalformedChunk,
    TooManyChunks,
}

/// A value that could be the session, or why it cannot be one.
pub(crate) type CookieValue<'a> = Result<Cow<'a, [u8]>, OpenError>;

/// The values of a cookie: at most [`MAX_VALUES`]. Nearly always there is one, which needs no list.
#[derive(Clone, Default)]
pub(crate) struct CookieValues<'a> {
    pub(crate) first: Option<CookieValue<'a>>,
    pub(crate) others: Vec<CookieValue<'a>>,
}

impl<'a> CookieValues<'a> {
    pub(crate) fn flawed(error: OpenError) -> Self {
        Self {
            first: Some(Err(error)),
            others: Vec::new(),
        }
    }

    fn push(&mut self, value: CookieValue<'a>) {
        if self.first.is_none() {
            self.first = Some(value);
        } else {
            self.others.push(value);
        }
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &CookieValue<'a>> {
        self.first.iter().chain(&self.others)
    }
}

impl<'a> Gathered<'a> {
    /// Whether the request does not contain the cookie.
    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_none() && self.chunks.is_empty() && self.flaw.is_none()
    }

    /// Takes the value of the cookie called `own`, if that belongs to the session cookie `name`.
    pub(crate) fn gather(&mut self, name: &CookieName, own: &[u8], value: &'a [u8]) {
        match recognize(own, name) {
            None => {}
            Some(_) if value.is_empty() => {}
            Some(NameRelation::Whole) => self.gather_plain(value),
            Some(NameRelation::Chunk(index)) => self.gather_chunk(index, value),
            Some(NameRelation::ChunkBeyondLimit) => self.note(CookieFlaw::TooManyChunks),
            Some(NameRelation::MisnumberedChunk) => self.note(CookieFlaw::MalformedChunk),
        }
    }

    fn gather_plain(&mut self, value: &'a [u8]) {
        let Some(plain) = self.plain else {
            self.plain = Some(value);
            return;
        };
        let repeated = self.repeated.get_or_insert_default();
        // A host-only cookie beside one with a Domain may have the same value.
        if plain == value || repeated.plains.contains(&value) {
            return;
        }
        if repeated.plains.len() + 1 < MAX_VALUES {
            repeated.plains.push(value);
        } else {
            self.note(CookieFlaw::Ambiguous);
        }
    }

    fn gather_chunk(&mut self, index: usize, value: &'a [u8]) {
        if self.chunks.len() <= index {
            self.chunks.resize(index + 1, None);
        }
        if self.chunks[index].is_none() {
            self.chunks[index] = Some(value);
            return;
        }
        let repeated = self.repeated.get_or_insert_default();
        if repeated.chunks.len() < MAX_CHUNKS * MAX_VALUES {
            repeated.chunks.push((index, value));
        } else {
            self.note(CookieFlaw::Ambiguous);
        }
    }

    fn note(&mut self, flaw: CookieFlaw) {
        self.flaw = self.flaw.or(Some(flaw));
    }

    /// The values that could each be the session, joined from chunks where necessary. A value that cannot be joined is an
    /// [`OpenError::MissingChunk`] or [`OpenError::Oversize`]. When the request has too many values, or chunks that no framework
    /// writes, the only value is an [`OpenError::AmbiguousCookie`], [`OpenError::MalformedChunk`] or [`OpenError::Oversize`].
    pub(crate) fn values(&self, name: &CookieName, quotes: Quotes) -> CookieValues<'a> {
        let ambiguous = || OpenError::AmbiguousCookie { name: name.clone() };
        match self.flaw {
            None => {}
            Some(CookieFlaw::Ambiguous) => return CookieValues::flawed(ambiguous()),
            Some(CookieFlaw::MalformedChunk) => {
                return CookieValues::flawed(OpenError::MalformedChunk { name: name.clone() });
            }
            Some(CookieFlaw::TooManyChunks) => return CookieValues::flawed(OpenError::Oversize),
        }
        if self.plain.is_some() && !self.chunks.is_empty() {
            // The frameworks would join them all.
            return CookieValues::flawed(ambiguous());
        }
        let mut values = CookieValues::default();
        let repeated = self.repeated.as_deref();
        let other_plains = repeated.iter().flat_map(|repeated| &repeated.plains);
        for plain in self.plain.iter().chain(other_plains) {
            values.push(if plain.len() > MAX_TOKEN_LEN {
                Err(OpenError::Oversize)
            } else {
                Ok(decode(plain, quotes))
            });
        }
        match repeated.filter(|repeated| !repeated.chunks.is_empty()) {
            None if self.chunks.is_empty() => {}
            None => values.push(join(name, &self.chunks, quotes)),
            Some(repeated) => match self.chunk_sets(&repeated.chunks) {
                None => return CookieValues::flawed(ambiguous()),
                Some(sets) => {
                    for chunks in sets {
                        values.push(join(name, &chunks, quotes));
                    }
                }
            },
        }
        if values.len() > MAX_VALUES {
            return CookieValues::flawed(ambiguous());
        }
        values
    }

    /// The sets of chunks that could belong together, at most one more than [`MAX_VALUES`]. `None` when the chunks do not form
    /// several complete sets of two or more chunks, because then many combinations would be possible.
    ///
    /// A browser sends the cookies of one domain in the order in which they were created, so the first chunks of all numbers
    /// form one set, the second chunks another. A shorter set ends where there are fewer chunks of a
    /// number than of the number before. The token's seal shows whether the right chunks were joined.
    fn chunk_sets(&self, repeated: &[(usize, &'a [u8])]) -> Option<Vec<Vec<Option<&'a [u8]>>>> {
        let mut repeated = repeated.to_vec();
        // The sort is stable: chunks of the same number stay in order.
        repeated.sort_by_key(|(index, _)| *index);
        let mut counts: Vec<usize> = self.chunks.iter().map(|chunk| chunk.iter().len()).collect();
        for (index, _) in &repeated {
            counts[*index] += 1;
        }
        let [turns, second, ..] = counts[..] else {
            return None;
        };
        if turns != second || !counts.is_sorted_by(|one, next| one >= next) {
            return None;
        }
        let ends = |len: &usize| counts.get(*len).is_none_or(|next| *next < counts[len - 1]);
        let lengths = (1..=counts.len()).filter(ends);
        let sets = lengths.flat_map(|len| (0..turns).map(move |turn| (len, turn)));
        // Where the chunks of each number begin in `repeated`.
        let starts: Vec<usize> = counts
            .iter()
            .scan(0, |start, count| {
                let own = *start;
                *start += count - 1;
                Some(own)
            })
            .collect();
        let pick = |index: usize, turn: usize| match turn.min(counts[index] - 1).checked_sub(1) {
            Some(at) => repeated.get(starts[index] + at).map(|(_, value)| *value),
            None => self.chunks[index],
        };
        let mut distinct = Vec::new();
        for (len, turn) in sets {
            let set: Vec<_> = (0..len).map(|index| pick(index, turn)).collect();
            if !distinct.contains(&set) {
                distinct.push(set);
            }
            if distinct.len() > MAX_VALUES {
                break;
            }
        }
        Some(distinct)
    }
}

fn join<'a>(name: &CookieName, chunks: &[Option<&'a [u8]>], quotes: Quotes) -> CookieValue<'a> {
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
