//! Examines the attributes of the cookies that an app sets.

use session::UnixTime;

use super::catalogue::cookies as checks;
use super::check::Check;
use super::cookie::SetCookie;
use super::finding::{Finding, shown};
use super::role::{CookieRole, bare, session_beside_csrf, without_chunk};

/// Where cookies come from, and which ones the gate reads.
#[derive(Clone, Debug)]
pub(super) struct CookieContext<'a> {
    /// The host that sets them, if it is known.
    pub(super) host: Option<&'a str>,
    /// Whether it was reached over HTTPS. Otherwise frameworks omit attributes that browsers accept only over HTTPS.
    pub(super) is_https: bool,
    /// The names of the session cookies that the gate reads; `None` without a configuration.
    pub(super) read: Option<&'a [String]>,
    pub(super) now: UnixTime,
}

/// The findings about the `Set-Cookie` fields of one response.
pub(super) fn assess<'f>(
    fields: impl IntoIterator<Item = &'f [u8]>,
    setting: &CookieContext<'_>,
) -> Vec<Finding> {
    let fields = fields.into_iter();
    let cookies: Vec<_> = fields
        .filter_map(SetCookie::parse)
        .filter(|cookie| !cookie.is_removal(setting.now))
        .collect();
    let mut findings = Vec::new();
    for cookie in &cookies {
        if let Some(role) = CookieRole::of(&cookie.name, setting.read.unwrap_or_default()) {
            let judge = CookieCheck {
                cookie,
                role,
                setting,
            };
            judge.all(&mut findings);
        }
    }
    findings.extend(size(&cookies, setting.read.unwrap_or_default()));
    findings
}

/// Checks whether a session, with all its chunks, is too long for servers in front of the app.
pub(super) fn size(cookies: &[SetCookie], read: &[String]) -> Option<Finding> {
    let is_session = |cookie: &&SetCookie| {
        CookieRole::of(&cookie.name, read).is_some_and(CookieRole::is_session)
    };
    let sessions: Vec<_> = cookies.iter().filter(is_session).collect();
    // Each has `=` and is followed by `; `.
    let bytes: usize = sessions.iter().map(|cookie| cookie.len() + 3).sum();
    if bytes < LONGEST_LINE {
        return None;
    }
    let name = shown(without_chunk(&sessions.first()?.name));
    let seen = format!(
        "{bytes} bytes in {} cookies, near or above the 8192 that nginx accepts in one header line",
        sessions.len()
    );
    Some(Finding::new(
        &checks::SESSION_TOO_LARGE,
        format!("cookie {name}"),
        seen,
    ))
}

struct CookieCheck<'a> {
    cookie: &'a SetCookie,
    role: CookieRole,
    setting: &'a CookieContext<'a>,
}

