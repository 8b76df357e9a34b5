//! Checks of certificates ordered by ACME.

use crate::doctor::check::checks;

checks! {
    DIRECTORY = Problem "acme-directory-unreachable"
        why "The gate cannot order or renew certificates. Existing ones work until they expire; the gate refuses \
             TLS connections for hostnames without a certificate."
        todo "Check that this machine can reach the server, that ACME_DIRECTORY_URL is the URL of its directory, and, if \
             its certificate authority is private, that ACME_CA_FILE is set."
    FOLDER = Problem "acme-folder-not-writable"
        why "The gate cannot store the account or certificates, so it orders none and does not start."
        todo "Make the account that runs the gate the owner of the folder in ACME_STORE: `chown gate FOLDER && chmod 700 \
             FOLDER`."
    GOOD = Note "acme-certificate-kept"
        why "The gate renews a certificate when two thirds of its lifetime have passed."
        todo "Nothing to do."
    LATE = Warning "acme-certificate-late"
        why "It should have been renewed already. When it expires, browsers refuse the host."
        todo "Check the gate's log and `sessiongate_acme_orders_total` for failed orders. Most often port 80 or 443 \
             cannot be reached from outside, or DNS points the name elsewhere."
    MISSING = Warning "acme-certificate-missing"
        why "TLS connections for this host are refused until the gate has ordered one, which it does when it starts."
        todo "Start the gate. If no certificate arrives, check its log."
    ROWS = Problem "acme-table-rights"
        why "The gate cannot store the account or certificates for all nodes, so it orders none."
        todo "Grant the rights to the gate's role, or check that the database can be reached."
}
