//! Checks of settings, secrets and services.

use crate::doctor::check::checks;

checks! {
    ADMIN_EXPOSED = Warning "admin-exposed"
        why "Other machines can reach the admin listener, so only its token protects metrics, explanations and reloads."
        todo "Set ADMIN_LISTEN to 127.0.0.1:9090, or protect the port with a firewall or a network policy."
    BYPASS_ON = Problem "bypass-on"
        why "Requests with the bypass header enter without a session. It is for development."
        todo "Remove ALLOW_BYPASS."
    CONFIG_NOT_VALID = Problem "config-not-valid"
        why "The gate does not start with this configuration."
        todo "Correct it as described; `sessiongate check-config` shows the place in the file."
    JWKS_UNREACHABLE = Problem "jwks-unreachable"
        why "The gate cannot verify bearer tokens until it has the issuer's keys; requests with one get 503."
        todo "Check that this machine can reach the URL, and that it returns the keys themselves, not a redirect."
    LISTENS_IN_THE_CLEAR = Warning "listens-in-the-clear"
        why "Other machines can reach the gate without TLS, and no trusted proxy terminates TLS for it. If none does, \
             sessions travel in the clear."
        todo "Set TLS_CERT_FILE; or put a proxy with TLS in front and add it to TRUSTED_PROXIES; or listen on 127.0.0.1."
    REVOCATION_SLOW = Warning "revocation-slow"
        why "A deleted user or session stays valid for that long in caches."
        todo "Let the database notify the gate of changes (LISTEN_DATABASE_URL, docs/revocation.md), or lower \
             REDIS_CACHE_TTL and MEMORY_CACHE_TTL. To end access at once, delete the key in Redis (docs/operating.md, \
             \"Revoking access\")."
    REVOCATION_TIME = Note "revocation-time"
        why "A deleted user or session stays valid for that long in caches."
        todo "If that is too long, let the database notify the gate of changes (LISTEN_DATABASE_URL, \
             docs/revocation.md), or lower REDIS_CACHE_TTL and MEMORY_CACHE_TTL."
    SECRET_FILE_READABLE = Warning "secret-file-readable"
        why "Every account on this machine can read the secret in that file, and sign anybody in with it."
        todo "Remove the permission with `chmod o-r`, and make the account that runs the gate the owner of the file."
    SECRET_GUESSABLE = Warning "secret-guessable"
        why "The secret looks like words or a pattern. Anybody with one session cookie can try billions of such secrets offline, and then sign in as anybody."
        todo "Make one with `openssl rand -base64 33`, and set it in the app and here. You can keep the old one as a \
             second secret until its sessions have expired (AUTH_SECRET_1, BETTER_AUTH_SECRETS)."
    SECRET_KNOWN = Problem "secret-known"
        why "The secret appears in a tutorial, an example file or a framework's source, and is among the first that an \
             attacker tries."
        todo "Make one with `openssl rand -base64 33`, and set it in the app and here. All users have to sign in again."
    SECRET_SHARED = Warning "secret-shared"
        why "A secret that leaks in one place is known in the other: if one app leaks its secret, attackers can sign in \
             to the other app too."
        todo "Use a separate secret for each app and each purpose."
    SECRET_SHORT = Problem "secret-short"
        why "Session keys are no stronger than the secret they are derived from, and a short one can be found by brute \
             force."
        todo "Make one with `openssl rand -base64 33`, and set it in the app and here."
    SERVICE_UNREACHABLE = Problem "service-unreachable"
        why "Requests for this service get 502."
        todo "Check that it runs and listens there, and that this machine can reach it."
    START_UP_WARNING = Warning "start-up-warning"
        why "The gate logs this warning each time it starts."
        todo "Follow the warning, or ignore it if this is intended."
    TRUSTED_PROXIES_WIDE = Problem "trusted-proxies-wide"
        why "Anybody in that network can forge the client's address and scheme in X-Forwarded-For and X-Forwarded-Proto, \
             which conditions, limits and the audit log trust."
        todo "List only the addresses of your own proxies in TRUSTED_PROXIES."
    URL_NOT_HTTPS = Problem "url-not-https"
        why "Browsers are redirected to plain HTTP, where sessions can be read and pages can be replaced."
        todo "Use https:// in this setting, once the host has a certificate."
}
