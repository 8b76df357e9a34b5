//! The names of headers that mean something to a gate, in normal form.
//!
//! The lists are long because services read many names. A header from which a service takes the path, the prefix, the method, the
//! scheme or the host of a request, or a file mapping, turns the request into a different one from the one that the gate decided
//! about. Each group names its source. If every name with a certain prefix or suffix describes routing, the list has that prefix
//! or suffix, which also covers other products.

use super::Meaning;

/// The lists of names and of prefixes: each with whether it holds prefixes, and with the meaning of the names.
pub(super) const LISTS: &[(&[&str], bool, Meaning)] = &[
    (IDENTITY, false, Meaning::Identity),
    (IDENTITY_PREFIXES, true, Meaning::Identity),
    (PLACE, false, Meaning::Routing),
    (SCHEME, false, Meaning::Routing),
    (HOST, false, Meaning::Routing),
    (METHOD, false, Meaning::Routing),
    (CLIENT, false, Meaning::Routing),
    (ROUTING_PREFIXES, true, Meaning::Routing),
];

/// Fields that concern one connection, and others that only the gate writes: where a message ends, how long its connection lasts,
/// and the request's id. In their proper spelling they are never forwarded as received.
pub(super) const REWRITTEN: &[&str] = &[
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "x-request-id",
];

/// Identity headers, ours and those of other proxies.
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

/// Prefixes of the names of identity headers.
const IDENTITY_PREFIXES: &[&str] = &[
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

/// Headers that say where an application is mounted, and which of its pages is requested.
const PLACE: &[&str] = &[
    // What WSGI, ASGI and Rack applications read as their prefix or place, each with a few lines of its own middleware; the
    // well-known names (`X-Script-Name`, `X-Forwarded-Prefix`) are covered by prefixes.
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
    // gateways write. `SCRIPT_NAME`, `PATH_INFO` and `REQUEST_URI` are covered by prefixes or suffixes.
    "query-string",
    "request-base",
    "request-method",
    "request-scheme",
    "script-filename",
    "script-url",
];

/// Headers that say which protocol the client used.
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

/// Headers that say which host and port the client requested.
const HOST: &[&str] = &[
    // Azure App Service: the requested host.
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

/// Headers that replace the method.
const METHOD: &[&str] = &[
    // Rails, Symfony, Laravel, Express and ASP.NET read `X-HTTP-Method-Override`, `X-HTTP-Method` and
    // `X-Method-Override`, which a prefix and a suffix cover. These are their short forms.
    "x-method",
    "x-request-method",
];

/// Headers that describe the client: addresses and certificates.
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

/// Prefixes of the names of headers that describe the original request.
const ROUTING_PREFIXES: &[&str] = &[
    // RFC 7239, and similar names.
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
    // What IIS sends to ASP.NET Core (`MS-ASPNETCORE-TOKEN`, `-CLIENTCERT`, `-WINAUTHTOKEN`).
    "ms-aspnetcore-",
    // Linkerd's control headers (`l5d-dst-override`).
    "l5d-",
    // RStudio Server and Connect (`X-RStudio-Request`, the whole URL).
    "x-rsc-",
    "x-rstudio-",
    // Jetty's ForwardedRequestCustomizer (`X-Proxied-Https`).
    "x-proxied-",
    // CGI's variables as gunicorn (since 22), FastCGI, SCGI and uWSGI gateways use them.
    "path-info",
    "request-ur",
    "script-name",
    "uwsgi-",
    // Flask's ReverseProxied, mod_wsgi and Calibre-Web (`X-Script-Name`).
    "x-script-",
    // Used by most proxies; also Werkzeug's ProxyFix, Traefik (`-Prefix`), Kong (`-Path`), mod_wsgi (`-Script-Name`), Spring.
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
    // TLS terminated by a proxy, above all client certificates: ingress-nginx, HAProxy, Apache, AWS.
    "ssl-",
    "x-amzn-mtls-",
    "x-client-cert",
    "x-ssl-",
    "x-tls-",
    // What proxies say about themselves and the client.
    "x-client-ip",
    "x-proxy-",
    "x-real-",
];

/// Suffixes of the names of headers that describe the original request, after a vendor's name, `x-`, or nothing.
pub(super) const ROUTING_SUFFIXES: &[&str] = &[
    // The client: `CF-Connecting-IP`, `DO-Connecting-IP`, `Ali-CDN-Real-IP`, `Incap-Client-IP`, `X-Cluster-Client-IP`.
    "client-ip",
    "connecting-ip",
    "real-ip",
    "remote-addr",
    "remote-ip",
    "user-ip",
    // The original request, under any vendor's name.
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
    // The prefix under which an application is mounted, and the path below it.
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
