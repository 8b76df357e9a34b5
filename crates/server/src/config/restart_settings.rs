//! Settings that take effect only when the process restarts.

use std::net::SocketAddr;

use session::Secret;

use super::Config;

/// The values with which the process was started.
#[derive(Debug)]
pub(crate) struct RestartSettings {
    /// The address of the admin listener, as configured.
    admin: SocketAddr,
    has_proxy: bool,
    /// The listener addresses, and whether each redirects to HTTPS.
    listeners: Vec<(SocketAddr, bool)>,
    values: Vec<String>,
}

impl RestartSettings {
    /// The values in this configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            admin: config.admin.listen,
            has_proxy: !config.listeners.is_empty(),
            listeners: listeners(config),
            values: NAMES.map(|name| value(config, name)).to_vec(),
        }
    }

    /// The names of settings that differ in `config`, and take effect only after a restart.
    pub(crate) fn differing(&self, config: &Config) -> Vec<&'static str> {
        let mut names: Vec<_> = NAMES
            .into_iter()
            .zip(&self.values)
            .filter(|(name, started)| value(config, name) != **started)
            .map(|(name, _)| name)
            .collect();
        // A process that started without a service has no listeners of the proxy.
        if !config.listeners.is_empty() && !self.has_proxy && !names.contains(&"LISTEN") {
            names.push("LISTEN");
        }
        let is_named = ["LISTEN", "REDIRECT_LISTEN"]
            .iter()
            .any(|name| names.contains(name));
        let differs = self.has_proxy && listeners(config) != self.listeners;
        if differs && !config.listeners.is_empty() && !is_named {
            names.push("[[listener]]");
        }
        names
    }

    /// Whether a setting takes effect only after a restart.
    pub(crate) fn needs_restart(name: &str) -> bool {
        NAMES.contains(&name)
    }

    /// Keeps the token of the admin listener if `config` has none but other machines can reach the listener. `config` may
    /// need none at the address it will use after a restart.
    pub(crate) fn keep_admin_token(&self, config: &mut Config, token: Option<&Secret>) {
        if config.admin.token.is_none() && !self.admin.ip().is_loopback() {
            config.admin.token = token.cloned();
        }
    }
}

fn listeners(config: &Config) -> Vec<(SocketAddr, bool)> {
    let listeners = config.listeners.iter();
    listeners
        .map(|listener| (listener.address, listener.redirects))
        .collect()
}

fn value(config: &Config, name: &str) -> String {
    let setting = config.settings.iter().find(|setting| setting.name == name);
    setting.map_or_else(String::new, |setting| setting.shown.clone())
}

/// The settings that take effect only at a restart: listeners are bound, threads are started and logs are opened only once, and
/// all of them get the drain times at the start.
const NAMES: [&str; 11] = [
    "ADMIN_LISTEN",
    "AUDIT_LOG",
    "AUTH_LISTEN",
    "AUTH_SOCKET_MODE",
    "DRAIN_DELAY",
    "DRAIN_TIMEOUT",
    "LISTEN",
    "LOG_FORMAT",
    "REDIRECT_LISTEN",
    "RUST_LOG",
    "WORKERS",
];

#[cfg(test)]
mod tests {
    use super::super::Variables;
    use super::super::catalogue::{self, Scope};
    use super::*;

    /// Settings of the process that a reload replaces.
    const LIVE: &[&str] = &[
        "ACME_CA_FILE",
        "ACME_CHALLENGE",
        "ACME_DIRECTORY_URL",
        "ACME_DOMAINS",
        "ACME_EMAIL",
        "ACME_STORE",
        "ADMIN_TOKEN",
        "ALLOW_BYPASS",
        "BAD_SESSION_RATE_LIMIT",
        "BYPASS_HEADER",
        "BYPASS_HEADER_VALUE",
        "CLIENT_BODY_TIMEOUT",
        "CLIENT_HEADER_TIMEOUT",
        "CLIENT_IDLE_TIMEOUT",
        "CONNECTIONS_PER_ADDRESS",
        "FORWARDED_HEADER",
        "HSTS",
        "HTTP2",
        "LEAST_DOWNLOAD_RATE",
        "LEAST_UPLOAD_RATE",
        "MAX_CONNECTIONS",
        "MAX_HEADER_BYTES",
        "MAX_HEADER_FIELDS",
        "MAX_IN_FLIGHT",
        "PROXY_PROTOCOL",
        "PUBLIC_URL",
        "RATE_LIMIT",
        "RATE_LIMIT_SHARED",
        "RELOAD_INTERVAL",
        "REQUEST_TIMEOUT",
        "REQUIRE_HTTPS",
        "REVOCATION_INTERVAL",
        "REVOCATION_MAX_STALE",
        "REVOCATION_STORE",
        "REVOCATION_TTL",
        "STREAM_IDLE_TIMEOUT",
        "TLS",
        "TLS_CERT_FILE",
        "TLS_CLIENT_AUTH",
        "TLS_CLIENT_CA_FILE",
        "TLS_KEY_FILE",
        "TLS_MIN_VERSION",
        "TRUSTED_PROXIES",
    ];

    #[test]
    fn every_process_setting_is_fixed_or_live() {
        let of_process = catalogue::entries().filter(|entry| entry.scope == Scope::Process);
        let mut unknown: Vec<_> = of_process.map(|entry| entry.name).collect();
        unknown.retain(|name| !RestartSettings::needs_restart(name) && !LIVE.contains(name));
        assert_eq!(unknown, [""; 0]);
        assert!(NAMES.iter().all(|name| catalogue::entry(name).is_some()));
    }

    fn config(pairs: &[(&'static str, &str)]) -> Config {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| (*name, (*value).to_owned()));
        let usual = [("AUTH_SECRET", "kW9tZ3mQ7xL2vB8nR4pJ6sD1fG5hC0yA".to_owned())];
        let variables = Variables::default().with(usual).with(pairs);
        Config::from_variables(&variables).unwrap()
    }

    #[test]
    fn reachable_admin_listener_keeps_its_token() {
        let token = Secret::new("fJ4wq9sV2mX7cB1nK8dL3hT6rY0zG5pA");
        let local = [("AUTH_LISTEN", ":9091")];
        let exposed = [
            ("AUTH_LISTEN", ":9091"),
            ("ADMIN_LISTEN", "0.0.0.0:9090"),
            ("ADMIN_TOKEN", "fJ4wq9sV2mX7cB1nK8dL3hT6rY0zG5pA"),
        ];
        for (started, has_token) in [(&exposed[..], true), (&local[..], false)] {
            let mut next = config(&local);
            RestartSettings::of(&config(started)).keep_admin_token(&mut next, Some(&token));
            assert_eq!(next.admin.token.is_some(), has_token);
        }
    }

    #[test]
    fn changed_restart_settings_are_listed() {
        let (decides, proxies) = (("AUTH_LISTEN", ":9091"), ("UPSTREAM", "http://a:1"));
        let started = config(&[decides]);
        let fixed = RestartSettings::of(&started);
        assert_eq!(fixed.differing(&started), [""; 0]);
        assert_eq!(fixed.differing(&config(&[decides, proxies])), ["LISTEN"]);
        let other = config(&[("AUTH_LISTEN", ":9092"), ("DRAIN_DELAY", "7")]);
        assert_eq!(fixed.differing(&other), ["AUTH_LISTEN", "DRAIN_DELAY"]);
    }
}