impl CookieCheck<'_> {
    fn all(&self, findings: &mut Vec<Finding>) {
        let found = [
            self.rejected(),
            self.secure(),
            self.http_only(),
            self.same_site(),
            self.prefix(),
            self.lifetime(),
            self.domain(),
            self.path(),
            self.near_limit(),
            self.name(),
        ];
        findings.extend(found.into_iter().flatten());
    }

    fn finding(&self, check: &'static Check, seen: impl Into<String>) -> Option<Finding> {
        let subject = format!("cookie {}", shown(&self.cookie.name));
        Some(Finding::new(check, subject, seen))
    }

    /// Why browsers reject the cookie (RFC 6265bis sections 4.1.3 and 5.7).
    fn rejected(&self) -> Option<Finding> {
        let SetCookie {
            name,
            domain,
            path,
            secure,
            same_site,
            ..
        } = self.cookie;
        let domain = domain.as_deref();
        let is_foreign = domain
            .zip(self.setting.host)
            .is_some_and(|(domain, host)| !covers(domain, host));
        let why = match () {
            () if name.starts_with("__Host-") && domain.is_some() => {
                "a cookie whose name begins with __Host- must not have a Domain"
            }
            () if name.starts_with("__Host-") && path.as_deref() != Some("/") => {
                "a cookie whose name begins with __Host- must have Path=/"
            }
            () if name != bare(name) && !secure => {
                "a cookie whose name begins with __Host- or __Secure- must have Secure"
            }
            () if same_site.as_deref() == Some("none") && !secure => {
                "a cookie with SameSite=None must have Secure"
            }
            () if domain.is_some_and(is_public_suffix) => {
                "anybody can register names under its Domain"
            }
            () if is_foreign => "its Domain does not cover the host that sets it",
            () if self.cookie.len() > LONGEST_COOKIE => "it is longer than 4096 bytes",
            () => return None,
        };
        self.finding(&checks::COOKIE_REJECTED, why)
    }

    fn secure(&self) -> Option<Finding> {
        let is_expected = self.setting.is_https && !self.cookie.secure;
        is_expected.then(|| {
            self.finding(
                &checks::COOKIE_NOT_SECURE,
                "Set-Cookie over HTTPS without Secure",
            )
        })?
    }

    fn http_only(&self) -> Option<Finding> {
        let seen = "Set-Cookie without HttpOnly";
        (!self.cookie.http_only).then(|| self.finding(&checks::COOKIE_NOT_HTTP_ONLY, seen))?
    }

    fn same_site(&self) -> Option<Finding> {
        match self.cookie.same_site.as_deref() {
            Some("lax" | "strict") => None,
            Some("none") => self.finding(&checks::COOKIE_SAME_SITE_NONE, "SameSite=None"),
            Some(_) | None => self.finding(
                &checks::COOKIE_SAME_SITE_MISSING,
                "Set-Cookie without SameSite",
            ),
        }
    }

    fn prefix(&self) -> Option<Finding> {
        let name = &self.cookie.name;
        let needs_one = matches!(
            self.role,
            CookieRole::Session | CookieRole::Cache | CookieRole::Csrf
        );
        let has_one = name != bare(name);
        let lacks_it = self.setting.is_https && needs_one && !has_one;
        lacks_it.then(|| self.finding(&checks::COOKIE_NO_PREFIX, "its name has no prefix"))?
    }

    fn lifetime(&self) -> Option<Finding> {
        let seconds = self.cookie.lifetime(self.setting.now)?;
        if !self.role.is_session() || seconds <= LONGEST_LIFE {
            return None;
        }
        let seen = format!("it lives for {} days", seconds / DAY);
        self.finding(&checks::COOKIE_LIVES_LONG, seen)
    }

    fn domain(&self) -> Option<Finding> {
        let domain = self.cookie.domain.as_deref()?;
        let matters = matches!(
            self.role,
            CookieRole::Session | CookieRole::Cache | CookieRole::Csrf
        );
        if !matters || is_public_suffix(domain) {
            return None;
        }
        let seen = format!("Domain={}: every host below it", shown(domain));
        self.finding(&checks::COOKIE_DOMAIN_WIDE, seen)
    }

    fn path(&self) -> Option<Finding> {
        let path = self.cookie.path.as_deref().filter(|path| *path != "/")?;
        if !self.role.is_session() {
            return None;
        }
        let seen = format!("Path={}", shown(path));
        self.finding(&checks::COOKIE_PATH_NARROW, seen)
    }

    fn near_limit(&self) -> Option<Finding> {
        let (name, len) = (&self.cookie.name, self.cookie.len());
        let is_chunk = without_chunk(name) != name;
        let is_near = (NEAR_LIMIT..=LONGEST_COOKIE).contains(&len);
        if !self.role.is_session() || is_chunk || !is_near {
            return None;
        }
        self.finding(
            &checks::COOKIE_NEAR_LIMIT,
            format!("{len} of 4096 bytes, name and value together"),
        )
    }

    /// Checks whether the gate reads the app's session cookie, whose name may follow from another cookie.
    fn name(&self) -> Option<Finding> {
        let read = self.setting.read?;
        let is_read = |name: &str| read.iter().any(|known| known == name);
        let name = &self.cookie.name;
        let names = match read.is_empty() {
            true => "none".to_owned(),
            false => read.join(", "),
        };
        match self.role {
            CookieRole::Session if !is_read(without_chunk(name)) => {
                self.finding(&checks::COOKIE_NOT_READ, format!("the gate reads {names}"))
            }
            CookieRole::Csrf => {
                let expected = session_beside_csrf(name).filter(|expected| !is_read(expected))?;
                let seen = format!(
                    "so the session cookie is probably {}; the gate reads {names}",
                    shown(&expected)
                );
                self.finding(&checks::COOKIE_NAME_UNEXPECTED, seen)
            }
            CookieRole::Cache | CookieRole::Callback | CookieRole::Flow | CookieRole::Session => {
                None
            }
        }
    }
}

