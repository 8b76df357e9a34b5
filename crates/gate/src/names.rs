//! Header names that mean something to a gate: who the user is, and what the original request was.
//!
//! Every name here is in **normal form**: lower case, with every byte that is neither letter nor digit read as `-`.
//!
//! The lists are long because services read so many names. A header from which a service takes the place, the prefix, the
//! method, the scheme or the host of a request, or a file mapping, makes the request another one than the gate has
//! judged. The source is named beside each group. Where a namespace is wholly about routing, its beginning or its ending
//! is listed, so that another product's spelling of the same thing is caught too.

/// What a header name means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It claims an identity.
    Identity,
    /// None of the others.
    Other,
    /// It describes the original request.
    Routing,
}

/// What a name in normal form means.
pub(crate) fn meaning(normal: &str) -> Meaning {
    let mut meaning = Meaning::Other;
    for listed in listed_like(normal) {
        match listed.meaning {
            Meaning::Identity if listed.is(normal) => return Meaning::Identity,
            Meaning::Routing if listed.is(normal) => meaning = Meaning::Routing,
            Meaning::Identity | Meaning::Other | Meaning::Routing => {}
        }
    }
    if meaning == Meaning::Other && has_ending(normal) {
        return Meaning::Routing;
    }
    meaning
}

/// Whether a name with these bytes can mean anything at all, told by its first four bytes and its last three. That is
/// enough for nearly every header that browsers send.
pub(crate) fn may_mean_something(name: &[u8]) -> bool {
    let [a, b, c, d, ..] = name else {
        return false;
    };
    let may_start = STARTS[0].has(*a, *b) && STARTS[2].has(*c, *d) && STARTS[1].has(*b, *c);
    may_start || may_have_ending(name)
}

/// Whether a service that folds names takes this one for a field that only the gate writes, for where a message ends, how long its
/// connection lasts, or which request it is, and nobody else does.
pub(crate) fn is_alias_of_rewritten(name: &str) -> bool {
    let is_alias = |rewritten: &&str| {
        rewritten.len() == name.len()
            && **rewritten != *name
            && name.bytes().map(normal_byte).eq(rewritten.bytes())
    };
    // Nearly every name is told by its length, and the rest by being in normal form.
    REWRITTEN_LENGTHS & 1 << (name.len() % 64) != 0
        && !is_normal(name)
        && REWRITTEN.iter().any(is_alias)
}

/// A bit for the length of each of [`REWRITTEN`].
const REWRITTEN_LENGTHS: u64 = {
    let (mut lengths, mut index) = (0, 0);
    while index < REWRITTEN.len() {
        lengths |= 1 << (REWRITTEN[index].len() % 64);
        index += 1;
    }
    lengths
};

/// Whether a name is in normal form as it is.
pub(crate) fn is_normal(name: &str) -> bool {
    // Without a way out of the loop it is done for many bytes at a time.
    name.bytes().fold(true, |normal, byte| {
        normal & matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')
    })
}

/// A byte of a name in normal form.
pub(crate) const fn normal_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'-'
    }
}

/// A name of the lists, or the beginning of a family.
#[derive(Clone, Copy)]
struct Listed {
    name: &'static str,
    is_family: bool,
    meaning: Meaning,
}

impl Listed {
    fn is(&self, name: &str) -> bool {
        if self.is_family {
            name.starts_with(self.name)
        } else {
            name == self.name
        }
    }
}

/// Everything listed whose first four bytes are the name's.
fn listed_like(name: &str) -> impl Iterator<Item = &'static Listed> {
    let key = name
        .as_bytes()
        .first_chunk()
        .map(|key| u32::from_be_bytes(*key));
    let start = KEYS.partition_point(|other| Some(*other) < key);
    let like = KEYS[start..].iter().zip(&LISTED[start..]);
    like.take_while(move |(other, _)| Some(**other) == key)
        .map(|(_, listed)| listed)
}

