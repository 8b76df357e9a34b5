//! Where people are sent to sign in, and how they come back.

use std::borrow::Cow;
use std::collections::BTreeSet;

use gate::Routes;
use http::Uri;
use percent_encoding::percent_decode_str;

use super::ascii_host;
use super::origin::{AskedHost, Origin};
use super::raw::Reader;
use super::sessions::SESSION_SECRETS;
use super::words::listed;
use crate::loops::LoopBreaker;
use crate::random;

/// The sign-in page and the origin under which this gate is known.
#[derive(Clone, Debug)]
pub(crate) struct SignIn {
    /// The page.
    page: Uri,
    /// The page's URL, up to and with the `=` of the parameter that holds the way back.
    target: String,
    /// The name of that parameter.
    callback: String,
    /// Scheme, host and port of what we protect, as browsers see it; without one the way back is a path.
    public_origins: Vec<Origin>,
    loops: LoopBreaker,
}

impl SignIn {
    /// The URL to send a browser to, so that it comes back to this path and query on this host.
    ///
    /// Only configured origins and the request's own path go in: an untrusted `Host` never becomes a `Location`. A
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

    /// Whether a request asks for the sign-in page itself. Sent there, it would only come back, with its own address
    /// inside the next. A proxy in front may call us by another host than the page has; then the parameter tells.
    pub(crate) fn is_asked_for(&self, host: Option<&str>, path_and_query: &str) -> bool {
        let (path, query) = path_and_query
            .split_once('?')
            .unwrap_or((path_and_query, ""));
        if comparable(path) != comparable(self.page.path()) {
            return false;
        }
        let on_its_host = self.page.authority().is_none()
            || host
                .and_then(AskedHost::read)
                .is_some_and(|host| host.is_of(&self.page));
        on_its_host || parameters(query).any(|name| name == self.callback)
    }

    /// What tells browsers that go round and round.
    pub(crate) fn loops(&self) -> &LoopBreaker {
        &self.loops
    }

    /// The only configured origin, or of several the one whose host was asked for. Of two with the same host it is the
    /// one whose scheme the browser used.
    fn origin(&self, host: Option<&str>, is_https: bool) -> String {
        let asked = host.and_then(AskedHost::read);
        let asked = asked.as_ref();
        let origin = match self.public_origins.as_slice() {
            [only] => Some(only),
            several => asked.and_then(|asked| {
                let meant = several.iter().filter(|origin| origin.is_asked_for(asked));
                meant.max_by_key(|origin| (origin.is_exact(), origin.is_https() == is_https))
            }),
        };
        origin
            .and_then(|origin| origin.text(asked))
            .unwrap_or_default()
    }
}

/// What makes a path public, for those who are told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// `PUBLIC_PATHS`, of a gate that answers for its paths itself.
    Paths,
    /// `PUBLIC_PATHS`, of a gate that only decides, and cannot know which paths a calling proxy asks about.
    PathsForOthers,
    /// Routes of a file.
    Routes,
}

impl Opened {
    /// What to do so that paths are public; they stand behind it.
    fn advice(self) -> &'static str {
        match self {
            Self::Paths | Self::PathsForOthers => "add to PUBLIC_PATHS what signing in needs:",
            Self::Routes => {
                "add a [[route]] with `access = \"public\"` and what signing in needs in its `path`:"
            }
        }
    }
}

/// Where a sign-in page has to be public.
#[derive(Debug)]
pub(super) struct Around<'r> {
    /// They say which paths are public.
    pub(super) routes: &'r Routes,
    /// What makes them so.
    pub(super) opened: Opened,
    /// Where people come from; where nobody knows, nothing is checked.
    pub(super) comers: Option<Comers>,
}

/// The hosts from which people are sent to a sign-in page.
#[derive(Debug, Default)]
pub(super) struct Comers {
    /// Those that routes name, also `*.example.com`.
    pub(super) hosts: BTreeSet<String>,
    /// Whether they come by others too, of which nobody knows the names.
    pub(super) others: bool,
    /// Whether a route sends them there that names no host.
    pub(super) from_anywhere: bool,
}

