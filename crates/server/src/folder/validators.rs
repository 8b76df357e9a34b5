//! Validators and conditional requests (RFC 9110 §8.8, §13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{
    ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::coding::Coding;
use super::stat::Stat;

/// The validators of a file's version.
#[derive(Debug)]
pub(super) struct Validators {
    /// The entity tag, with its quotes and without `W/`.
    tag: String,
    /// Whether the tag is strong: versions with the same tag are identical.
    is_strong: bool,
    /// The `Last-Modified` time, in seconds since the epoch.
    modified: Option<u64>,
}

/// The result of a request's preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The request is answered normally.
    Holds,
    /// The client has the file: 304.
    NotModified,
    /// A precondition failed: 412.
    Failed,
}

impl Validators {
    /// The validators of a file. `now` is in seconds since the epoch.
    pub(super) fn of(stat: &Stat, coding: Option<Coding>, now: u64) -> Self {
        let changed = u64::try_from(stat.modified.0).ok();
        // Reproducible images and packages set every time to one of these (Nix: 1; `SOURCE_DATE_EPOCH=0`; zip and Bazel:
        // 1980), so it does not identify a version. The time when the file was installed does.
        let modified = changed.filter(|seconds| *seconds > FIRST_REAL_TIME);
        let (seconds, nanos) = match modified {
            Some(_) => stat.modified,
            None => stat.changed,
        };
        let coding = coding.map_or("", Coding::extension);
        let tag = format!("\"{seconds:x}.{nanos:x}-{:x}{coding}\"", stat.length);
        // File times have a resolution of up to two seconds: the file may still change without a new time.
        let is_strong = u64::try_from(seconds).is_ok_and(|seconds| seconds + STEP <= now);
        Self {
            tag,
            is_strong,
            modified: modified.map(|seconds| seconds.min(now)),
        }
    }

    /// The header fields of the validators.
    pub(super) fn fields(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let tag = match self.is_strong {
            true => self.tag.clone(),
            false => format!("W/{}", self.tag),
        };
        let date = self
            .modified
            .map(|seconds| httpdate::fmt_http_date(time(seconds)));
        let fields = [(ETAG, Some(tag)), (LAST_MODIFIED, date)];
        let fields = fields
            .into_iter()
            .map(|(name, value)| Some((name, HeaderValue::try_from(value?).ok()?)));
        fields.flatten()
    }

    /// Evaluates the preconditions of a GET or HEAD, in the order of RFC 9110 §13.2.2.
    pub(super) fn verdict(&self, headers: &HeaderMap) -> Verdict {
        if headers.contains_key(IF_MATCH) {
            if !self.is_among(headers, &IF_MATCH, |tag, is_weak| {
                !is_weak && self.is_strong && tag == self.tag
            }) {
                return Verdict::Failed;
            }
        } else if let (Some(since), Some(modified)) =
            (date(headers, &IF_UNMODIFIED_SINCE), self.modified)
            && modified > since
        {
            return Verdict::Failed;
        }
        if headers.contains_key(IF_NONE_MATCH) {
            return match self.is_among(headers, &IF_NONE_MATCH, |tag, _| tag == self.tag) {
                true => Verdict::NotModified,
                false => Verdict::Holds,
            };
        }
        match (date(headers, &IF_MODIFIED_SINCE), self.modified) {
            (Some(since), Some(modified)) if modified <= since => Verdict::NotModified,
            (Some(_) | None, _) => Verdict::Holds,
        }
    }

    /// Whether `If-Range` allows a range of this version (RFC 9110 §13.1.5).
    pub(super) fn may_be_partial(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(IF_RANGE).map(HeaderValue::as_bytes) else {
            return true;
        };
        let is_date = !value.contains(&b'"');
        self.is_strong
            && match is_date {
                true => self.modified.is_some() && date(headers, &IF_RANGE) == self.modified,
                false => value == self.tag.as_bytes(),
            }
    }

    /// Whether a list of tags, or `*`, contains one that matches.
    fn is_among(
        &self,
        headers: &HeaderMap,
        name: &HeaderName,
        is_it: impl Fn(&str, bool) -> bool,
    ) -> bool {
        let values = headers.get_all(name).iter();
        let mut values = values.filter_map(|value| value.to_str().ok());
        values.any(|value| value.trim() == "*" || tags(value).any(|(tag, weak)| is_it(tag, weak)))
    }
}

/// The tags of a list, with their quotes, and whether each is weak. Anything else ends the list.
fn tags(list: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (bare, is_weak) = match rest.strip_prefix("W/") {
            Some(bare) => (bare, true),
            None => (rest, false),
        };
        let end = bare.strip_prefix('"')?.find('"')? + 2;
        let (tag, after) = bare.split_at(end);
        rest = after;
        Some((tag, is_weak))
    })
}

/// The date in a field, in seconds since the epoch. `None` for several fields or an invalid date.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let date = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The first second of 2 January 1980: no file on the web is older.
const FIRST_REAL_TIME: u64 = 315_619_200;

