//! Checks of certificates that are ordered.

use crate::doctor::check::checks;

checks! {
    DIRECTORY = Problem "acme-directory-unreachable"
        why "No certificate can be ordered or renewed: what there is goes on until it ends, and hosts without one refuse every connection over TLS."
        todo "See that this machine may reach the server, that ACME_DIRECTORY_URL is the URL of its directory, and that ACME_CA_FILE names its authority where that is a private one."
    FOLDER = Problem "acme-folder-not-writable"
        why "Neither the account nor a certificate can be kept, so none is ordered; the gate does not start."
        todo "Give the folder in ACME_STORE to the account that runs the gate: `chown gate FOLDER && chmod 700 FOLDER`."
    GOOD = Note "acme-certificate-kept"
        why "A certificate is renewed when two thirds of its time are over."
        todo "Nothing has to be done."
    LATE = Warning "acme-certificate-late"
        why "It should have been renewed long ago. When it ends, browsers refuse the host."
        todo "See what the gate's log says of the orders, and `sessiongate_acme_orders_total`: most often port 80 or 443 cannot be reached from outside, or the name leads elsewhere."
    MISSING = Warning "acme-certificate-missing"
        why "Connections over TLS for this host are refused until one is ordered, which the gate does when it starts."
        todo "Start the gate, and see what its log says of the order, if none comes."
    ROWS = Problem "acme-table-rights"
        why "Neither the account nor a certificate can be kept for all nodes, so none is ordered."
        todo "Give the gate's role the rights, or see that the database can be reached."
}
