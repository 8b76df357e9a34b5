//! Examines how an app is reached, and what it sends with its pages.

use std::time::Duration;

use http::header::{DATE, LOCATION, SET_COOKIE, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, HeaderValue, StatusCode};
use session::UnixTime;

use super::attributes::{self, CookieContext};
use super::catalogue::app as checks;
use super::cookie::date;
use super::fetch::{self, CertificateCheck, FetchError, FetchedPage, Fetcher};
use super::finding::{Finding, shown};
use super::jar::CookieJar;
use super::report::Probe;
use super::site::Site;
use crate::clock;

/// The examination of an app.
pub(super) struct App<'a> {
    fetcher: Fetcher,
    trust: CertificateCheck,
    /// The names of the session cookies that the gate reads.
    read: Option<&'a [String]>,
    pub(super) findings: Vec<Finding>,
    pub(super) probes: Vec<Probe>,
}

impl<'a> App<'a> {
    pub(super) fn new(fetcher: Fetcher, read: Option<&'a [String]>) -> Self {
        Self {
            fetcher,
            trust: CertificateCheck::Required,
            read,
            findings: Vec::new(),
            probes: Vec::new(),
        }
    }

    /// Requests the app's page over http and https, and examines the responses. Returns the URL at which the app answers.
    pub(super) async fn find_page(&mut self, site: &Site) -> Option<Site> {
        let site = match site.is_https {
            true => {
                if site.port == 443 {
                    self.plain_http_of(site).await;
                }
                site.clone()
            }
            false => self.examine_http_url(site).await?,
        };
        let answer = match self.fetch_page(&site, None).await {
            Ok(answer) => answer,
            Err(error) => {
                self.unreachable(&site, &error);
                return None;
            }
        };
        self.clock(&site, &answer);
        if site.is_https && !site.is_address() {
            self.hsts(&site, &answer.headers);
        }
        self.cookies(&site, &answer.headers);
        self.follow(&site, answer).await;
        Some(site)
    }

    /// Requests a page of the app. A server with an invalid certificate is examined too, but gets no cookies.
    ///
    /// # Errors
    /// If there is no response.
    pub(super) async fn fetch_page(
        &mut self,
        site: &Site,
        cookies: Option<&HeaderValue>,
    ) -> Result<FetchedPage, FetchError> {
        let cookies = cookies.filter(|_| self.may_have_session(site));
        match self.fetcher.get(site, self.trust, cookies).await {
            Err(FetchError::Certificate(flaw)) => {
                self.trust = CertificateCheck::Skipped;
                let whole = site.at("/").to_string();
                let finding = Finding::new(&checks::CERTIFICATE_NOT_TRUSTED, whole, flaw);
                self.findings.push(finding);
                self.fetcher.get(site, self.trust, None).await
            }
            answer => answer,
        }
    }

    /// Whether a session can be sent to this URL without being readable on the network.
    pub(super) fn may_have_session(&self, site: &Site) -> bool {
        (site.is_https && self.trust == CertificateCheck::Required) || site.is_this_machine()
    }

    /// The findings about the cookies of a response.
    pub(super) fn cookies(&mut self, site: &Site, headers: &HeaderMap) {
        let fields = headers.get_all(SET_COOKIE).iter();
        let setting = CookieContext {
            host: Some(&site.host),
            is_https: site.is_https,
            read: self.read,
            now: clock::now(),
        };
        let found = attributes::assess(fields.map(HeaderValue::as_bytes), &setting);
        self.findings.extend(found);
    }

