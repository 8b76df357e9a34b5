//! Examines the endpoints of Auth.js, NextAuth and Better Auth that tell who is signed in.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, DATE, EXPIRES};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use super::app::App;
use super::catalogue::{app as checks, cookies as cookie_checks};
use super::finding::Finding;
use super::site::Site;

/// Finds the framework, and examines the responses of its endpoints; with `session`, the value of a `Cookie` header, as a
/// signed-in user. `path` is the framework's base path, if it is known.
pub(super) async fn examine(
    app: &mut App<'_>,
    site: &Site,
    path: Option<&str>,
    session: Option<&HeaderValue>,
) {
    let paths = match path {
        Some(path) => vec![path.trim_end_matches('/')],
        None => USUAL_PATHS.to_vec(),
    };
    for path in &paths {
        if let Some(endpoint) = session_endpoint(app, site, path).await {
            query_session(app, &endpoint, session).await;
            return;
        }
    }
    let seen = format!(
        "neither csrf nor get-session answers below {}",
        paths.join(" or ")
    );
    let subject = site.at("/").to_string();
    app.add_finding(Finding::new(&checks::FRAMEWORK_NOT_FOUND, subject, seen));
}

/// The endpoint that tells who is signed in, if a framework has this base path.
async fn session_endpoint(app: &mut App<'_>, site: &Site, path: &str) -> Option<Site> {
    let csrf = site.at(format!("{path}/csrf"));
    if let Ok(answer) = app.fetch_page(&csrf, None).await
        && let Some(Value::Object(content)) = json(answer.status, &answer.body)
        && content.contains_key("csrfToken")
    {
        app.cookies(&csrf, &answer.headers);
        return Some(site.at(format!("{path}/session")));
    }
    let session = site.at(format!("{path}/get-session"));
    let answer = app.fetch_page(&session, None).await.ok()?;
    let content = json(answer.status, &answer.body)?;
    (content.is_null() || content.is_object()).then_some(session)
}

async fn query_session(app: &mut App<'_>, endpoint: &Site, session: Option<&HeaderValue>) {
    let may_have_it = app.may_have_session(endpoint);
    if session.is_some() && !may_have_it {
        let seen = "the session in --cookie-file was not sent";
        let subject = endpoint.to_string();
        app.add_finding(Finding::new(
            &cookie_checks::SESSION_NOT_SENT,
            subject,
            seen,
        ));
    }
    let Ok(answer) = app.fetch_page(endpoint, session).await else {
        return;
    };
    app.cookies(endpoint, &answer.headers);
    cacheable(app, endpoint, &answer.headers);
    let is_nobody = match json(answer.status, &answer.body) {
        Some(Value::Object(content)) => content.is_empty(),
        Some(Value::Null) => true,
        Some(_) | None => false,
    };
    if session.is_some() && may_have_it && is_nobody {
        let seen = format!("{endpoint} reports that no user is signed in");
        let finding = Finding::new(
            &cookie_checks::SESSION_REFUSED_BY_APP,
            "the session in --cookie-file",
            seen,
        );
        app.add_finding(finding);
    }
}

fn cacheable(app: &mut App<'_>, endpoint: &Site, headers: &HeaderMap) {
    let check = match cache_rule(headers) {
        CacheRule::Private => return,
        CacheRule::Shared => &checks::SESSION_CACHEABLE,
        CacheRule::Unspecified => &checks::SESSION_CACHE_UNSPECIFIED,
    };
    let fields = headers.get_all(CACHE_CONTROL).iter();
    let fields: Vec<_> = fields.filter_map(|field| field.to_str().ok()).collect();
    let seen = match fields.is_empty() {
        true => "there is no Cache-Control header".to_owned(),
        false => format!(
            "Cache-Control: {}",
            super::finding::shown(&fields.join(", "))
        ),
    };
    app.add_finding(Finding::new(check, endpoint.to_string(), seen));
}

/// Which caches may store a response (RFC 9111 section 5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CacheRule {
    /// None, only the browser, or only with revalidation.
    Private,
    /// Shared caches.
    Shared,
    /// The response does not say.
    Unspecified,
}