/// Whether the name is one of [`ROUTING_ENDINGS`], or has one as its last words.
fn has_ending(name: &str) -> bool {
    may_have_ending(name.as_bytes())
        && ROUTING_ENDINGS.iter().any(|ending| {
            name.strip_suffix(ending)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('-'))
        })
}

fn may_have_ending(name: &[u8]) -> bool {
    match name {
        [.., third, second, last] if name.len() >= SHORTEST_ENDING => {
            ENDS[0].has(*third, *second) && ENDS[1].has(*second, *last)
        }
        _ => false,
    }
}

/// A set of pairs of bytes in normal form. Of a byte only the low five bits count, so that a few pairs are one.
struct Pairs([u32; 32]);

impl Pairs {
    const fn add(&mut self, first: u8, second: u8) {
        self.0[SLOTS[first as usize] as usize] |= 1 << SLOTS[second as usize];
    }

    /// The two bytes at `at` of everything listed.
    const fn at_start(at: usize) -> Self {
        let mut pairs = Self([0; 32]);
        let mut index = 0;
        while index < LISTED.len() {
            let name = LISTED[index].name.as_bytes();
            pairs.add(name[at], name[at + 1]);
            index += 1;
        }
        pairs
    }

    /// The two bytes at `at`, counted from the end, of every ending.
    const fn at_end(at: usize) -> Self {
        let mut pairs = Self([0; 32]);
        let mut index = 0;
        while index < ROUTING_ENDINGS.len() {
            let name = ROUTING_ENDINGS[index].as_bytes();
            pairs.add(name[name.len() - at], name[name.len() - at + 1]);
            index += 1;
        }
        pairs
    }

    fn has(&self, first: u8, second: u8) -> bool {
        self.0[SLOTS[first as usize] as usize] & (1 << SLOTS[second as usize]) != 0
    }
}

/// The low five bits of every byte in normal form.
static SLOTS: [u8; 256] = {
    let mut slots = [0; 256];
    let mut byte = 0;
    while byte < slots.len() {
        slots[byte] = normal_byte(byte as u8) & 31;
        byte += 1;
    }
    slots
};

static STARTS: [Pairs; 3] = [Pairs::at_start(0), Pairs::at_start(1), Pairs::at_start(2)];

static ENDS: [Pairs; 2] = [Pairs::at_end(3), Pairs::at_end(2)];

/// The length of the shortest of [`ROUTING_ENDINGS`].
const SHORTEST_ENDING: usize = 5;

/// Every list, sorted by name.
static LISTED: [Listed; count()] = listed();

/// The first four bytes of everything in [`LISTED`], so that a search compares numbers.
static KEYS: [u32; LISTED.len()] = {
    let mut keys = [0; LISTED.len()];
    let mut index = 0;
    while index < LISTED.len() {
        keys[index] = key(LISTED[index].name);
        index += 1;
    }
    keys
};

const fn key(name: &str) -> u32 {
    match name.as_bytes().first_chunk() {
        Some(key) => u32::from_be_bytes(*key),
        None => panic!("every listed name has four bytes"),
    }
}

const fn listed() -> [Listed; count()] {
    let mut all = [Listed {
        name: "",
        is_family: false,
        meaning: Meaning::Other,
    }; count()];
    let (mut len, mut list) = (0, 0);
    while list < LISTS.len() {
        let (names, is_family, meaning) = LISTS[list];
        let mut index = 0;
        while index < names.len() {
            let name = names[index];
            let mut at = len;
            while at > 0 && key(name) < key(all[at - 1].name) {
                all[at] = all[at - 1];
                at -= 1;
            }
            all[at] = Listed {
                name,
                is_family,
                meaning,
            };
            len += 1;
            index += 1;
        }
        list += 1;
    }
    all
}

const fn count() -> usize {
    let (mut count, mut list) = (0, 0);
    while list < LISTS.len() {
        count += LISTS[list].0.len();
        list += 1;
    }
    count
}