impl<'r> Around<'r> {
    /// A gate whose hosts have the same routes.
    pub(super) fn of_one_service(routes: &'r Routes, opened: Opened) -> Self {
        Self {
            routes,
            opened,
            comers: Some(Comers {
                hosts: BTreeSet::new(),
                others: true,
                from_anywhere: false,
            }),
        }
    }
}

impl Comers {
    /// Those of the routes with these ids.
    pub(super) fn of_routes(routes: &Routes, ids: impl IntoIterator<Item = usize>) -> Self {
        let mut comers = Self::default();
        for id in ids {
            let mut names = routes.hosts_of(id).peekable();
            comers.from_anywhere |= names.peek().is_none();
            comers.hosts.extend(names);
        }
        // What no route matches sends people there too.
        comers.others = comers.from_anywhere || comers.hosts.is_empty();
        comers
    }

    /// Whether a path is public for all of them. Of the hosts that nobody knows one is enough.
    fn can_open(&self, routes: &Routes, path: &str) -> bool {
        self.closed(routes, path).next().is_none() && (!self.others || routes.are_open_at(path))
    }

    /// The hosts on which a path is not public.
    fn closed<'c>(&'c self, routes: &'c Routes, path: &'c str) -> impl Iterator<Item = &'c String> {
        let hosts = self.hosts.iter();
        hosts.filter(move |host| !routes.are_open_on(Some(host), path))
    }
}

