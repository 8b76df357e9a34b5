use super::*;

#[test]
fn the_table_is_sorted_by_the_first_four_bytes() {
    assert!(KEYS.is_sorted());
}

#[test]
fn nothing_is_listed_twice() {
    for (index, listed) in LISTED.iter().enumerate() {
        let others = LISTED.iter().enumerate().filter(|(at, _)| *at != index);
        let mut same = others.filter(|(_, other)| other.meaning == listed.meaning);
        assert!(
            !same.any(|(_, other)| other.is(listed.name)),
            "{}",
            listed.name
        );
        if listed.meaning == Meaning::Routing && !listed.is_prefix {
            assert!(!has_routing_suffix(listed.name), "{}", listed.name);
        }
    }
}

#[test]
fn every_listed_name_is_in_normal_form_and_passes_the_quick_check() {
    let names = LISTED.iter().map(|listed| (listed.name, listed.meaning));
    let suffixes = ROUTING_SUFFIXES
        .iter()
        .map(|suffix| (*suffix, Meaning::Routing));
    for (name, meant) in names.chain(suffixes) {
        assert!(name.bytes().all(|byte| byte == normal_byte(byte)), "{name}");
        assert!(may_be_listed(name.as_bytes()), "{name}");
        assert_eq!(meaning(name), meant, "{name}");
    }
    let lengths = ROUTING_SUFFIXES.iter().map(|suffix| suffix.len());
    assert_eq!(lengths.min(), Some(SHORTEST_SUFFIX));
}

#[test]
fn only_other_spellings_of_rewritten_headers_are_aliases() {
    for alias in [
        "content_length",
        "content.length",
        "transfer_encoding",
        "keep~alive",
        "proxy_authorization",
        "http2.settings",
        "x_request_id",
        "x.request-id",
    ] {
        assert!(is_alias_of_rewritten(alias), "{alias}");
    }
    for other in [
        "content-length",
        "transfer-encoding",
        "content_type",
        "x-request-id",
        "content-lengths",
        "contentxlength",
    ] {
        assert!(!is_alias_of_rewritten(other), "{other}");
    }
}

/// The headers that browsers send with every page: the first look must rule out each of them.
#[test]
fn the_quick_check_rules_out_usual_headers() {
    for name in [
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "if-modified-since",
        "if-none-match",
        "origin",
        "priority",
        "referer",
        "sec-ch-ua",
        "sec-ch-ua-mobile",
        "sec-ch-ua-platform",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
        "sec-fetch-user",
        "upgrade-insecure-requests",
        "user-agent",
    ] {
        assert!(!may_be_listed(name.as_bytes()), "{name}");
    }
}

#[test]
fn similar_names_of_any_vendor_are_routing() {
    for name in [
        "x-script-name",
        "script-name",
        "x-scheme",
        "x-forwarded-path",
        "acme-forwarded-proto",
        "acme-client-ip",
        "x-acme-base-path",
        "x-sendfile-type",
        "x-accel-mapping",
        "path-info",
        "request-uri",
        "x-tunneled-http-method-override",
        "daphne-root-path",
        "x-cf-forwarded-url",
        "x-location-prefix",
        "x-edge-proto",
        "-wssc",
        "x-proxied-https",
        "l5d-dst-override",
        "ms-aspnetcore-clientcert",
    ] {
        assert_eq!(meaning(name), Meaning::Routing, "{name}");
    }
}

#[test]
fn application_headers_have_no_meaning_here() {
    for name in [
        "access-control-request-method",
        "sec-ch-prefers-color-scheme",
        "host",
        "next-action",
        "next-router-state-tree",
        "next-url",
        "hx-request",
        "x-api-key",
        "x-amzn-trace-id",
        "x-b3-traceid",
        "x-client-data",
        "x-client-id",
        "x-client-version",
        "x-cloud-trace-context",
        "x-csrf-token",
        "x-device-id",
        "x-github-event",
        "x-hub-signature-256",
        "x-idempotency-key",
        "x-inertia",
        "x-middleware-prefetch",
        "x-nextjs-data",
        "x-request-id",
        "x-requested-with",
        "x-request-start",
        "x-tenant-id",
        "x-vercel-protection-bypass",
        "x-xsrf-token",
    ] {
        assert_eq!(meaning(name), Meaning::Other, "{name}");
    }
}