/// The lists below, whether they hold beginnings of names, and what the names mean.
const LISTS: &[(&[&str], bool, Meaning)] = &[
    (IDENTITY, false, Meaning::Identity),
    (IDENTITY_FAMILIES, true, Meaning::Identity),
    (PLACE, false, Meaning::Routing),
    (SCHEME, false, Meaning::Routing),
    (HOST, false, Meaning::Routing),
    (METHOD, false, Meaning::Routing),
    (CLIENT, false, Meaning::Routing),
    (ROUTING_FAMILIES, true, Meaning::Routing),
];

/// What says where a message ends, how long its connection lasts, and by which id it is known. In their proper spelling these never
/// go on as they came.
const REWRITTEN: &[&str] = &[
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "x-request-id",
];

/// Identity headers of ours and of the proxies that people come from.
const IDENTITY: &[&str] = &[
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-sub",
    "remote-user",
    "x-authenticated-user",
    "x-forwarded-access-token",
    "x-forwarded-displayname",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-mail",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-goog-iap-jwt-assertion",
    "x-middleware-subrequest",
    "x-remote-email",
    "x-remote-groups",
    "x-remote-name",
    "x-remote-user",
    "x-role",
    "x-user",
    "x-user-email",
    "x-user-groups",
    "x-user-id",
    "x-user-name",
    "x-user-role",
    "x-user-roles",
];

/// Families of identity headers that are open-ended.
const IDENTITY_FAMILIES: &[&str] = &[
    "cf-access-",
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-authentik-",
    "x-goog-authenticated-user-",
    "x-ms-client-principal",
    "x-pomerium-",
    // Home Assistant's ingress.
    "x-remote-user-",
    "x-vouch-",
    "x-webauth-",
];

/// Where an application is mounted, and which page of it is meant.
const PLACE: &[&str] = &[
    // What WSGI, ASGI and Rack applications read as their prefix or place, each with a few lines of middleware of its own; the
    // well-known ones (`X-Script-Name`, `X-Forwarded-Prefix`) are families.
    "x-app-path",
    "x-app-root",
    "x-application-path",
    "x-base-href",
    "x-external-path",
    "x-mount",
    "x-mount-path",
    "x-mountpoint",
    "x-path",
    "x-pathname",
    "x-request-base",
    "x-root",
    "x-sub-path",
    "x-subdir",
    "x-subfolder",
    "x-subpath",
    "x-uri",
    "x-url",
    // Next.js: its server's list of internal headers (`server/lib/server-ipc/utils.ts`). What its pages send themselves,
    // such as `x-nextjs-data`, `x-middleware-prefetch` and `next-url`, stays.
    "x-matched-path",
    "x-middleware-invoke",
    "x-middleware-next",
    "x-middleware-override-headers",
    "x-middleware-redirect",
    "x-middleware-rewrite",
    "x-middleware-set-cookie",
    "x-middleware-skip",
    "x-middleware-subrequest-id",
    "x-nextjs-matched-path",
    "x-nextjs-rewritten-path",
    "x-nextjs-rewritten-query",
    "x-now-route-matches",
    // CGI's variables (RFC 3875), which gunicorn takes from a forwarder (`--forwarder-headers`, since 22) and FastCGI
    // gateways write. `SCRIPT_NAME`, `PATH_INFO` and `REQUEST_URI` are families or endings.
    "query-string",
    "request-base",
    "request-method",
    "request-scheme",
    "script-filename",
    "script-url",
];