    pub(super) fn add_finding(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Examines plain HTTP of an app with an https:// URL. A closed port is as good as a redirect.
    async fn plain_http_of(&mut self, site: &Site) {
        let plain = Site {
            is_https: false,
            port: 80,
            ..site.at("/")
        };
        let Ok(answer) = self
            .fetcher
            .get(&plain, CertificateCheck::Required, None)
            .await
        else {
            return;
        };
        if let Some(next) = redirect(&plain, &answer) {
            self.redirected_from_http(&plain, &next, answer.status);
        } else {
            self.report_plain_http(&plain, answer.status);
        }
    }

    /// Examines an app with an http:// URL, which should redirect to https.
    async fn examine_http_url(&mut self, site: &Site) -> Option<Site> {
        let answer = match self
            .fetcher
            .get(site, CertificateCheck::Required, None)
            .await
        {
            Ok(answer) => answer,
            Err(error) => {
                self.unreachable(site, &error);
                return None;
            }
        };
        self.record_probe(site, None);
        match redirect(site, &answer) {
            Some(next) if next.host != site.host => {
                self.redirected_from_http(site, &next, answer.status);
                None
            }
            Some(next) if next.is_https => {
                self.redirected_from_http(site, &next, answer.status);
                Some(next)
            }
            Some(_) | None => {
                self.report_plain_http(site, answer.status);
                Some(site.clone())
            }
        }
    }

    fn redirected_from_http(&mut self, site: &Site, next: &Site, status: StatusCode) {
        let seen = format!("{} redirects to {next}", status.as_u16());
        let subject = site.to_string();
        if next.host != site.host {
            self.add_finding(Finding::new(&checks::REDIRECT_ELSEWHERE, subject, seen));
        } else if !next.is_https {
            self.report_plain_http(site, status);
        } else if !matches!(status.as_u16(), 301 | 308) {
            self.add_finding(Finding::new(&checks::REDIRECT_NOT_PERMANENT, subject, seen));
        }
    }

    fn report_plain_http(&mut self, site: &Site, status: StatusCode) {
        let seen = format!("it answers {} over plain HTTP", status.as_u16());
        let check = match site.is_this_machine() {
            true => &checks::PLAIN_HTTP_LOCAL,
            false => &checks::PLAIN_HTTP,
        };
        self.add_finding(Finding::new(check, site.at("/").to_string(), seen));
    }

    fn unreachable(&mut self, site: &Site, error: &FetchError) {
        let failure = shown(&error.to_string());
        self.record_probe(site, Some(failure.clone()));
        self.add_finding(Finding::new(
            &checks::APP_UNREACHABLE,
            site.to_string(),
            failure,
        ));
    }

    fn record_probe(&mut self, site: &Site, failure: Option<String>) {
        self.probes.push(Probe {
            what: format!("the app at {}", site.at("/")),
            failure,
            limit: fetch::LIMIT,
        });
    }

    /// Follows redirects within the app as a browser does, with the cookies set on the way, and examines the cookies of each
    /// response.
    async fn follow(&mut self, site: &Site, mut answer: FetchedPage) {
        if site.is_https {
            self.record_probe(site, None);
        }
        let (mut page, mut jar) = (site.clone(), CookieJar::default());
        for _ in 0..MOST_REDIRECTS {
            let Some(next) = redirect(&page, &answer) else {
                return;
            };
            jar.take(&answer.headers);
            let seen = format!("{} redirects to {next}", answer.status.as_u16());
            if next.host == page.host && page.is_https && !next.is_https {
                self.add_finding(Finding::new(
                    &checks::REDIRECT_TO_HTTP,
                    page.to_string(),
                    seen,
                ));
                return;
            }
            if !next.is_same_as(&page) {
                self.add_finding(Finding::new(
                    &checks::REDIRECT_ELSEWHERE,
                    page.to_string(),
                    seen,
                ));
                return;
            }
            let Ok(next_answer) = self.fetch_page(&next, jar.field().as_ref()).await else {
                return;
            };
            self.cookies(&next, &next_answer.headers);
            (page, answer) = (next, next_answer);
        }
        if let Some(next) = redirect(&page, &answer) {
            let status = answer.status.as_u16();
            let seen =
                format!("after {MOST_REDIRECTS} redirects, {status} still redirects to {next}");
            let subject = site.to_string();
            self.add_finding(Finding::new(&checks::REDIRECT_ENDLESS, subject, seen));
        }
    }

    fn hsts(&mut self, site: &Site, headers: &HeaderMap) {
        let subject = site.at("/").to_string();
        let field = headers.get(STRICT_TRANSPORT_SECURITY);
        let field = field.and_then(|field| field.to_str().ok());
        match field.and_then(max_age) {
            None => {
                let seen = match field {
                    None => "there is no Strict-Transport-Security header",
                    Some(_) => "Strict-Transport-Security without a max-age",
                };
                self.add_finding(Finding::new(&checks::HSTS_MISSING, subject, seen));
            }
            Some(seconds) if seconds < SHORTEST_HSTS => {
                let seen = format!("max-age={seconds}, which is {} days", seconds / DAY);
                self.add_finding(Finding::new(&checks::HSTS_SHORT, subject, seen));
            }
            Some(_) => {}
        }
    }

    fn clock(&mut self, site: &Site, answer: &FetchedPage) {
        let field = answer.headers.get(DATE);
        let Some(theirs) = field.and_then(|field| date(field.to_str().ok()?)) else {
            return;
        };
        if let Some(seen) = clock_difference(theirs, answer.sent, answer.received) {
            let subject = site.at("/").to_string();
            self.add_finding(Finding::new(&checks::CLOCK_OFF, subject, seen));
        }
    }
}

/// Describes how far another clock is off, which read `theirs` between two times of this machine. `None` if that is tolerable.
pub(super) fn clock_difference(
    theirs: UnixTime,
    before: UnixTime,
    after: UnixTime,
) -> Option<String> {
    let ahead = theirs.saturating_since(after);
    let behind = before.saturating_since(theirs);
    let (by, word) = match ahead.is_zero() {
        true => (behind, "behind"),
        false => (ahead, "ahead of"),
    };
    // The other clock may show whole seconds only.
    let is_apart = by > TOLERANCE + Duration::from_secs(1);
    is_apart.then(|| format!("its clock is {} s {word} this machine's", by.as_secs()))
}

/// The target of a redirect.
fn redirect(site: &Site, answer: &FetchedPage) -> Option<Site> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers.get(LOCATION)?.to_str().ok()?;
    site.redirected(location)
}

