//! The expiry of certificates, for Prometheus.

use std::fmt::Write;

use crate::live::{ListenerTls, Live};

/// The metrics of the live certificates. They are not registered like other metrics, because a replaced certificate would
/// stay there and expire.
pub(super) fn metrics(live: &Live) -> String {
    let listeners = live.listeners.iter();
    let listeners = listeners.filter_map(|one| Some((one.address.to_string(), one.tls.as_ref()?)));
    let mut lines = String::new();
    for (listener, tls) in listeners {
        of_listener(&mut lines, &listener, tls);
    }
    match lines.is_empty() {
        true => lines,
        false => HEAD.to_owned() + &lines,
    }
}

fn of_listener(lines: &mut String, listener: &str, tls: &ListenerTls) {
    for (index, certificate) in tls.certificates().iter().enumerate() {
        let name = certificate.names.first().map_or("", String::as_str);
        // A backslash, quote or line break would end the label.
        let name = name.replace(['\\', '"', '\n'], "_");
        let (number, expiry) = (index + 1, certificate.not_after);
        let _ = writeln!(
            lines,
            "{METRIC}{{listener=\"{listener}\",certificate=\"{number}\",host=\"{name}\"}} {expiry}"
        );
    }
}

const HEAD: &str = "# HELP sessiongate_certificate_expiry_timestamp_seconds When a certificate of a listener expires, in seconds \
     since 1970.\n# TYPE sessiongate_certificate_expiry_timestamp_seconds gauge\n";

const METRIC: &str = "sessiongate_certificate_expiry_timestamp_seconds";