/// Over what the client came.
const SCHEME: &[&str] = &[
    // mod_wsgi (`WSGITrustedProxyHeaders`: `X-HTTPS`, `X-Scheme`), Flask's ReverseProxied (`X-Scheme`), ISA Server and
    // phpMyAdmin (`Front-End-Https`), Cloudflare (`CF-Visitor`), PHP applications (`From-Https`).
    "cf-visitor",
    "from-https",
    "front-end-https",
    "frontend-https",
    "https",
    "x-client-scheme",
    "x-client-ssl",
    "x-from-https",
    "x-front-end-https",
    "x-frontend-scheme",
    "x-https",
    "x-protocol",
    "x-request-scheme",
    "x-scheme",
    "x-secure",
    "x-ssl",
    "x-tls",
    "x-use-ssl",
];

/// Which host and port the client asked.
const HOST: &[&str] = &[
    // Azure App Service: the host that was asked for.
    "disguised-host",
    "was-default-hostname",
    // mod_wsgi (`X-Host`), IBM and Zend servers, and the names in which cache poisoning is tried first
    // (PortSwigger's Param Miner).
    "x-client-host",
    "x-external-host",
    "x-gateway-host",
    "x-host",
    "x-hostname",
    "x-http-host",
    "x-port",
    "x-request-host",
    "x-server-addr",
    "x-server-host",
    "x-server-name",
    "x-server-port",
    "x-vhost",
];

/// Which method is meant.
const METHOD: &[&str] = &[
    // Rails, Symfony, Laravel, Express and ASP.NET read `X-HTTP-Method-Override`, `X-HTTP-Method` and
    // `X-Method-Override`: a family and an ending. These are their short forms.
    "x-method",
    "x-request-method",
];

/// Who the client is: addresses and certificates.
const CLIENT: &[&str] = &[
    // Cloudflare, Alibaba Cloud; most others end in `-client-ip`, `-connecting-ip` or `-real-ip`.
    "cdn-src-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "x-client-dn",
    "x-client-port",
    "x-client-verify",
    "x-cluster-client",
    // RFC 9440.
    "client-cert",
    "client-cert-chain",
    // httpoxy: CGI reads `Proxy` as `HTTP_PROXY` (CVE-2016-5385). Jetty's ForwardedRequestCustomizer reads the others.
    "proxy",
    "proxy-auth-cert",
    "proxy-ssl-id",
];