/// Whether a cookie with this Domain goes to this host (RFC 6265 section 5.1.3).
fn covers(domain: &str, host: &str) -> bool {
    let below = host.strip_suffix(domain);
    below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether anyone can register names below this domain (<https://publicsuffix.org>). `localhost` is an exception.
fn is_public_suffix(domain: &str) -> bool {
    let is_address = domain.parse::<std::net::IpAddr>().is_ok();
    !is_address && domain != "localhost" && psl::domain_str(domain).is_none()
}

const DAY: i64 = 24 * 60 * 60;

/// The longest acceptable lifetime: the default of Auth.js, and an hour for clock differences and delays.
const LONGEST_LIFE: i64 = 30 * DAY + 60 * 60;

/// The longest name and value together (RFC 6265bis section 5.5).
const LONGEST_COOKIE: usize = 4096;

/// The length, in bytes, from which one more claim may exceed the limit.
const NEAR_LIMIT: usize = 3800;

/// The length, in bytes, from which a session may be too long: nginx's `large_client_header_buffers` is 8192 by default, and the
/// header line also has other cookies.
const LONGEST_LINE: usize = 7800;

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(field: &str, is_https: bool) -> Vec<&'static str> {
        let read = ["__Secure-authjs.session-token".to_owned()];
        let setting = CookieContext {
            host: Some("app.example.com"),
            is_https,
            read: Some(&read),
            now: UnixTime::from_secs(1_800_000_000),
        };
        let found = assess([field.as_bytes()], &setting);
        found.iter().map(|finding| finding.check.id).collect()
    }

    const GOOD: &str = "__Secure-authjs.session-token=x; Path=/; HttpOnly; Secure; SameSite=Lax";

    #[test]
    fn best_framework_cookie_has_no_finding() {
        for field in [
            GOOD,
            &format!("{GOOD}; Max-Age=2592000"),
            "__Host-authjs.csrf-token=x; Path=/; HttpOnly; Secure; SameSite=Lax",
            "__Secure-authjs.callback-url=x; Path=/; HttpOnly; Secure; SameSite=Lax",
            "__Secure-authjs.session-token=; Max-Age=0",
            "_ga=x; Domain=example.com; Max-Age=99999999",
        ] {
            assert_eq!(ids(field, true), [""; 0], "{field}");
        }
    }

    #[test]
    fn each_flaw_has_its_own_finding() {
        let with = |more: &str| format!("{GOOD}; {more}");
        let without = |part: &str| GOOD.replace(part, "");
        let long = |bytes: usize| GOOD.replace("=x", &format!("={}", "x".repeat(bytes)));
        for (field, expected) in [
            (without("; Secure"), &["cookie-rejected-by-browsers", "cookie-not-secure"][..]),
            (without("; HttpOnly"), &["cookie-not-http-only"]),
            (without("; SameSite=Lax"), &["cookie-same-site-missing"]),
            (GOOD.replace("Lax", "None"), &["cookie-same-site-none"]),
            (with("Max-Age=2700000"), &["cookie-lives-long"]),
            (with("Expires=Sat, 13 Feb 2027 08:00:00 GMT"), &[]),
            (with("Expires=Tue, 16 Feb 2027 08:00:00 GMT"), &["cookie-lives-long"]),
            (with("Domain=example.com"), &["cookie-domain-wide"]),
            (with("Domain=app.example.com"), &["cookie-domain-wide"]),
            (with("Domain=com"), &["cookie-rejected-by-browsers"]),
            (with("Domain=co.uk"), &["cookie-rejected-by-browsers"]),
            (with("Domain=other.com"), &["cookie-rejected-by-browsers", "cookie-domain-wide"]),
            (GOOD.replace("Path=/", "Path=/app"), &["cookie-path-narrow"]),
            (long(3771), &["cookie-near-limit"]),
            (long(4096), &["cookie-rejected-by-browsers"]),
            (
                GOOD.replace("__Secure-", ""),
                &["cookie-no-prefix", "cookie-not-read-by-gate"],
            ),
            (
                "__Host-next-auth.csrf-token=x; Path=/; HttpOnly; Secure; SameSite=Lax".to_owned(),
                &["cookie-name-unexpected"],
            ),
            (
                "__Host-authjs.csrf-token=x; Path=/; Domain=app.example.com; HttpOnly; Secure; SameSite=Lax".to_owned(),
                &["cookie-rejected-by-browsers", "cookie-domain-wide"],
            ),
        ] {
            assert_eq!(ids(&field, true), expected, "{}", &field[..field.len().min(120)]);
        }
    }

    #[test]
    fn plain_http_is_not_checked_for_https_attributes() {
        let field = "__Secure-authjs.session-token=x; Path=/; HttpOnly; SameSite=Lax";
        assert_eq!(ids(field, false), ["cookie-rejected-by-browsers"]);
        let field = "authjs.csrf-token=x; Path=/; HttpOnly; SameSite=Lax";
        assert_eq!(ids(field, false), ["cookie-name-unexpected"]);
    }

    #[test]
    fn chunks_count_together() {
        let chunk = |index: usize| {
            let value = "x".repeat(3936);
            format!(
                "__Secure-authjs.session-token.{index}={value}; Path=/; HttpOnly; Secure; SameSite=Lax"
            )
        };
        let fields: Vec<_> = (0..2).map(chunk).collect();
        let setting = CookieContext {
            host: None,
            is_https: true,
            read: None,
            now: UnixTime::from_secs(0),
        };
        let found = assess(fields.iter().map(String::as_bytes), &setting);
        let ids: Vec<_> = found.iter().map(|finding| finding.check.id).collect();
        assert_eq!(ids, ["session-too-large"]);
        assert!(found[0].seen.contains("in 2 cookies"), "{}", found[0].seen);
        assert!(!found.iter().any(|finding| finding.seen.contains("xxx")));
    }
}