/// The `max-age` of `Strict-Transport-Security` (RFC 6797 section 6.1), which may be in quotes.
fn max_age(field: &str) -> Option<u64> {
    let mut directives = field.split(';').filter_map(|it| it.split_once('='));
    let (_, value) = directives.find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))?;
    value.trim().trim_matches('"').parse().ok()
}

const DAY: u64 = 24 * 60 * 60;

/// The shortest acceptable `max-age`: half a year, as the Mozilla Observatory requires.
const SHORTEST_HSTS: u64 = 180 * DAY;

/// The clock difference that Auth.js tolerates.
const TOLERANCE: Duration = Duration::from_secs(15);

/// The number of redirects after which browsers show an error (Chromium: `kMaxRedirects`).
const MOST_REDIRECTS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_is_sent_only_where_the_network_cannot_read_it() {
        let fetcher = || Fetcher::new(crate::tls::Authorities::public()).unwrap();
        for (url, trust, may) in [
            ("https://app.example.com", CertificateCheck::Required, true),
            ("https://app.example.com", CertificateCheck::Skipped, false),
            ("http://app.example.com", CertificateCheck::Required, false),
            ("http://localhost:3000", CertificateCheck::Required, true),
            ("http://[::1]:3000", CertificateCheck::Required, true),
        ] {
            let mut app = App::new(fetcher(), None);
            app.trust = trust;
            assert_eq!(
                app.may_have_session(&Site::parse(url).unwrap()),
                may,
                "{url}"
            );
        }
    }

    #[test]
    fn max_age_is_found_in_any_case_and_in_quotes() {
        for (field, seconds) in [
            ("max-age=31536000; includeSubDomains", Some(31_536_000)),
            ("includeSubDomains; Max-Age=\"60\"", Some(60)),
            ("includeSubDomains", None),
            ("max-age=soon", None),
        ] {
            assert_eq!(max_age(field), seconds, "{field}");
        }
    }

    #[test]
    fn clock_difference_within_the_frameworks_tolerance_is_fine() {
        let at = UnixTime::from_secs;
        for (theirs, seen) in [
            (984, None),
            (1018, None),
            (983, Some("its clock is 17 s behind this machine's")),
            (1100, Some("its clock is 98 s ahead of this machine's")),
        ] {
            let found = clock_difference(at(theirs), at(1000), at(1002));
            assert_eq!(found.as_deref(), seen, "{theirs}");
        }
    }
}