/// Beginnings of headers that describe the original request.
const ROUTING_FAMILIES: &[&str] = &[
    // RFC 7239, and what is named like it.
    "forwarded",
    // The private headers of WebSphere's plug-in (`$WSSC` the scheme, `$WSRA` the address, `$WSRU` the user, `$WSCC` the
    // certificate, `$WSSN` and `$WSSP` the host).
    "-wsat",
    "-wscc",
    "-wscs",
    "-wsfo",
    "-wsis",
    "-wsod",
    "-wspc",
    "-wspr",
    "-wspt",
    "-wsra",
    "-wsrh",
    "-wsru",
    "-wssc",
    "-wssi",
    "-wssn",
    "-wssp",
    "-wsst",
    // What IIS tells ASP.NET Core (`MS-ASPNETCORE-TOKEN`, `-CLIENTCERT`, `-WINAUTHTOKEN`).
    "ms-aspnetcore-",
    // Linkerd's control headers (`l5d-dst-override`).
    "l5d-",
    // RStudio Server and Connect (`X-RStudio-Request`, the whole URL).
    "x-rsc-",
    "x-rstudio-",
    // Jetty's ForwardedRequestCustomizer (`X-Proxied-Https`).
    "x-proxied-",
    // CGI's variables as gunicorn (since 22), FastCGI, SCGI and uWSGI gateways know them.
    "path-info",
    "request-ur",
    "script-name",
    "uwsgi-",
    // Flask's ReverseProxied, mod_wsgi and Calibre-Web (`X-Script-Name`).
    "x-script-",
    // Everybody's; also Werkzeug's ProxyFix, Traefik (`-Prefix`), Kong (`-Path`), mod_wsgi (`-Script-Name`), Spring.
    "x-forwarded",
    // IIS, Zend, Symfony, nginx ingresses: `X-Original-URL`, `X-Orig-Host`, `X-Rewrite-URL`.
    "x-orig-",
    "x-original",
    "x-rewrit",
    // Traefik's ReplacePath; Home Assistant's ingress.
    "x-replaced-",
    "x-ingress-",
    // Paste's and Plack's ReverseProxyPath (`X-Traversal-Path`).
    "x-traversal-",
    // Zope's and Plone's VirtualHostMonster.
    "x-vhm-",
    "x-virtual-host",
    "x-zope-",
    // Java and Perl servers: the request as they would have seen it.
    "x-request-path",
    "x-request-ur",
    "x-url-",
    // The renderer of Next.js (`x-invoke-path`, `-query`, `-output`).
    "x-invoke-",
    // A file mapping: Rack::Sendfile and Plack (`X-Sendfile-Type`, `X-Accel-Mapping`), Symfony's BinaryFileResponse.
    "x-accel-",
    "x-sendfile",
    // Rails, Symfony, Laravel, Express, ASP.NET.
    "x-http-method",
    // Envoy: timeouts, retries, the original path.
    "x-envoy-",
    // IIS's Application Request Routing, Azure App Service and Front Door.
    "x-arr-",
    "x-azure-",
    "x-waws-",
    // Google App Engine; its `X-ProxyUser-Ip`.
    "x-appengine-",
    "x-proxyuser-",
    // CloudFront, Fastly, Fly.io, Netlify.
    "cloudfront-",
    "fastly-",
    "fly-",
    "x-nf-",
    // Vercel; its own bypass of deployment protection stays.
    "x-vercel-deployment-",
    "x-vercel-forwarded-",
    "x-vercel-ip-",
    "x-vercel-proxied-",
    "x-vercel-sc-",
    // WebLogic and old Java proxies.
    "wl-proxy-",
    // TLS that ended in front, client certificates above all: ingress-nginx, HAProxy, Apache, AWS.
    "ssl-",
    "x-amzn-mtls-",
    "x-client-cert",
    "x-ssl-",
    "x-tls-",
    // Proxies' own words for themselves and the client.
    "x-client-ip",
    "x-proxy-",
    "x-real-",
];

