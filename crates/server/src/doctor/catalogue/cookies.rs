//! Checks of the cookies that the app sets, and of a given session.

use crate::doctor::check::checks;

checks! {
    COOKIE_DOMAIN_WIDE = Warning "cookie-domain-wide"
        why "With Domain, browsers send the cookie to every host below that domain, so the least protected of them can \
             steal sessions, and any of them can overwrite the cookie."
        todo "Omit Domain unless several hosts share the session; in that case keep other people's hosts off the domain."
    COOKIE_LIVES_LONG = Warning "cookie-lives-long"
        why "A stolen session cookie works until it expires. The default of Auth.js is 30 days."
        todo "Lower session.maxAge (Auth.js) or session.expiresIn (Better Auth), or look up users (ENABLE_DB_CHECK), so \
             that you can remove access sooner."
    COOKIE_NAME_UNEXPECTED = Warning "cookie-name-unexpected"
        why "Judging by its other cookies, the app's session cookie has a name that the gate does not read, so the gate \
             refuses all signed-in users."
        todo "Set AUTH_COOKIE_NAME to the app's name for it, or SESSION_FORMAT to the app's framework; `sessiongate check-config` shows which names are read."
    COOKIE_NEAR_LIMIT = Warning "cookie-near-limit"
        why "Browsers silently drop a cookie whose name and value exceed 4096 bytes (RFC 6265bis, section 5.5). With \
             one more claim, no user can sign in."
        todo "Store less in the session: no access tokens, no pictures, no long lists. Auth.js splits a cookie that is \
             too long; Better Auth omits its cache."
    COOKIE_NO_PREFIX = Warning "cookie-no-prefix"
        why "Without __Host- or __Secure-, a browser accepts a cookie with that name over plain HTTP and from sibling \
             domains too, so an attacker can plant a session."
        todo "Let the framework use secure cookies: useSecureCookies of Auth.js, advanced.useSecureCookies of Better \
             Auth. Both do so by default if they know that browsers use HTTPS."
    COOKIE_NOT_HTTP_ONLY = Problem "cookie-not-http-only"
        why "Without HttpOnly, every script in the page can read the cookie, so a single injected script can steal the \
             session."
        todo "Keep the framework's default for httpOnly, and find out what rewrites Set-Cookie on the way."
    COOKIE_NOT_READ = Problem "cookie-not-read-by-gate"
        why "The app sets a session cookie that the gate does not read, so the gate refuses all signed-in users."
        todo "Set AUTH_COOKIE_NAME to this name, or SESSION_FORMAT to the app's framework; `sessiongate check-config` shows which names are read."
    COOKIE_NOT_SECURE = Problem "cookie-not-secure"
        why "Without Secure, the browser also sends the cookie over plain HTTP, where anybody on the network path can \
             read it."
        todo "Let the app know that browsers use HTTPS: X-Forwarded-Proto from the proxy in front, which Express only \
             trusts with `app.set(\"trust proxy\", …)`; AUTH_URL of Auth.js; baseURL of Better Auth."
    COOKIE_PATH_NARROW = Warning "cookie-path-narrow"
        why "The browser sends the cookie only to that path, so a gate in front of other paths never sees the session."
        todo "Set the cookie's path to /."
    COOKIE_REJECTED = Problem "cookie-rejected-by-browsers"
        why "Browsers silently drop such a cookie, so no user can sign in."
        todo "Change the attributes that the rules for this cookie do not allow, or its name."
    COOKIE_SAME_SITE_MISSING = Warning "cookie-same-site-missing"
        why "Without SameSite, some browsers send the cookie with requests from other sites, which enables cross-site \
             request forgery."
        todo "Set SameSite=Lax."
    COOKIE_SAME_SITE_NONE = Warning "cookie-same-site-none"
        why "With SameSite=None, browsers send the cookie with requests from other sites, which enables cross-site \
             request forgery."
        todo "Set SameSite=Lax, unless the app must work inside pages of other sites; in that case turn on `csrf` in the \
             gate's routes."
    SESSION_DOES_NOT_OPEN = Problem "session-does-not-open"
        why "The gate refuses this session."
        todo "Run `sessiongate open < FILE` to find the cause, such as another secret, salt or format."
    SESSION_LIVES_LONG = Warning "session-lives-long"
        why "A stolen session works until it expires."
        todo "Lower session.maxAge (Auth.js) or session.expiresIn (Better Auth), or limit its age with TOKEN_MAX_AGE."
    SESSION_NOT_SENT = Note "session-not-sent"
        why "The session is sent only where it cannot be read on the network path: over HTTPS with a trusted certificate, \
             or to this machine."
        todo "Give an https:// URL; if the certificate authority is your own, give its certificate with --ca-file."
    SESSION_REFUSED = Problem "session-refused"
        why "The session opens, but the gate refuses it: according to the stores, its user may not enter or it has \
             ended."
        todo "If the user should be able to enter, check that the gate uses the app's database: DATABASE_URL, \
             USER_TABLE, USER_ID_FIELD, and SESSION_STORE if sessions are in a store. If the session was revoked, \
             `sessiongate revocations` shows by whom and why, and `sessiongate revocations remove` undoes it. Otherwise \
             sign in again, and copy the new cookie."
    SESSION_REFUSED_BY_APP = Warning "session-refused-by-app"
        why "The app itself does not accept this session: it has ended, was revoked there, or belongs to another app."
        todo "Copy the cookies again from a browser that is signed in."
    SESSION_TOO_LARGE = Warning "session-too-large"
        why "Browsers send all chunks of a session in one header line with every request. nginx accepts 8 KiB by \
             default, Node.js 16 KiB for all headers; beyond that, users get 400 or 431."
        todo "Store less in the session, or store sessions in a database. Until then, raise large_client_header_buffers \
             in nginx and --max-http-header-size in Node.js."
}