fn cache_rule(headers: &HeaderMap) -> CacheRule {
    let fields = headers.get_all(CACHE_CONTROL).iter();
    let fields = fields.filter_map(|field| field.to_str().ok());
    let directives: Vec<_> = fields
        .flat_map(|field| field.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    let has = |wanted: &[&str]| directives.iter().any(|it| wanted.contains(&it.as_str()));
    let lives = directives.iter().any(|directive| {
        let value = ["max-age=", "s-maxage="]
            .iter()
            .find_map(|name| directive.strip_prefix(name));
        value.is_some_and(|value| value != "0")
    });
    match () {
        () if allows_cdn_storage(headers) => CacheRule::Shared,
        () if has(&["private", "no-store", "no-cache"]) => CacheRule::Private,
        () if has(&["public"]) || lives || expires_later(headers) => CacheRule::Shared,
        () => CacheRule::Unspecified,
    }
}

/// Whether a separate header allows CDNs to store the response (RFC 9213).
fn allows_cdn_storage(headers: &HeaderMap) -> bool {
    let content = headers.iter();
    let mut content =
        content.filter(|(name, _)| http1::is_shared_cache_field(name.as_str().as_bytes()));
    content.any(|(_, value)| {
        let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
        let keeps = |word: &str| !value.split(',').any(|it| it.trim() == word);
        ["0", "max-age=0", "no-cache", "no-store", "private"]
            .into_iter()
            .all(keeps)
    })
}

/// Whether `Expires` makes the response fresh for a while, which applies if there is no `max-age` (RFC 9111 §4.2.1).
fn expires_later(headers: &HeaderMap) -> bool {
    let time = |name| {
        let text = headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok());
        text.and_then(|text| httpdate::parse_http_date(text).ok())
    };
    let says_age = headers.get_all(CACHE_CONTROL).iter().any(|value| {
        let value = value.as_bytes().to_ascii_lowercase();
        value.windows(7).any(|word| word == b"max-age")
    });
    !says_age && time(EXPIRES).is_some_and(|end| time(DATE).is_none_or(|made| made < end))
}

fn json(status: StatusCode, body: &Bytes) -> Option<Value> {
    let body = (status == StatusCode::OK).then_some(body)?;
    serde_json::from_slice(body).ok()
}

/// The default base paths: that of NextAuth and Better Auth, and that of Auth.js outside Next.js.
const USUAL_PATHS: [&str; 2] = ["/api/auth", "/auth"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_is_cacheable_unless_it_says_otherwise() {
        for (fields, rule) in [
            (&["private, no-cache, no-store"][..], CacheRule::Private),
            (&["max-age=60", "Private"], CacheRule::Private),
            (&["no-store"], CacheRule::Private),
            (&["public, max-age=0"], CacheRule::Shared),
            (&["max-age=60"], CacheRule::Shared),
            (&["s-maxage=1, max-age=0"], CacheRule::Shared),
            (&["max-age=0, must-revalidate"], CacheRule::Unspecified),
            (&["no-cache"], CacheRule::Private),
            (&[], CacheRule::Unspecified),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(field));
            }
            assert_eq!(cache_rule(&headers), rule, "{fields:?}");
        }
    }
    #[test]
    fn fields_other_than_cache_control_count_too() {
        const MADE: (&str, &str) = ("date", "Sun, 29 Nov 2026 05:00:00 GMT");
        for (fields, rule) in [
            (
                &[("expires", "Tue, 01 Jan 2030 00:00:00 GMT"), MADE][..],
                CacheRule::Shared,
            ),
            (
                &[("expires", "Sun, 29 Nov 2026 05:00:00 GMT"), MADE],
                CacheRule::Unspecified,
            ),
            (&[("expires", "0"), MADE], CacheRule::Unspecified),
            (
                &[
                    ("expires", "Tue, 01 Jan 2030 00:00:00 GMT"),
                    ("cache-control", "private"),
                ],
                CacheRule::Private,
            ),
            (
                &[
                    ("cache-control", "no-cache"),
                    ("cdn-cache-control", "public, max-age=9"),
                ],
                CacheRule::Shared,
            ),
            (
                &[
                    ("cache-control", "no-store"),
                    ("surrogate-control", "no-store"),
                ],
                CacheRule::Private,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(cache_rule(&headers), rule, "{fields:?}");
        }
    }
}