/// Endings of headers that describe the original request, whatever stands before them: a vendor's name, `x-`, nothing.
const ROUTING_ENDINGS: &[&str] = &[
    // The client: `CF-Connecting-IP`, `DO-Connecting-IP`, `Ali-CDN-Real-IP`, `Incap-Client-IP`, `X-Cluster-Client-IP`.
    "client-ip",
    "connecting-ip",
    "real-ip",
    "remote-addr",
    "remote-ip",
    "user-ip",
    // The original request, in whose name whoever says it.
    "forwarded-for",
    "forwarded-host",
    "forwarded-port",
    "forwarded-scheme",
    "forwarded-uri",
    "forwarded-url",
    "host-override",
    "method-override",
    "original-host",
    "original-path",
    "original-uri",
    "original-url",
    "path-override",
    "proto",
    "rewrite-url",
    "url-override",
    "url-scheme",
    // The prefix below which an application is mounted, and the place in it.
    "base-path",
    "base-uri",
    "base-url",
    "context-path",
    "mount-point",
    "path-info",
    "root-path",
    "root-uri",
    "root-url",
    "prefix",
    "script-name",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_by_the_first_four_bytes() {
        assert!(KEYS.is_sorted());
    }

    #[test]
    fn nothing_is_listed_twice() {
        for (index, listed) in LISTED.iter().enumerate() {
            let others = LISTED.iter().enumerate().filter(|(at, _)| *at != index);
            let mut same = others.filter(|(_, other)| other.meaning == listed.meaning);
            assert!(
                !same.any(|(_, other)| other.is(listed.name)),
                "{}",
                listed.name
            );
            if listed.meaning == Meaning::Routing && !listed.is_family {
                assert!(!has_ending(listed.name), "{}", listed.name);
            }
        }
    }

    #[test]
    fn every_listed_name_is_in_normal_form_and_passes_the_first_look() {
        let names = LISTED.iter().map(|listed| (listed.name, listed.meaning));
        let endings = ROUTING_ENDINGS
            .iter()
            .map(|ending| (*ending, Meaning::Routing));
        for (name, meant) in names.chain(endings) {
            assert!(name.bytes().all(|byte| byte == normal_byte(byte)), "{name}");
            assert!(may_mean_something(name.as_bytes()), "{name}");
            assert_eq!(meaning(name), meant, "{name}");
        }
        let lengths = ROUTING_ENDINGS.iter().map(|ending| ending.len());
        assert_eq!(lengths.min(), Some(SHORTEST_ENDING));
    }

    #[test]
    fn only_other_spellings_of_what_is_rewritten_are_aliases() {
        for alias in [
            "content_length",
            "content.length",
            "transfer_encoding",
            "keep~alive",
            "proxy_authorization",
            "http2.settings",
            "x_request_id",
            "x.request-id",
        ] {
            assert!(is_alias_of_rewritten(alias), "{alias}");
        }
        for other in [
            "content-length",
            "transfer-encoding",
            "content_type",
            "x-request-id",
            "content-lengths",
            "contentxlength",
        ] {
            assert!(!is_alias_of_rewritten(other), "{other}");
        }
    }

    /// What browsers send with every page: none of it may cost a second look.
    #[test]
    fn the_usual_headers_are_told_at_the_first_look() {
        for name in [
            "accept",
            "accept-encoding",
            "accept-language",
            "authorization",
            "cache-control",
            "content-length",
            "content-type",
            "cookie",
            "host",
            "if-modified-since",
            "if-none-match",
            "origin",
            "priority",
            "referer",
            "sec-ch-ua",
            "sec-ch-ua-mobile",
            "sec-ch-ua-platform",
            "sec-fetch-dest",
            "sec-fetch-mode",
            "sec-fetch-site",
            "sec-fetch-user",
            "upgrade-insecure-requests",
            "user-agent",
        ] {
            assert!(!may_mean_something(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_of_the_kind_are_routing_whoever_coined_them() {
        for name in [
            "x-script-name",
            "script-name",
            "x-scheme",
            "x-forwarded-path",
            "acme-forwarded-proto",
            "acme-client-ip",
            "x-acme-base-path",
            "x-sendfile-type",
            "x-accel-mapping",
            "path-info",
            "request-uri",
            "x-tunneled-http-method-override",
            "daphne-root-path",
            "x-cf-forwarded-url",
            "x-location-prefix",
            "x-edge-proto",
            "-wssc",
            "x-proxied-https",
            "l5d-dst-override",
            "ms-aspnetcore-clientcert",
        ] {
            assert_eq!(meaning(name), Meaning::Routing, "{name}");
        }
    }

    #[test]
    fn what_applications_say_to_each_other_is_nothing_to_us() {
        for name in [
            "access-control-request-method",
            "sec-ch-prefers-color-scheme",
            "host",
            "next-action",
            "next-router-state-tree",
            "next-url",
            "hx-request",
            "x-api-key",
            "x-amzn-trace-id",
            "x-b3-traceid",
            "x-client-data",
            "x-client-id",
            "x-client-version",
            "x-cloud-trace-context",
            "x-csrf-token",
            "x-device-id",
            "x-github-event",
            "x-hub-signature-256",
            "x-idempotency-key",
            "x-inertia",
            "x-middleware-prefetch",
            "x-nextjs-data",
            "x-request-id",
            "x-requested-with",
            "x-request-start",
            "x-tenant-id",
            "x-vercel-protection-bypass",
            "x-xsrf-token",
        ] {
            assert_eq!(meaning(name), Meaning::Other, "{name}");
        }
    }
}
