use super::super::{Config, Variables};
use super::*;

#[test]
fn acme_domains_are_validated() {
    for (text, host) in [
        ("app.example.com", "app.example.com"),
        ("APP.Example.Com", "app.example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("intranet", "intranet"),
    ] {
        assert_eq!(domain(text).as_deref(), Ok(host), "{text}");
    }
    let long = format!("{}.example.com", "a".repeat(64));
    for text in [
        "*.example.com",
        "bücher.example",
        "192.0.2.1",
        "2001:db8::1",
        "app.example.com:443",
        "https://app.example.com",
        "app..example.com",
        "app.example.com.",
        "-app.example.com",
        "app.example.com/path",
        "../etc",
        long.as_str(),
    ] {
        assert!(domain(text).is_err(), "{text}");
    }
}

fn config(pairs: &[(&'static str, &str)]) -> Result<AcmeSettings, String> {
    let base = [
        ("UPSTREAM", "http://127.0.0.1:3000"),
        ("AUTH_SECRET", "kW9tZ3mQ7xL2vB8nR4pJ6sD1fG5hC0yA"),
        ("TLS", "acme"),
    ];
    let pairs = base.iter().chain(pairs);
    let pairs = pairs.map(|(name, value)| (*name, (*value).to_owned()));
    let config = Config::from_variables(&Variables::default().with(pairs));
    let config = config.map_err(|errors| errors.to_string())?;
    Ok(config.acme.expect("certificates are ordered"))
}

const ENOUGH: [(&str, &str); 2] = [
    ("ACME_DOMAINS", "b.example,A.example"),
    ("ACME_STORE", "acme"),
];

#[test]
fn domains_and_a_store_are_enough() {
    let settings = config(&ENOUGH).unwrap();
    assert_eq!(settings.domains, ["b.example", "a.example"]);
    assert_eq!(settings.place, AcmePlace::Folder("acme".into()));
    assert_eq!(settings.directory_url, LETS_ENCRYPT);
    assert_eq!(settings.challenges, [AcmeChallenge::TlsAlpn01]);
    assert!(settings.equals(&config(&ENOUGH).unwrap()));
    let both = [ENOUGH[0], ENOUGH[1], ("REDIRECT_LISTEN", "0.0.0.0:80")];
    let other = config(&both).unwrap();
    assert_eq!(
        other.challenges,
        [AcmeChallenge::TlsAlpn01, AcmeChallenge::Http01]
    );
    assert!(!settings.equals(&other));
}

#[test]
fn missing_or_impossible_acme_settings_are_reported() {
    let [domains, store] = ENOUGH;
    let ca = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/config/unused_settings/authority.pem"
    );
    let required = [("TLS_CLIENT_AUTH", "required"), ("TLS_CLIENT_CA_FILE", ca)];
    for (pairs, expected) in [
        (&[store][..], "needs the hostnames"),
        (&[domains], "a folder such as /var/lib/sessiongate/acme"),
        (
            &[domains, ("ACME_STORE", "postgres")],
            "ACME_STORE is `postgres`",
        ),
        (
            &[
                domains,
                ("ACME_STORE", "postgres"),
                ("DATABASE_URL", "sqlite:///x.db"),
            ],
            "which nodes cannot share",
        ),
        (&[domains, ("ACME_STORE", "postgres://db")], "it is a URL"),
        (
            &[domains, ("ACME_STORE", "/etc/hostname")],
            "is not a folder",
        ),
        (
            &[domains, store, ("ACME_CHALLENGE", "http-01")],
            "REDIRECT_LISTEN",
        ),
        (
            &[domains, store, required[0], required[1]],
            "TLS-ALPN-01 needs",
        ),
        (
            &[domains, store, ("ACME_CA_FILE", "/nowhere.pem")],
            "/nowhere.pem",
        ),
        (
            &[domains, store, ("TLS_CERT_FILE", "a.pem")],
            "`acme` orders certificates",
        ),
    ] {
        let error = config(pairs).expect_err(expected);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn directory_url_must_be_https() {
    assert!(directory_url("https://localhost:14000/dir").is_ok());
    for text in [
        "http://localhost:14000/dir",
        "localhost",
        "https://user:password@ca.example/dir",
        "https://ca.example:/dir",
    ] {
        assert!(directory_url(text).is_err(), "{text}");
    }
}

#[test]
fn email_must_be_one_address() {
    assert!(email("ops@example.com").is_ok());
    for text in ["ops", "@example.com", "a@b,c@d", "mailto:a@b", "a b@c"] {
        assert!(email(text).is_err(), "{text}");
    }
}
