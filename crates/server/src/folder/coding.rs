//! Precompressed files, and which of them a client accepts.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use smallvec::SmallVec;

use crate::inbound::client_kind::weighted;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Zstandard,
    Gzip,
}

/// The codings that a client accepts, the best first.
pub(super) type Accepted = SmallVec<[Coding; 3]>;

impl Coding {
    /// Its name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstandard => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The suffix of files in this coding.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstandard => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// The codings that a request accepts (RFC 9110 §12.5.3): by weight, and among equals the most compact first. Codings with a
/// lower weight than `identity` are left out.
pub(super) fn accepted(headers: &HeaderMap) -> Accepted {
    let mut weights = [None; 3];
    let (mut identity, mut any) = (None, None);
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let entries = values.filter_map(|value| value.to_str().ok());
    for (name, weight) in entries.flat_map(|value| value.split(',')).map(weighted) {
        let is = |coding: &str| name.eq_ignore_ascii_case(coding);
        let place = ALL.iter().position(|coding| is(coding.name()));
        match place {
            Some(place) => weights[place] = Some(weight),
            None if is("x-gzip") => weights[2] = Some(weight),
            None if is("identity") => identity = Some(weight),
            None if name == "*" => any = Some(weight),
            None => {}
        }
    }
    // If `identity` is not listed, every accepted coding is preferred.
    let identity = identity.unwrap_or(0);
    let weight = |place: usize| weights[place].or(any).unwrap_or(0);
    let mut accepted: SmallVec<[(Coding, u32); 3]> = ALL
        .iter()
        .enumerate()
        .map(|(place, coding)| (*coding, weight(place)))
        .filter(|(_, weight)| *weight > 0 && *weight >= identity)
        .collect();
    accepted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    accepted.into_iter().map(|(coding, _)| coding).collect()
}

/// All codings, the most compact first.
const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstandard, Coding::Gzip];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn client_weights_take_precedence_over_our_order() {
        for (value, expected) in [
            ("", ""),
            ("gzip", "gzip"),
            ("x-gzip", "gzip"),
            ("GZIP", "gzip"),
            ("gzip, deflate, br, zstd", "br zstd gzip"),
            ("gzip, br;q=0.5", "gzip br"),
            ("gzip;q=0.5", "gzip"),
            ("gzip;q=0", ""),
            ("br;q=0, *", "zstd gzip"),
            ("*", "br zstd gzip"),
            ("*;q=0", ""),
            ("identity", ""),
            ("identity, gzip", "gzip"),
            ("identity;q=0.9, gzip;q=0.5, br", "br"),
            ("identity;q=0, gzip", "gzip"),
            ("br;q=2", ""),
            ("br ; q=0.7 , gzip; Q=0.8", "gzip br"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
            let accepted: Vec<_> = accepted(&headers).iter().map(|one| one.name()).collect();
            assert_eq!(accepted.join(" "), expected, "{value}");
        }
        assert!(accepted(&HeaderMap::new()).is_empty());
    }
}
