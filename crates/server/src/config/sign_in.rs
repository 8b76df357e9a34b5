//! Reads where browsers are redirected to sign in, and builds the URL that leads them back.

mod source_hosts;

use std::borrow::Cow;
use std::collections::BTreeSet;

use gate::Routes;
use http::Uri;
use percent_encoding::percent_decode_str;

pub(super) use self::source_hosts::SourceHosts;
use super::ascii_host;
use super::origin::{Origin, RequestHost};
use super::reader::Reader;
use super::sessions::SESSION_SECRETS;
use super::words::listed;
use crate::loops::LoopBreaker;
use crate::random;

/// The sign-in page, and the origins of this gate.
#[derive(Clone, Debug)]
pub(crate) struct SignIn {
    /// The URL of the page.
    page: Uri,
    /// The page's URL, up to and including the `=` of the parameter with the return URL.
    target: String,
    /// The name of that parameter.
    callback: String,
    /// The origins under which browsers reach this gate; without one the return URL is a path.
    public_origins: Vec<Origin>,
    loop_breaker: LoopBreaker,
}

impl SignIn {
    /// The URL to redirect a browser to, so that it returns to this path and query on this host.
    ///
    /// It contains only configured origins and the request's own path: an untrusted `Host` never gets into a `Location`. A
    /// path that a browser could read as another origin becomes `/`.
    pub(crate) fn location(
        &self,
        host: Option<&str>,
        is_https: bool,
        path_and_query: &str,
    ) -> String {
        let names_an_origin = path_and_query.starts_with("//") || path_and_query.contains('\\');
        let back = if names_an_origin { "/" } else { path_and_query };
        let back = format!("{}{back}", self.origin(host, is_https));
        format!("{}{}", self.target, http1::encoded_component(&back))
    }

    /// Whether a request asks for the sign-in page itself, so that a redirect to it would loop. If a proxy in front of the
    /// gate uses another host than the page's URL, the return parameter decides.
    pub(crate) fn is_requested(&self, host: Option<&str>, path_and_query: &str) -> bool {
        let (path, query) = path_and_query
            .split_once('?')
            .unwrap_or((path_and_query, ""));
        if normalized_path(path) != normalized_path(self.page.path()) {
            return false;
        }
        let on_its_host = self.page.authority().is_none()
            || host
                .and_then(RequestHost::read)
                .is_some_and(|host| host.is_host_of(&self.page));
        on_its_host || parameters(query).any(|name| name == self.callback)
    }

    /// The detector of browsers in a redirect loop.
    pub(crate) fn loop_breaker(&self) -> &LoopBreaker {
        &self.loop_breaker
    }

    /// The only configured origin, or the one with the request's host. If several have that host, an exact origin is preferred to
    /// a wildcard, and then the scheme that the browser used.
    fn origin(&self, host: Option<&str>, is_https: bool) -> String {
        let requested = host.and_then(RequestHost::read);
        let requested = requested.as_ref();
        let origin = match self.public_origins.as_slice() {
            [only] => Some(only),
            several => requested.and_then(|requested| {
                let meant = several.iter().filter(|origin| origin.matches(requested));
                meant.max_by_key(|origin| (origin.is_exact(), origin.is_https() == is_https))
            }),
        };
        origin
            .and_then(|origin| origin.text(requested))
            .unwrap_or_default()
    }
}

/// How an operator makes a path public, for advice in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublicBy {
    /// With `PUBLIC_PATHS`, for a gate that forwards requests itself.
    Paths,
    /// With `PUBLIC_PATHS`, for a gate that only decides and cannot know which paths a calling proxy asks about.
    PathsForOthers,
    /// With routes in the file.
    Routes,
}

impl PublicBy {
    /// The beginning of advice to make paths public; the paths follow.
    fn advice(self) -> &'static str {
        match self {
            Self::Paths | Self::PathsForOthers => {
                "add the paths that sign-in needs to PUBLIC_PATHS:"
            }
            Self::Routes => {
                "add a [[route]] with `access = \"public\"` whose `path` has what sign-in needs:"
            }
        }
    }
}

/// The context for checking that a sign-in page is public.
#[derive(Debug)]
pub(super) struct SignInCheck<'r> {
    /// The routes, which say which paths are public.
    pub(super) routes: &'r Routes,
    /// How paths are made public.
    pub(super) public_by: PublicBy,
    /// The hosts from which browsers are redirected; `None` skips the check.
    pub(super) sources: Option<SourceHosts>,
}

