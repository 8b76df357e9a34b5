//! Checks of how browsers reach the app.

use crate::doctor::check::checks;

checks! {
    APP_UNREACHABLE = Problem "app-unreachable"
        why "The app did not answer, so its responses could not be examined."
        todo "Check that it runs and that this machine can reach it, and give the URL that browsers use."
    CERTIFICATE_NOT_TRUSTED = Problem "certificate-not-trusted"
        why "Browsers refuse a certificate that they cannot verify, or teach people to click the warning away; then \
             anybody on the network path can read the session."
        todo "Get a certificate from a public authority, such as Let's Encrypt. For an authority of your own, give its \
             certificate with --ca-file."
    CLOCK_OFF = Warning "clock-off"
        why "Sessions contain times. Auth.js tolerates 15 seconds; beyond that, new sessions seem to come from the \
             future, and sessions expire too late or too early."
        todo "Synchronize the clocks of both machines with NTP."
    FRAMEWORK_NOT_FOUND = Note "framework-not-found"
        why "Without the framework's own endpoints, only the page can be examined, which rarely sets a session cookie."
        todo "Give the base path of Auth.js or Better Auth with --auth-path, or a saved response of the sign-in with \
             --set-cookie-file. If the app is behind a gate, these paths must be public."
    HSTS_MISSING = Warning "hsts-missing"
        why "Without Strict-Transport-Security, a browser that follows an http:// link uses plain HTTP first, and \
             anybody on the network path can answer in the app's place."
        todo "Send `Strict-Transport-Security: max-age=31536000; includeSubDomains` with every response over HTTPS; omit \
             includeSubDomains if a subdomain has no HTTPS."
    HSTS_SHORT = Warning "hsts-short"
        why "Browsers forget the rule after max-age, so people who visit rarely are not protected."
        todo "Raise max-age to a year (31536000) once everything works over HTTPS."
    PLAIN_HTTP = Problem "plain-http"
        why "Over plain HTTP, anybody on the network path can read and use the session cookie."
        todo "Serve the app over HTTPS, and redirect plain HTTP to it permanently."
    PLAIN_HTTP_LOCAL = Note "plain-http-local"
        why "Over plain HTTP on this machine, frameworks omit Secure, prefixes and HSTS, so these were not checked."
        todo "Give the public https:// URL of the app to check them."
    REDIRECT_ELSEWHERE = Note "redirect-elsewhere"
        why "The redirect leads to another host, which was not examined."
        todo "Examine that URL too, if it is yours."
    REDIRECT_ENDLESS = Problem "redirect-endless"
        why "Browsers give up after that many redirects and show an error (ERR_TOO_MANY_REDIRECTS) instead of the page."
        todo "If these are sign-in pages, make sure that the sign-in page itself needs no session. If http and https \
             alternate, make the proxy that terminates TLS send X-Forwarded-Proto, and the app trust it."
    REDIRECT_NOT_PERMANENT = Note "redirect-not-permanent"
        why "Browsers request a temporary redirect from http to https again each time, unencrypted."
        todo "Redirect with 301 or 308."
    REDIRECT_TO_HTTP = Problem "redirect-to-http"
        why "A redirect from https to http takes the browser out of the encrypted connection. Behind a proxy that \
             terminates TLS, it means that the app does not know that browsers use HTTPS."
        todo "Make the proxy send X-Forwarded-Proto, and the app trust it (AUTH_TRUST_HOST and AUTH_URL of Auth.js, \
             baseURL of Better Auth)."
    SESSION_CACHEABLE = Problem "session-cacheable"
        why "Shared caches may store the response that tells who is signed in, and serve it to other people."
        todo "Send `Cache-Control: private, no-store` from the session endpoints, and remove them from the cache rules \
             of proxies and CDNs."
    SESSION_CACHE_UNSPECIFIED = Note "session-cache-unspecified"
        why "The response that tells who is signed in is not marked private. Caches rarely store such a response, but \
             some CDNs are configured to."
        todo "Send `Cache-Control: private, no-store` from the session endpoints, in the app or in the proxy in front of it."
}