/// Reads the settings, and sees that the page can be reached.
pub(super) fn settings(
    reader: &mut Reader<'_>,
    around: &Around<'_>,
    warnings: &mut Vec<String>,
) -> Option<SignIn> {
    let public_origins = reader.list("PUBLIC_URL", Origin::read);
    let callback = reader.named(CALLBACK, DEFAULT_CALLBACK, parameter_name);
    let url = reader.read("SIGN_IN_URL", sign_in_url)?;
    let callback = callback?;
    let page: Uri = url.parse().expect("a URL that was read as one");
    if let Some(name) = way_back_in(page.query().unwrap_or_default(), &callback) {
        let what = format!(
            "its parameter `{name}` is where the gate puts the way back; remove it, and give the name that your app \
             reads as {CALLBACK}"
        );
        reader.problem("SIGN_IN_URL", what);
        return None;
    }
    if page.authority().is_some() && public_origins.is_empty() {
        warnings.push(
            "SIGN_IN_URL is on another origin and PUBLIC_URL is not set: after signing in people come back to \
             the app's origin, not to this one; set PUBLIC_URL to the origin under which browsers reach this gate, such as \
             https://app.example.com (several with commas between them)"
                .to_owned(),
        );
    }
    if is_ours(&page, &public_origins) {
        check_reachable(reader, around, &page, warnings);
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    Some(SignIn {
        target: format!("{url}{separator}{callback}="),
        page,
        callback,
        public_origins,
        loops: loops(reader)?,
    })
}

/// Whether a page is behind this gate: a path, or a URL on an origin of ours.
fn is_ours(page: &Uri, public_origins: &[Origin]) -> bool {
    let Some(authority) = page.authority() else {
        return true;
    };
    let https = page.scheme_str() == Some("https");
    AskedHost::read(authority.as_str()).is_some_and(|host| {
        let mut origins = public_origins.iter();
        origins.any(|origin| origin.is_https() == https && origin.is_asked_for(&host))
    })
}

/// Sees that a sign-in page behind this gate is public: otherwise it is redirected to itself, for ever. A gate that only
/// decides cannot know which paths its host asks about.
fn check_reachable(
    reader: &mut Reader<'_>,
    around: &Around<'_>,
    page: &Uri,
    warnings: &mut Vec<String>,
) {
    let (path, opened) = (page.path(), around.opened);
    let own_host = page.host().map(|host| Comers {
        hosts: BTreeSet::from([host.to_owned()]),
        others: false,
        from_anywhere: false,
    });
    let Some(comers) = own_host.as_ref().or(around.comers.as_ref()) else {
        return;
    };
    let is_open = |path: &str| comers.can_open(around.routes, path);
    if is_open(path) {
        if comers.from_anywhere && !around.routes.are_open_on(None, path) {
            warnings.push(format!(
                "the sign-in page `{path}` is public on some hosts alone, and a route without `host` sends people there from any: \
                 on the others it would redirect to itself for ever; name the hosts of that route, leave out those of the page's \
                 route, or give the page as a URL, with the host on which it is"
            ));
        }
        let by_its_folder =
            is_open(&format!("{}/x", path.trim_end_matches('/'))) || is_open(&format!("{path}x"));
        if !by_its_folder && !is_open(AUTH_ROUTES) {
            warnings.push(format!(
                "the sign-in page `{path}` is public and `{AUTH_ROUTES}` is not: unless your app signs people in \
                 elsewhere, {} (for Next.js `/_next/` too)",
                match opened {
                    Opened::Paths | Opened::PathsForOthers =>
                        format!("add `{AUTH_ROUTES}` to PUBLIC_PATHS"),
                    Opened::Routes => "add it to the `path` of a public route".to_owned(),
                }
            ));
        }
        return;
    }
    let what = if path == "/" {
        "the sign-in page is `/` of this gate itself, and would redirect to itself for ever; give it a path of its own, \
         because `/` in PUBLIC_PATHS opens everything"
            .to_owned()
    } else {
        let itself = match path.starts_with(AUTH_ROUTES) {
            true => String::new(),
            false => format!("`{path}` and "),
        };
        let hosts: Vec<_> = comers.closed(around.routes, path).cloned().collect();
        let on_hosts = match hosts.is_empty() || opened != Opened::Routes {
            true => String::new(),
            false => format!(" on {}", few(&hosts)),
        };
        let or_url = match page.host().is_none() && !on_hosts.is_empty() {
            true => "; or give the page as a URL, with the host on which it is",
            false => "",
        };
        format!(
            "the sign-in page `{path}` is behind this gate and not public{on_hosts}, so it would redirect to itself for ever; \
             {} {itself}`{AUTH_ROUTES}`, and for Next.js `/_next/`. If something in front of the gate answers these paths, \
             add them all the same{or_url}",
            opened.advice()
        )
    };
    if opened != Opened::PathsForOthers {
        reader.problem("SIGN_IN_URL", what);
    } else {
        warnings.push(format!(
            "SIGN_IN_URL: {what}, unless your proxy does not ask about them"
        ));
    }
}

/// Hosts by name, as many as fit into a sentence.
fn few(hosts: &[String]) -> String {
    let shown = &hosts[..hosts.len().min(FEW)];
    match hosts.len() - shown.len() {
        0 => listed(shown),
        more => format!("{} (and {more} more)", listed(shown)),
    }
}

/// The key with which redirects are counted: from the secret of the sessions, so that all gates count as one; without any
/// secret, a key of this process.
fn loops(reader: &mut Reader<'_>) -> Option<LoopBreaker> {
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
    // Every browser would be told them.
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(
            "a name and a password before the host would be sent to every browser; remove them"
                .into(),
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

/// The names in a query, decoded.
fn parameters(query: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        percent_decode_str(name).decode_utf8_lossy()
    })
}

/// The parameter of a query that names the way back already: the one that we write, that of Auth.js and Better Auth in
/// either spelling (`callbackUrl`, `callbackURL`), or that of oauth2-proxy and Authelia.
fn way_back_in(query: &str, callback: &str) -> Option<String> {
    let known = [callback, DEFAULT_CALLBACK, "rd"];
    let is_known = |name: &Cow<'_, str>| known.iter().any(|known| name.eq_ignore_ascii_case(known));
    parameters(query).find(is_known).map(Cow::into_owned)
}

/// A path as a lenient app may read it: decoded, without case, doubled and final slashes.
fn comparable(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let segments = decoded.split('/').filter(|segment| !segment.is_empty());
    let segments: Vec<_> = segments.map(str::to_lowercase).collect();
    segments.join("/")
}

/// Where Auth.js, NextAuth and Better Auth sign people in, unless told otherwise.
const AUTH_ROUTES: &str = "/api/auth/";

const FEW: usize = 4;

const CALLBACK: &str = "SIGN_IN_CALLBACK_PARAMETER";
const DEFAULT_CALLBACK: &str = "callbackUrl";

#[cfg(test)]
mod tests;