impl<'r> SignInCheck<'r> {
    /// The context of a gate all of whose hosts have the same routes.
    pub(super) fn of_one_service(routes: &'r Routes, public_by: PublicBy) -> Self {
        Self {
            routes,
            public_by,
            sources: Some(SourceHosts {
                hosts: BTreeSet::new(),
                others: true,
                from_anywhere: false,
            }),
        }
    }
}

/// Reads the settings, and checks that the page can be reached.
pub(super) fn settings(
    reader: &mut Reader<'_>,
    check: &SignInCheck<'_>,
    warnings: &mut Vec<String>,
) -> Option<SignIn> {
    let public_origins = reader.list("PUBLIC_URL", Origin::read);
    let callback = reader.read_or(CALLBACK, DEFAULT_CALLBACK, parameter_name);
    let url = reader.read("SIGN_IN_URL", sign_in_url)?;
    let callback = callback?;
    let page: Uri = url.parse().expect("a URL that was read as one");
    if let Some(name) = return_parameter_in(page.query().unwrap_or_default(), &callback) {
        let what = format!(
            "the gate puts the return URL into its parameter `{name}`; remove the parameter, and set {CALLBACK} to the \
             name that your app reads"
        );
        reader.problem("SIGN_IN_URL", what);
        return None;
    }
    if page.authority().is_some() && public_origins.is_empty() {
        warnings.push(
            "SIGN_IN_URL is on another origin and PUBLIC_URL is not set, so after sign-in browsers return to the app's \
             origin instead of this gate's; set PUBLIC_URL to the origin under which browsers reach this gate, such as \
             https://app.example.com (separate several by commas)"
                .to_owned(),
        );
    }
    if is_behind_gate(&page, &public_origins) {
        check_reachable(reader, check, &page, warnings);
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    Some(SignIn {
        target: format!("{url}{separator}{callback}="),
        page,
        callback,
        public_origins,
        loop_breaker: loop_breaker(reader)?,
    })
}

/// Whether a page is behind this gate: a path, or a URL on one of the gate's origins.
fn is_behind_gate(page: &Uri, public_origins: &[Origin]) -> bool {
    let Some(authority) = page.authority() else {
        return true;
    };
    let https = page.scheme_str() == Some("https");
    RequestHost::read(authority.as_str()).is_some_and(|host| {
        let mut origins = public_origins.iter();
        origins.any(|origin| origin.is_https() == https && origin.matches(&host))
    })
}

/// Checks that a sign-in page behind this gate is public; otherwise it would redirect to itself forever. A gate that only
/// decides cannot know which paths its calling proxy asks about.
fn check_reachable(
    reader: &mut Reader<'_>,
    check: &SignInCheck<'_>,
    page: &Uri,
    warnings: &mut Vec<String>,
) {
    let (path, public_by) = (page.path(), check.public_by);
    let own_host = page.host().map(|host| SourceHosts {
        hosts: BTreeSet::from([host.to_owned()]),
        others: false,
        from_anywhere: false,
    });
    let Some(sources) = own_host.as_ref().or(check.sources.as_ref()) else {
        return;
    };
    let is_open = |path: &str| sources.is_public(check.routes, path);
    if is_open(path) {
        if sources.from_anywhere && !check.routes.is_public_on(None, path) {
            warnings.push(format!(
                "the sign-in page `{path}` is public only on some hosts, but a route without `host` redirects there from \
                 any host: on the others the page would redirect to itself forever; add `host` to that route, remove it \
                 from the page's route, or give the page as a URL with its host"
            ));
        }
        let by_its_folder =
            is_open(&format!("{}/x", path.trim_end_matches('/'))) || is_open(&format!("{path}x"));
        if !by_its_folder && !is_open(AUTH_ROUTES) {
            warnings.push(format!(
                "the sign-in page `{path}` is public but `{AUTH_ROUTES}` is not: unless your app signs users in \
                 elsewhere, {} (for Next.js `/_next/` too)",
                match public_by {
                    PublicBy::Paths | PublicBy::PathsForOthers =>
                        format!("add `{AUTH_ROUTES}` to PUBLIC_PATHS"),
                    PublicBy::Routes => "add it to the `path` of a public route".to_owned(),
                }
            ));
        }
        return;
    }
    let what = if path == "/" {
        "the sign-in page is `/` of this gate itself, which would redirect to itself forever; give it a path of its own, \
         because `/` in PUBLIC_PATHS makes everything public"
            .to_owned()
    } else {
        let itself = match path.starts_with(AUTH_ROUTES) {
            true => String::new(),
            false => format!("`{path}` and "),
        };
        let hosts: Vec<_> = sources.closed_hosts(check.routes, path).cloned().collect();
        let on_hosts = match hosts.is_empty() || public_by != PublicBy::Routes {
            true => String::new(),
            false => format!(" on {}", listed_briefly(&hosts)),
        };
        let or_url = match page.host().is_none() && !on_hosts.is_empty() {
            true => "; or give the page as a URL with its host",
            false => "",
        };
        format!(
            "the sign-in page `{path}` is behind this gate and not public{on_hosts}, so it would redirect to itself \
             forever; {} {itself}`{AUTH_ROUTES}`, and for Next.js `/_next/`. Add them even if a proxy in front of the \
             gate answers these paths{or_url}",
            public_by.advice()
        )
    };
    if public_by != PublicBy::PathsForOthers {
        reader.problem("SIGN_IN_URL", what);
    } else {
        warnings.push(format!(
            "SIGN_IN_URL: {what}, unless your proxy does not ask about them"
        ));
    }
}

/// Lists hosts, at most as many as fit into a sentence.
fn listed_briefly(hosts: &[String]) -> String {
    let shown = &hosts[..hosts.len().min(MOST_LISTED)];
    match hosts.len() - shown.len() {
        0 => listed(shown),
        more => format!("{} (and {more} more)", listed(shown)),
    }
}

/// The detector of redirect loops. Its key is derived from the session secret, so that all gates count together; without a
/// secret it is random.
fn loop_breaker(reader: &mut Reader<'_>) -> Option<LoopBreaker> {
    let mut secrets = SESSION_SECRETS.iter().copied();
    if let Some(secret) = secrets.find_map(|name| reader.secret_again(name)) {
        return Some(LoopBreaker::of_secret(secret.expose()));
    }
    let random = random::bytes::<32>().map(|bytes| LoopBreaker::of_secret(&bytes));
    random
        .map_err(|error| reader.problem("SIGN_IN_URL", error.to_string()))
        .ok()
}

fn sign_in_url(text: &str) -> Result<String, Cow<'static, str>> {
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let uri: Uri = text.parse().map_err(|_| {
        let advice = ascii_host::advice(text).map(Cow::Owned);
        advice.unwrap_or(Cow::Borrowed(URL_OR_PATH))
    })?;
    let is_web = uri.authority().is_some() && matches!(uri.scheme_str(), Some("http" | "https"));
    // A redirect would reveal credentials to every browser.
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(
            "the credentials before the host would be sent to every browser; remove them".into(),
        );
    }
    if (is_path || is_web) && !text.contains(['#', '\\']) {
        return Ok(text.to_owned());
    }
    Err(URL_OR_PATH.into())
}

