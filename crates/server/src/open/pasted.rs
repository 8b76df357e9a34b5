//! Reads the cookies of a pasted header leniently, for messages about them, never for a verdict.

use session::CookieName;

/// The pairs of a `Cookie` header, without the white space around names and values.
pub(super) struct Pasted<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Pasted<'a> {
    pub(super) fn new(header: &'a [u8]) -> Self {
        let pair = |pair: &'a [u8]| {
            let at = pair.iter().position(|byte| *byte == b'=')?;
            Some((pair[..at].trim_ascii(), pair[at + 1..].trim_ascii()))
        };
        Self(
            header
                .split(|byte| *byte == b';')
                .filter_map(pair)
                .collect(),
        )
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names that are valid cookie names.
    pub(super) fn names(&self) -> impl Iterator<Item = CookieName> {
        let name = |(name, _): &(&[u8], &[u8])| str::from_utf8(name).ok()?.parse().ok();
        self.0.iter().filter_map(name)
    }

    /// The values of the cookie `name`, in the order of the header.
    pub(super) fn values(&self, name: &CookieName) -> Vec<&'a [u8]> {
        let own = self
            .0
            .iter()
            .filter(|(own, _)| *own == name.as_str().as_bytes());
        own.map(|(_, value)| *value).collect()
    }

    /// The chunks of the cookie `name` that are not empty, ordered by their numbers.
    pub(super) fn chunks(&self, name: &CookieName) -> Vec<(usize, &'a [u8])> {
        let chunk = |(own, value): &(&'a [u8], &'a [u8])| {
            let own = str::from_utf8(own).ok()?;
            let number = own.strip_prefix(name.as_str())?.strip_prefix('.')?;
            (!value.is_empty()).then_some((number.parse().ok()?, *value))
        };
        let mut chunks: Vec<_> = self.0.iter().filter_map(chunk).collect();
        chunks.sort_by_key(|(number, _)| *number);
        chunks
    }

    /// Whether the cookie is there and not empty, whole or in chunks.
    pub(super) fn has(&self, name: &CookieName) -> bool {
        self.values(name).iter().any(|value| !value.is_empty()) || !self.chunks(name).is_empty()
    }

    /// Whether `name` is that of a session cookie, and the cookie has no value, whole or in chunks.
    pub(super) fn is_emptied(&self, name: &CookieName) -> bool {
        let ends = ["session-token", "session_token"];
        ends.iter().any(|end| name.as_str().ends_with(end)) && !self.has(name)
    }

    /// The header with all values and chunks of the cookie `name` replaced by this value.
    pub(super) fn with(&self, name: &CookieName, value: &[u8]) -> Vec<u8> {
        let belongs = |own: &[u8]| match own.strip_prefix(name.as_str().as_bytes()) {
            Some([]) => true,
            Some([b'.', number @ ..]) => number.iter().all(u8::is_ascii_digit),
            Some(_) | None => false,
        };
        let mut header = [name.as_str().as_bytes(), b"=", value].concat();
        for (own, value) in self.0.iter().filter(|(own, _)| !belongs(own)) {
            header.extend([b"; ", *own, b"=", *value].concat());
        }
        header
    }

    /// The value of the cookie, joined from its chunks if necessary.
    pub(super) fn value(&self, name: &CookieName) -> Vec<u8> {
        match self.values(name).first() {
            Some(value) => value.to_vec(),
            None => {
                let chunks = self.chunks(name);
                chunks
                    .into_iter()
                    .flat_map(|(_, value)| value)
                    .copied()
                    .collect()
            }
        }
    }
}