/// The resolution of file times on FAT, which is the coarsest, in seconds.
const STEP: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";

    fn validators(modified: i64) -> Validators {
        let stat = Stat {
            length: 0x20,
            modified: (modified, 5),
            changed: (NOW as i64 - 100, 7),
        };
        Validators::of(&stat, None, NOW + 1_000)
    }

    fn asked(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| (name.clone(), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn conditions_are_evaluated_in_order() {
        let validators = validators(NOW as i64);
        let tag = validators.tag.as_str();
        assert_eq!(tag, "\"6b49d200.5-20\"");
        let weak = &*format!("W/{tag}");
        let list = &*format!("\"a,b\", W/\"c\" ,{tag}");
        let (earlier, later) = (
            "Fri, 15 Jan 2027 07:59:59 GMT",
            "Fri, 15 Jan 2027 08:00:01 GMT",
        );
        let (holds, same, failed) = (Verdict::Holds, Verdict::NotModified, Verdict::Failed);
        for (pairs, verdict) in [
            (&[][..], holds),
            (&[(IF_NONE_MATCH, tag)], same),
            (&[(IF_NONE_MATCH, weak)], same),
            (&[(IF_NONE_MATCH, list)], same),
            (&[(IF_NONE_MATCH, "*")], same),
            (&[(IF_NONE_MATCH, "\"other\"")], holds),
            (&[(IF_NONE_MATCH, "")], holds),
            (&[(IF_NONE_MATCH, "6b49d200.5-20")], holds),
            (&[(IF_MODIFIED_SINCE, DATE)], same),
            (&[(IF_MODIFIED_SINCE, later)], same),
            (&[(IF_MODIFIED_SINCE, earlier)], holds),
            (&[(IF_MODIFIED_SINCE, "yesterday")], holds),
            (
                &[(IF_MODIFIED_SINCE, "Friday, 15-Jan-27 08:00:00 GMT")],
                same,
            ),
            (&[(IF_MODIFIED_SINCE, "Fri Jan 15 08:00:00 2027")], same),
            (
                &[(IF_MODIFIED_SINCE, DATE), (IF_MODIFIED_SINCE, DATE)],
                holds,
            ),
            (
                &[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, DATE)],
                holds,
            ),
            (&[(IF_MATCH, tag)], holds),
            (&[(IF_MATCH, "*")], holds),
            (&[(IF_MATCH, weak)], failed),
            (&[(IF_MATCH, "\"x\"")], failed),
            (&[(IF_MATCH, "\"x\""), (IF_NONE_MATCH, tag)], failed),
            (&[(IF_MATCH, tag), (IF_UNMODIFIED_SINCE, earlier)], holds),
            (&[(IF_MATCH, tag), (IF_NONE_MATCH, tag)], same),
            (&[(IF_UNMODIFIED_SINCE, DATE)], holds),
            (&[(IF_UNMODIFIED_SINCE, earlier)], failed),
        ] {
            let headers = match pairs {
                [one, two] if one.0 == two.0 => {
                    let mut headers = asked(&pairs[..1]);
                    headers.append(two.0.clone(), two.1.parse().unwrap());
                    headers
                }
                pairs => asked(pairs),
            };
            assert_eq!(validators.verdict(&headers), verdict, "{pairs:?}");
        }
    }

    #[test]
    fn range_is_served_only_of_the_same_version() {
        let validators = validators(NOW as i64);
        let tag = validators.tag.as_str();
        for (value, is_partial) in [
            (tag, true),
            (DATE, true),
            ("\"x\"", false),
            ("Fri, 15 Jan 2027 08:00:01 GMT", false),
            ("nothing", false),
        ] {
            let headers = asked(&[(IF_RANGE, value)]);
            assert_eq!(validators.may_be_partial(&headers), is_partial, "{value}");
        }
        assert!(validators.may_be_partial(&HeaderMap::new()));
        assert!(!validators.may_be_partial(&asked(&[(IF_RANGE, &format!("W/{tag}"))])));
    }

    #[test]
    fn a_file_that_may_still_change_has_a_weak_tag() {
        let young = validators(NOW as i64 + 999);
        let headers: HeaderMap = young.fields().collect();
        let tag = headers[ETAG].to_str().unwrap();
        assert!(tag.starts_with("W/\""), "{tag}");
        assert!(!young.may_be_partial(&asked(&[(IF_RANGE, &young.tag)])));
        assert_eq!(
            young.verdict(&asked(&[(IF_NONE_MATCH, tag)])),
            Verdict::NotModified
        );
        assert_eq!(
            young.verdict(&asked(&[(IF_MATCH, &young.tag)])),
            Verdict::Failed
        );
    }

    #[test]
    fn meaningless_modification_time_is_not_sent() {
        for modified in [-5, 0, 1, 315_532_800] {
            let validators = validators(modified);
            let headers: HeaderMap = validators.fields().collect();
            assert!(!headers.contains_key(LAST_MODIFIED));
            assert_eq!(headers[ETAG], "\"6b49d19c.7-20\"");
        }
        let headers: HeaderMap = validators(NOW as i64 + 5_000).fields().collect();
        assert_eq!(headers[LAST_MODIFIED], "Fri, 15 Jan 2027 08:16:40 GMT");
    }
}