const URL_OR_PATH: &str = "give an http or https URL, or a path that begins with one `/`";

fn parameter_name(text: &str) -> Result<String, &'static str> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if matches!(text.len(), 1..=64) && text.bytes().all(is_part) {
        return Ok(text.to_owned());
    }
    Err(
        "give the name of a query parameter, such as callbackUrl: letters, digits, `-`, `.`, `_` and `~`",
    )
}

/// The decoded parameter names of a query.
fn parameters(query: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        percent_decode_str(name).decode_utf8_lossy()
    })
}

/// The parameter of a query that already has a return URL: the configured one, that of Auth.js and Better Auth in either
/// spelling (`callbackUrl`, `callbackURL`), or that of oauth2-proxy and Authelia.
fn return_parameter_in(query: &str, callback: &str) -> Option<String> {
    let known = [callback, DEFAULT_CALLBACK, "rd"];
    let is_known = |name: &Cow<'_, str>| known.iter().any(|known| name.eq_ignore_ascii_case(known));
    parameters(query).find(is_known).map(Cow::into_owned)
}

/// A path as a lenient app may read it: decoded, in lower case, without doubled and final slashes.
fn normalized_path(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let segments = decoded.split('/').filter(|segment| !segment.is_empty());
    let segments: Vec<_> = segments.map(str::to_lowercase).collect();
    segments.join("/")
}

/// The default base path of Auth.js, NextAuth and Better Auth.
const AUTH_ROUTES: &str = "/api/auth/";

const MOST_LISTED: usize = 4;

const CALLBACK: &str = "SIGN_IN_CALLBACK_PARAMETER";
const DEFAULT_CALLBACK: &str = "callbackUrl";

#[cfg(test)]
mod tests;
