use http::Request;

use super::*;

/// The original request as method, host and path, or what is wrong.
fn read(
    source: RequestSource,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<String, OriginalError> {
    let mut request = Request::builder().uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let OriginalRequest { method, host, path } = source.read(&parts)?;
    let path = path.map_or("-".to_owned(), |path| path.to_string());
    Ok(format!("{method} {host} {path}"))
}

const HOST_A: (&str, &str) = ("host", "a");
const METHOD: (&str, &str) = ("x-original-method", "PUT");
const URL: (&str, &str) = ("x-original-url", "https://b:8/c//d?e=%2f");
const URI: (&str, &str) = ("x-original-uri", "/c//d?e=%2f");
const FORWARDED: [(&str, &str); 4] = [
    ("x-forwarded-method", "PUT"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "b:8"),
    ("x-forwarded-uri", "/c//d?e=%2f"),
];

#[test]
fn each_source_gives_the_request_byte_for_byte() {
    let whole = Ok("PUT b:8 /c//d?e=%2f".to_owned());
    assert_eq!(read(RequestSource::OriginalUrl, "/", &[METHOD, URL]), whole);
    assert_eq!(
        read(RequestSource::OriginalUrl, "/", &[METHOD, URL, URI]),
        whole
    );
    assert_eq!(
        read(RequestSource::OriginalUrl, "/", &[METHOD, URI, HOST_A]),
        Ok("PUT a /c//d?e=%2f".into())
    );
    assert_eq!(
        read(RequestSource::OriginalUrlAlone, "/", &[URL]),
        Ok("GET b:8 /c//d?e=%2f".into())
    );
    assert_eq!(read(RequestSource::Forwarded, "/", &FORWARDED), whole);
    assert_eq!(read(RequestSource::Either, "/", &FORWARDED), whole);
    assert_eq!(read(RequestSource::Either, "/", &[METHOD, URL]), whole);
    let line = RequestSource::Line { prefix: 2 };
    assert_eq!(
        read(line, "/p/c//d?e=%2f", &[HOST_A]),
        Ok("GET a /c//d?e=%2f".into())
    );
    assert_eq!(
        read(RequestSource::Nowhere, "/x", &[HOST_A]),
        Ok("GET a -".into())
    );
    assert_eq!(
        read(RequestSource::Nowhere, "http://A/x", &[HOST_A]),
        Ok("GET a -".into())
    );
    assert_eq!(
        read(RequestSource::Nowhere, "http://a/x", &[]),
        Ok("GET a -".into())
    );
}

#[test]
fn what_is_missing_is_named() {
    for left_out in 0..FORWARDED.len() {
        let mut headers = FORWARDED.to_vec();
        let (name, _) = headers.remove(left_out);
        let flaw = read(RequestSource::Forwarded, "/", &headers).unwrap_err();
        assert!(
            matches!(flaw, OriginalError::Missing(missing) if missing.eq_ignore_ascii_case(name))
        );
    }
    for (headers, missing) in [
        (&[URL][..], X_ORIGINAL_METHOD.shown),
        (&[METHOD], X_ORIGINAL_URL.shown),
        (&[METHOD, URI], HOST_FIELD.shown),
        (&[METHOD, ("x-original-url", "")], X_ORIGINAL_URL.shown),
    ] {
        assert_eq!(
            read(RequestSource::OriginalUrl, "/", headers),
            Err(OriginalError::Missing(missing))
        );
    }
    assert_eq!(
        read(RequestSource::Line { prefix: 2 }, "/p", &[HOST_A]),
        Err(OriginalError::Malformed(REQUEST_LINE))
    );
}

#[test]
fn duplicate_headers_are_refused() {
    for doubled in FORWARDED {
        let headers = [&FORWARDED[..], &[doubled]].concat();
        let flaw = read(RequestSource::Forwarded, "/", &headers);
        assert!(matches!(flaw, Err(OriginalError::Duplicate(_))), "{flaw:?}");
    }
    let flaw = read(RequestSource::OriginalUrl, "/", &[METHOD, URL, URL]);
    assert_eq!(flaw, Err(OriginalError::Duplicate(X_ORIGINAL_URL.shown)));
}

#[test]
fn contradicting_headers_are_refused() {
    let other = ("x-original-uri", "/public/");
    assert_eq!(
        read(RequestSource::OriginalUrl, "/", &[METHOD, URL, other]),
        Err(OriginalError::Contradictory(X_ORIGINAL_URI.shown))
    );
    assert_eq!(
        read(RequestSource::Line { prefix: 2 }, "http://b/p/c", &[HOST_A]),
        Err(OriginalError::Contradictory(HOST_FIELD.shown))
    );
    let headers = [
        &FORWARDED[..],
        &[METHOD, ("x-original-url", "http://b/public/")],
    ]
    .concat();
    assert_eq!(
        read(RequestSource::Either, "/", &headers),
        Err(OriginalError::Contradictory(X_FORWARDED_URI.shown))
    );
}

/// A proxy that sets only one kind of header passes the other kind on, as the client sent it.
#[test]
fn two_descriptions_of_one_request_agree_in_all_but_the_scheme() {
    let both = |method: &'static str, url: &'static str| {
        let original = [("x-original-method", method), ("x-original-url", url)];
        read(
            RequestSource::Either,
            "/",
            &[&FORWARDED[..], &original].concat(),
        )
    };
    let whole = Ok("PUT b:8 /c//d?e=%2f".to_owned());
    assert_eq!(both("PUT", URL.1), whole);
    assert_eq!(
        both("PUT", "http://B:8/c//d?e=%2f"),
        Ok("PUT B:8 /c//d?e=%2f".into())
    );
    for (method, url, field) in [
        ("GET", URL.1, &X_FORWARDED_METHOD),
        ("PUT", "https://public:8/c//d?e=%2f", &X_FORWARDED_HOST),
        ("PUT", "https://b/c//d?e=%2f", &X_FORWARDED_HOST),
        ("PUT", "https://b:8/public/", &X_FORWARDED_URI),
    ] {
        let contradictory = Err(OriginalError::Contradictory(field.shown));
        assert_eq!(both(method, url), contradictory, "{method} {url}");
    }
}

#[test]
fn headers_of_other_proxies_are_ignored() {
    let headers = [&FORWARDED[..], &[METHOD, ("x-original-url", "nonsense")]].concat();
    assert!(read(RequestSource::Forwarded, "/", &headers).is_ok());
    let headers = [METHOD, URL, ("x-forwarded-uri", "/public/")];
    assert!(read(RequestSource::OriginalUrl, "/", &headers).is_ok());
}

#[test]
fn malformed_paths_and_hosts_are_refused() {
    let with = |name: &str, value: &'static str| {
        let replaced = FORWARDED.map(|(known, usual)| {
            let value = if known == name { value } else { usual };
            (known, value)
        });
        read(RequestSource::Forwarded, "/", &replaced)
    };
    for uri in ["private", "*", "http://b/c", "?x", "/a#b", "/a b", "/a\tb"] {
        assert!(with("x-forwarded-uri", uri).is_err(), "{uri}");
    }
    assert_eq!(
        with("x-forwarded-uri", "/\u{e4}<?\""),
        with("x-forwarded-uri", "/%C3%A4%3C?%22")
    );
    for host in [
        "a@b", "a, b", "a,b", "a b", "", "a:b", "http://a", "a..", ".a", "a..b", "a%2eb", "*.a",
        "[a]",
    ] {
        assert!(with("x-forwarded-host", host).is_err(), "{host}");
        let parts = [HOST_A, METHOD, URI].map(|(name, value)| match name {
            "host" => (name, host),
            _ => (name, value),
        });
        assert!(
            read(RequestSource::OriginalUrl, "/", &parts).is_err(),
            "{host}"
        );
        assert!(stated("GET", host, "/").is_err(), "{host}");
    }
    for host in ["my_app", "a.example.", "a.example.:8443", "[::1]:80"] {
        assert!(with("x-forwarded-host", host).is_ok(), "{host}");
        assert!(stated("GET", host, "/").is_ok(), "{host}");
    }
    for method in ["G T", "CONNECT", "TRACE", "GET,PUT"] {
        assert!(with("x-forwarded-method", method).is_err(), "{method}");
    }
    assert!(with("x-forwarded-proto", "javascript").is_err());
    for url in [
        "//b/c",
        "b/c",
        "http://b",
        "http://u@b/c",
        "ftp://b/c",
        "http:///c",
        "http://b../c",
        "http://.b/c",
        "http://a,b/c",
    ] {
        let headers = [METHOD, ("x-original-url", url)];
        assert!(
            read(RequestSource::OriginalUrl, "/", &headers).is_err(),
            "{url}"
        );
    }
}
