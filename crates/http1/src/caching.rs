//! Whether shared caches may keep a response.

use crate::options;

/// What the fields of a response say to shared caches.
#[derive(Debug, Default)]
pub(crate) struct Caching {
    /// Shared caches may keep it, whatever else the fields say.
    is_shared: bool,
    /// It has a lifetime, so a shared cache may keep it (RFC 9111 §3). The protection of RFC 9111 §3.5 applies only to requests
    /// with `Authorization`, and a request with a session cookie has none.
    is_fresh: bool,
    /// It is `private`, or must not be stored (`no-store`).
    is_private: bool,
}

impl Caching {
    /// Notes a field. Returns whether the field is about caching.
    pub(crate) fn note(&mut self, name: &[u8], value: &[u8]) -> bool {
        if name.eq_ignore_ascii_case(b"cache-control") {
            for directive in options(value) {
                self.is_shared |= allows_shared_caching(directive);
                self.is_fresh |= is_named(directive, &FRESH);
                // With names of fields, `private` applies only to these (RFC 9111 §5.2.2.7).
                self.is_private |= equals_one_of(directive, &["private", "no-store"]);
            }
        } else if name.eq_ignore_ascii_case(b"expires") {
            self.is_fresh = true;
        } else if is_shared_cache_field(name) {
            self.is_shared = true;
        } else {
            return false;
        }
        true
    }

    pub(crate) fn is_for_shared_caches(&self) -> bool {
        self.is_shared || self.is_fresh && !self.is_private
    }
}

/// Whether a directive of `Cache-Control` lets a shared cache keep a response that it would not keep otherwise (RFC 9111 §5.2.2.9,
/// §5.2.2.10).
pub fn allows_shared_caching(directive: &[u8]) -> bool {
    is_named(directive, &["public", "s-maxage"])
}

/// Whether a field is only for shared caches, which obey it instead of `Cache-Control`.
pub fn is_shared_cache_field(name: &[u8]) -> bool {
    equals_one_of(name, &TARGETED)
}

/// Whether a directive of `Cache-Control` has one of these names, with a value or without.
fn is_named(directive: &[u8], names: &[&str]) -> bool {
    let name = directive.split(|byte| *byte == b'=').next();
    equals_one_of(name.unwrap_or_default().trim_ascii(), names)
}

fn equals_one_of(text: &[u8], words: &[&str]) -> bool {
    let mut words = words.iter();
    words.any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
}

/// Directives that give a response a lifetime, or allow caches to keep it.
const FRESH: [&str; 3] = ["immutable", "max-age", "must-revalidate"];

/// Fields of CDNs and proxies: RFC 9213, Varnish and Fastly (Edge Architecture Specification), nginx.
const TARGETED: [&str; 3] = ["cdn-cache-control", "surrogate-control", "x-accel-expires"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_for_shared_caches_are_recognized() {
        let kept = |fields: &[(&str, &str)]| {
            let mut caching = Caching::default();
            for (name, value) in fields {
                assert!(caching.note(name.as_bytes(), value.as_bytes()), "{name}");
            }
            caching.is_for_shared_caches()
        };
        for fields in [
            &[("Cache-Control", "public")][..],
            &[("cache-control", "max-age=60")],
            &[("cache-control", "must-revalidate, max-age=9")],
            &[("cache-control", "private=\"set-cookie\", max-age=60")],
            &[("cache-control", "private, s-maxage=60")],
            &[("Expires", "Tue, 01 Jan 2037 00:00:00 GMT")],
            &[
                ("cache-control", "no-cache"),
                ("CDN-Cache-Control", "max-age=60"),
            ],
            &[("surrogate-control", "max-age=60")],
            &[("x-accel-expires", "60")],
        ] {
            assert!(kept(fields), "{fields:?}");
        }
        for fields in [
            &[][..],
            &[("cache-control", "no-cache")],
            &[("cache-control", "private, max-age=60")],
            &[("cache-control", "no-store"), ("expires", "0")],
            &[("expires", "0"), ("cache-control", "Private")],
        ] {
            assert!(!kept(fields), "{fields:?}");
        }
        assert!(!Caching::default().note(b"content-type", b"text/html"));
    }
}
