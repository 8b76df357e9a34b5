use std::net::Ipv4Addr;

use session::{Secret, SessionCookie};

use super::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn stripped(names_sent: &[&str], trusted: bool) -> Vec<String> {
    let hygiene = Hygiene::new(&HeaderName::from_static("x-bypass-auth"), [], Vec::new());
    let pairs: Vec<_> = names_sent.iter().map(|name| (*name, "v")).collect();
    let headers = headers(&pairs);
    let unwanted = hygiene.unwanted(&headers, trusted);
    let kept = headers.keys().filter(|name| !unwanted.contains(name));
    kept.map(|name| name.as_str().to_owned()).collect()
}

/// Returns the fields that are forwarded of a request with these fields, without its session.
fn written(pairs: &[(&str, &str)], arrival: &Arrival) -> Vec<String> {
    let secrets = [Secret::new("s".repeat(32))];
    let keys = KeyRing::new(&secrets, SessionCookie::defaults().into()).unwrap();
    let keys = Arc::new(keys);
    let bypass_header = HeaderName::from_static("x-bypass-auth");
    let hygiene = Hygiene::new(&bypass_header, [], vec![Arc::clone(&keys)]);
    let forwarding = Forwarding {
        by_session_of: Some(&*keys),
        forwards_session: false,
        counts_forwards: false,
        cuts_prefix: false,
        host: None,
    };
    let mut out = Vec::new();
    hygiene.write(&mut out, &headers(pairs), &forwarding, arrival);
    let out = String::from_utf8(out).unwrap();
    out.split_terminator("\r\n").map(str::to_owned).collect()
}

fn arrival(trusted_peer: bool) -> Arrival {
    Arrival {
        peer: Ipv4Addr::new(10, 0, 0, 1).into(),
        client: Ipv4Addr::new(192, 0, 2, 1).into(),
        trusted_peer,
        relayed: false,
        secure: false,
        certificate: None,
        request_id: HeaderValue::from_static("id"),
    }
}

#[test]
fn identity_headers_are_removed_in_every_spelling_from_every_peer() {
    let forged = [
        "x-user-id",
        "X_User_Id",
        "x.user.id",
        "X-USER_ID",
        "x-user-email",
        "x_user_name",
        "remote-user",
        "Remote_User",
        "x-forwarded-user",
        "x-auth-request-email",
        "x-authentik-username",
        "x-webauth-user",
        "x-vouch-idp-claims-a-very-long-name-that-is-longer-than-the-buffer",
        "x-bypass-auth",
        "X_Bypass_Auth",
        "x-middleware-subrequest",
    ];
    for trusted in [false, true] {
        assert!(
            stripped(&forged, trusted).is_empty(),
            "{:?}",
            stripped(&forged, trusted)
        );
    }
}

#[test]
fn headers_about_the_original_request_need_a_listed_proxy() {
    let proper = [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-original-url",
        "x-real-ip",
    ];
    assert!(stripped(&proper, false).is_empty());
    assert_eq!(stripped(&proper, true), proper);
    assert!(
        stripped(&["forwarded"], true).is_empty(),
        "only one is believed"
    );
    assert!(stripped(&["x_forwarded_for", "X.Original.Url", "x_real_ip"], true).is_empty());
}

#[test]
fn the_standard_header_is_repeated_in_the_older_headers() {
    let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
    let hygiene = Hygiene::new(&HeaderName::from_static("x-bypass-auth"), [], Vec::new());
    let hygiene = hygiene.with_proxies(proxies.with_header(ForwardedHeader::Forwarded));
    let forwarding = Forwarding {
        by_session_of: None,
        forwards_session: true,
        counts_forwards: false,
        cuts_prefix: false,
        host: None,
    };
    let forwarded = "for=192.0.2.1;proto=HTTPS;host=a.example";
    let pairs = [
        ("host", "internal"),
        ("forwarded", forwarded),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-host", "evil"),
    ];
    let mut out = Vec::new();
    hygiene.write(&mut out, &headers(&pairs), &forwarding, &arrival(true));
    let out = String::from_utf8(out).unwrap();
    let lines: Vec<_> = out.split_terminator("\r\n").collect();
    let wanted = [
        "host: internal",
        &format!("forwarded: {forwarded}"),
        "x-forwarded-for: 192.0.2.1, 10.0.0.1",
        "x-forwarded-proto: https",
        "x-forwarded-host: a.example",
        "x-request-id: id",
    ];
    assert_eq!(lines, wanted);
}

#[test]
fn other_headers_are_kept() {
    let others = [
        "accept",
        "cookie",
        "authorization",
        "x-user-agent",
        "x-requested-with",
        "remote-users",
    ];
    assert_eq!(stripped(&others, false), others);
}

#[test]
fn hop_by_hop_headers_are_removed() {
    let pairs = [
        ("host", "a"),
        ("connection", "close, X-Hop , host"),
        ("connection", "x-other, x-forwarded-proto"),
        ("x-hop", "v"),
        ("x-other", "v"),
        ("x-forwarded-proto", "https"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("content-length", "5"),
        // A service that folds names would read these as the real fields.
        ("content_length", "0"),
        ("transfer.encoding", "chunked"),
        ("keep", "v"),
    ];
    let expected = [
        "host: a",
        "keep: v",
        "x-forwarded-for: 10.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: a",
        "x-request-id: id",
    ];
    assert_eq!(written(&pairs, &arrival(true)), expected);
}

#[test]
fn the_arrival_is_rebuilt_or_continued() {
    let pairs = [
        ("host", "a"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "10.0.0.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "b"),
        ("x-request-id", "other"),
    ];
    let rebuilt = [
        "host: a",
        "x-forwarded-for: 10.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: a",
        "x-request-id: id",
    ];
    assert_eq!(written(&pairs, &arrival(false)), rebuilt);
    let continued = [
        "host: a",
        "x-forwarded-proto: https",
        "x-forwarded-host: b",
        "x-forwarded-for: 192.0.2.1, 10.0.0.2, 10.0.0.1",
        "x-request-id: id",
    ];
    assert_eq!(written(&pairs, &arrival(true)), continued);
}

#[test]
fn only_the_session_is_removed_from_the_credentials() {
    let session = "authjs.session-token=s";
    for (pairs, kept) in [
        (
            &[("cookie", "a=1; authjs.session-token=s")][..],
            &["cookie: a=1"][..],
        ),
        (&[("cookie", session), ("cookie", "a=1")], &["cookie: a=1"]),
        // The session was the bearer value.
        (
            &[("authorization", "Bearer s"), ("cookie", "a=1")],
            &["cookie: a=1"],
        ),
        // The session was a cookie, so this value is for the upstream.
        (
            &[("authorization", "Basic b"), ("cookie", session)],
            &["authorization: Basic b"],
        ),
    ] {
        let mut written = written(pairs, &arrival(false));
        written.retain(|line| !line.starts_with("x-"));
        assert_eq!(written, kept, "{pairs:?}");
    }
}

#[test]
fn values_unfit_for_a_field_are_percent_encoded_completely() {
    for (text, value) in [
        ("user-1", "user-1"),
        ("Ada Lovelace", "Ada Lovelace"),
        ("", ""),
        ("Zoë Müller", "Zo%C3%AB%20M%C3%BCller"),
        ("a\r\nX-User-Id: root", "a%0D%0AX-User-Id%3A%20root"),
        (" root", "%20root"),
        ("%C3%A4", "%25C3%25A4"),
        ("root\u{a0}", "root%C2%A0"),
    ] {
        assert_eq!(field_value(text), value, "{text:?}");
    }
}
