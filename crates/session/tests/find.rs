//! Tests which value in a request is its session.

mod common;

use common::{
    NOW, PLAIN, SECURE, V4_PLAIN, V4_SECURE, claims, name, old_secret, ring, secret, subject,
    token, whole,
};
use session::{
    ClaimDemands, Format, KeyRing, OpenError, Opened, SealedSession, SessionCookie, cookies, seal,
};

fn found(subject: &str) -> Result<Option<String>, OpenError> {
    Ok(Some(subject.to_owned()))
}

#[test]
fn a_request_without_session_cookie_has_no_session() {
    for header in [
        "",
        ";;",
        "theme=dark",
        "authjs.session-token",
        "authjs.session-token-hint=x",
        "Authjs.session-token=x",
    ] {
        assert_eq!(subject(&[header], &[]), Ok(None), "{header}");
    }
    assert_eq!(subject(&[], &[]), Ok(None));
}

#[test]
fn every_default_cookie_is_recognized() {
    for cookie in [SECURE, PLAIN, V4_SECURE, V4_PLAIN] {
        let header = format!("theme=dark; {cookie}={}", token(cookie, "u"));
        assert_eq!(subject(&[&header], &[]), found("u"), "{cookie}");
    }
}

#[test]
fn the_first_cookie_in_the_order_of_the_ring_is_the_session() {
    let pair = |cookie: &str| format!("{cookie}={}", token(cookie, cookie));
    let order = [SECURE, PLAIN, V4_SECURE, V4_PLAIN];
    for (index, first) in order.iter().enumerate() {
        let mut pairs: Vec<_> = order[index..].iter().map(|cookie| pair(cookie)).collect();
        assert_eq!(subject(&[&pairs.join("; ")], &[]), found(first));
        pairs.reverse();
        assert_eq!(subject(&[&pairs.join("; ")], &[]), found(first));
    }
}

#[test]
fn a_present_but_bad_cookie_is_final() {
    let good = format!("{PLAIN}={}", token(PLAIN, "u"));
    let bearer = format!("Bearer {}", token(PLAIN, "u"));
    // A genuine token of the other cookie, minted under another name.
    let bad = format!("{SECURE}={}", token(PLAIN, "u"));
    assert_eq!(
        subject(&[&bad, &good], &[&bearer]),
        Err(OpenError::UnknownKey)
    );
    let gap = format!("{SECURE}.1=x; {good}");
    assert_eq!(
        subject(&[&gap], &[&bearer]),
        Err(OpenError::MissingChunk {
            name: name(SECURE),
            index: 0
        })
    );
}

#[test]
fn an_empty_cookie_is_ignored() {
    let rest = format!("{PLAIN}={}", token(PLAIN, "u"));
    assert_eq!(subject(&[&format!("{SECURE}=; {rest}")], &[]), found("u"));
    assert_eq!(
        subject(&[&format!("{SECURE}.0=; {SECURE}.1=; {rest}")], &[]),
        found("u")
    );
    let bearer = format!("Bearer {}", token(PLAIN, "u"));
    assert_eq!(subject(&[&format!("{PLAIN}= ")], &[&bearer]), found("u"));
}

#[test]
fn flaws_of_a_cookie_that_is_not_chosen_do_not_matter() {
    let header = format!(
        "{PLAIN}=a; {PLAIN}=b; {SECURE}={}; {V4_PLAIN}.7=x",
        token(SECURE, "u")
    );
    assert_eq!(subject(&[&header], &[]), found("u"));
}

#[test]
fn one_cookie_with_two_values_is_ambiguous() {
    let (a, b) = (token(PLAIN, "a"), token(PLAIN, "b"));
    let ambiguous = Err(OpenError::AmbiguousCookie { name: name(PLAIN) });
    assert_eq!(
        subject(&[&format!("{PLAIN}={a}; {PLAIN}={b}")], &[]),
        ambiguous
    );
    assert_eq!(
        subject(&[&format!("{PLAIN}={a}"), &format!("{PLAIN}={b}")], &[]),
        ambiguous
    );
    assert_eq!(
        subject(&[&format!("{PLAIN}=; {PLAIN}={a}; {PLAIN}=")], &[]),
        found("a")
    );
    assert_eq!(
        subject(&[&format!("{PLAIN}={a}; {PLAIN}={a}; {PLAIN}={a}")], &[]),
        found("a")
    );
}

#[test]
fn plain_with_chunks_is_ambiguous_unless_empty() {
    let a = token(PLAIN, "a");
    let ambiguous = Err(OpenError::AmbiguousCookie { name: name(PLAIN) });
    assert_eq!(
        subject(&[&format!("{PLAIN}={a}; {PLAIN}.0={a}")], &[]),
        ambiguous
    );
    assert_eq!(
        subject(&[&format!("{PLAIN}.0={a}; {PLAIN}=")], &[]),
        found("a")
    );
    assert_eq!(
        subject(&[&format!("{PLAIN}={a}; {PLAIN}.0=; {PLAIN}.1=")], &[]),
        found("a")
    );
}

#[test]
fn chunks_are_joined_by_number_across_headers() {
    let token = token(PLAIN, "u");
    let mut pairs: Vec<_> = seal::chunks(&name(PLAIN), &token, token.len().div_ceil(100))
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert!(pairs.len() > 80, "{}", pairs.len());
    pairs.reverse();
    let (some, rest) = pairs.split_at(40);
    assert_eq!(
        subject(&[&some.join("; "), "theme=dark", &rest.join(";")], &[]),
        found("u")
    );
}

#[test]
fn chunks_are_counted_from_zero_without_gaps_in_canonical_decimals() {
    let token = token(PLAIN, "u");
    let (a, b) = token.split_at(100);
    let name = name(PLAIN);
    let missing = |index| {
        Err(OpenError::MissingChunk {
            name: name.clone(),
            index,
        })
    };
    let misnumbered = Err(OpenError::MalformedChunk { name: name.clone() });
    for (first, second, verdict) in [
        (".0", ".1", found("u")),
        (".1", ".2", missing(0)),
        (".0", ".2", missing(1)),
        (".0", ".99", missing(1)),
        (".0", ".100", Err(OpenError::Oversize)),
        (".0", ".99999999999999999999", Err(OpenError::Oversize)),
        (".00", ".01", misnumbered.clone()),
        (".0", ".01", misnumbered.clone()),
        // These are other cookies, not chunks.
        (".0a", ".1a", Ok(None)),
        (".-0", ".-1", Ok(None)),
        (".", ".", Ok(None)),
        (".0.0", ".0.1", Ok(None)),
    ] {
        let header = format!("{PLAIN}{first}={a}; {PLAIN}{second}={b}");
        assert_eq!(subject(&[&header], &[]), verdict, "{first} {second}");
    }
    let twice = format!("{PLAIN}.0={a}; {PLAIN}.1={b}; {PLAIN}.1={a}");
    assert_eq!(
        subject(&[&twice], &[]),
        Err(OpenError::AmbiguousCookie { name: name.clone() })
    );
    assert_eq!(
        subject(
            &[&format!(
                "{PLAIN}.0={a}; {PLAIN}.1={b}; {PLAIN}-hint=x; {PLAIN}.old=x"
            )],
            &[]
        ),
        found("u")
    );
}

#[test]
fn a_session_is_bounded_to_64_kib() {
    let limit = 64 * 1024;
    let whole = |len| format!("{PLAIN}={}", "x".repeat(len));
    assert!(matches!(
        subject(&[&whole(limit)], &[]),
        Err(OpenError::MalformedToken { .. })
    ));
    assert_eq!(subject(&[&whole(limit + 1)], &[]), Err(OpenError::Oversize));
    let half = "x".repeat(limit / 2);
    assert!(matches!(
        subject(&[&format!("{PLAIN}.0={half}; {PLAIN}.1={half}")], &[]),
        Err(OpenError::MalformedToken { .. })
    ));
    assert_eq!(
        subject(&[&format!("{PLAIN}.0={half}; {PLAIN}.1={half}x")], &[]),
        Err(OpenError::Oversize)
    );
    assert_eq!(
        subject(&[], &[&format!("Bearer {}", "x".repeat(limit + 1))]),
        Err(OpenError::Oversize)
    );
}

#[test]
fn quotes_belong_to_the_value_for_auth_js_only() {
    let quoted = |cookie: &str| format!("{cookie}=\"{}\"", token(cookie, "u"));
    assert_eq!(subject(&[&quoted(V4_PLAIN)], &[]), found("u"));
    assert!(subject(&[&quoted(PLAIN)], &[]).is_err());
}

#[test]
fn a_bearer_value_is_used_only_without_session_cookie() {
    for cookie in [SECURE, PLAIN, V4_SECURE, V4_PLAIN] {
        let bearer = format!("Bearer {}", token(cookie, cookie));
        assert_eq!(subject(&["theme=dark"], &[&bearer]), found(cookie));
        let header = format!("{PLAIN}={}", token(PLAIN, "cookie"));
        assert_eq!(subject(&[&header], &[&bearer]), found("cookie"));
        assert_eq!(
            subject(&[&header], &["Bearer junk", "Bearer junk"]),
            found("cookie")
        );
    }
}

#[test]
fn a_bearer_value_without_kid_is_tried_under_every_cookie() {
    for cookie in [SECURE, PLAIN] {
        let bearer = format!(
            "Bearer {}",
            seal::authjs_gcm(&secret(), &name(cookie), &claims(cookie), [1; 12])
        );
        assert_eq!(subject(&[], &[&bearer]), found(cookie));
        let old = format!(
            "Bearer {}",
            seal::authjs_gcm(&old_secret(), &name(cookie), &claims(cookie), [1; 12])
        );
        assert_eq!(subject(&[], &[&old]), Err(OpenError::RejectedTag));
    }
}

#[test]
fn a_bearer_value_with_kid_is_opened_with_the_key_it_names() {
    for cookie in [SECURE, PLAIN] {
        let old = seal::authjs(&old_secret(), &name(cookie), &claims("u"), [1; 16]);
        assert_eq!(subject(&[], &[&format!("Bearer {old}")]), found("u"));
    }
    let foreign = seal::authjs(&secret(), &name("other"), &claims("u"), [1; 16]);
    assert_eq!(
        subject(&[], &[&format!("Bearer {foreign}")]),
        Err(OpenError::UnknownKey)
    );
}

#[test]
fn a_bearer_value_shows_its_format_when_opened() {
    let keys = ring();
    let bearer = format!("Bearer {}", token(V4_PLAIN, "u"));
    let sealed = SealedSession::find(&keys, [], [bearer.as_bytes()])
        .ok()
        .flatten()
        .expect("a session");
    assert_eq!(sealed.cookie(&keys), None);
    let opened = sealed.open(&keys, &ClaimDemands::default(), NOW);
    assert_eq!(whole(opened.expect("opens")).format(), Format::NextAuth);
}

#[test]
fn the_authorization_header_is_read_as_get_token_reads_it() {
    let token = token(PLAIN, "u");
    let bearer = |rest: &str| subject(&[], &[&format!("Bearer {rest}")]);
    assert_eq!(bearer(&token), found("u"));
    assert_eq!(bearer(&format!("{token} and more")), found("u"));
    for scheme in ["bearer", "BEARER"] {
        assert_eq!(subject(&[], &[&format!("{scheme} {token}")]), found("u"));
    }
    assert_eq!(bearer(&token.replace('.', "%2E")), found("u"));
    assert_eq!(
        bearer(&format!(" {token}")),
        Err(OpenError::MalformedBearer)
    );
    assert_eq!(bearer(""), Err(OpenError::MalformedBearer));
    for escape in ["%", "%2", "%2x", "%zz"] {
        assert_eq!(
            bearer(&format!("{token}{escape}")),
            Err(OpenError::MalformedBearer),
            "{escape}"
        );
    }
    for other in ["Basic dTpw", "Bearers x", "Bearer", "", "Bearer\tx"] {
        assert_eq!(subject(&[], &[other]), Ok(None), "{other}");
    }
}

#[test]
fn two_authorization_headers_are_ambiguous() {
    let bearer = format!("Bearer {}", token(PLAIN, "u"));
    assert_eq!(
        subject(&[], &[&bearer, &bearer]),
        Err(OpenError::AmbiguousAuthorization)
    );
    assert_eq!(
        subject(&[], &[&bearer, "Basic x"]),
        Err(OpenError::AmbiguousAuthorization)
    );
}

#[test]
fn a_session_found_with_one_ring_does_not_open_with_another() {
    let header = format!("{PLAIN}={}", token(PLAIN, "u"));
    let sealed = SealedSession::find(&ring(), [header.as_bytes()], [])
        .ok()
        .flatten()
        .expect("a session");
    let other = KeyRing::new(&[secret()], SessionCookie::defaults().into()).expect("a ring");
    assert!(matches!(
        sealed.open(&other, &ClaimDemands::default(), NOW),
        Err(OpenError::UnknownKey)
    ));
    assert!(sealed.open(&ring(), &ClaimDemands::default(), NOW).is_ok());
}

#[test]
fn removing_the_session_leaves_other_cookies_unchanged() {
    let keys = ring();
    for (header, rest) in [
        ("", None),
        (" ; ", None),
        ("a=1", Some("a=1")),
        ("a=1;b=2;  c", Some("a=1;b=2;  c")),
        ("authjs.session-token=t", None),
        ("authjs.session-token=t;", None),
        ("a=1; authjs.session-token=t; b=2", Some("a=1; b=2")),
        (
            "authjs.session-token=t; a=1; b=\"x y\"",
            Some("a=1; b=\"x y\""),
        ),
        ("a=1; authjs.session-token=t", Some("a=1")),
        ("a=1;\tauthjs.session-token = t ;b=2", Some("a=1;b=2")),
        (
            "authjs.session-token.0=t; a=1; authjs.session-token.1=t; authjs.session-token.007=t",
            Some("a=1"),
        ),
        (
            "__Secure-next-auth.session-token=t; next-auth.session-token=t; a=1",
            Some("a=1"),
        ),
        (
            "authjs.session-token-hint=t; authjs.session-token.x=t",
            Some("authjs.session-token-hint=t; authjs.session-token.x=t"),
        ),
        (
            "authjs.csrf-token=t; Authjs.session-token=t",
            Some("authjs.csrf-token=t; Authjs.session-token=t"),
        ),
        ("a=authjs.session-token=t", Some("a=authjs.session-token=t")),
    ] {
        let found = cookies::without_session(&keys, header.as_bytes());
        assert_eq!(found.as_deref(), rest.map(str::as_bytes), "{header}");
        if !cookies::contains_session(&keys, header.as_bytes()) {
            assert!(rest.is_none_or(|rest| rest == header), "{header}");
        }
    }
    assert!(cookies::contains_session(
        &keys,
        b"a=1; next-auth.session-token.12=x"
    ));
    assert!(!cookies::contains_session(
        &keys,
        b"a=1; next-auth.session-token.12x=x"
    ));
}

#[test]
fn a_value_with_a_broken_escape_is_unchanged() {
    let keys =
        KeyRing::new(&[], vec![SessionCookie::authjs_database(name(PLAIN))]).expect("a ring");
    let looked_up = |value: &str| {
        let header = format!("{PLAIN}={value}");
        let sealed = SealedSession::find(&keys, [header.as_bytes()], []).expect("one cookie");
        let opened = sealed
            .expect("a session")
            .open(&keys, &ClaimDemands::default(), NOW);
        match opened {
            Ok(Opened::Lookup { token, .. }) => token.expose().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(looked_up("a%2Bb"), "a+b");
    for broken in ["a%2Bb%", "a%2Bb%2", "%zz%2B"] {
        assert_eq!(looked_up(broken), broken);
    }
}

#[test]
fn a_header_without_session_is_unchanged() {
    for header in [" a=b", "\ta=b; c=d ", "a=b;;c", "=;a"] {
        let rest = cookies::without_session(&ring(), header.as_bytes());
        assert_eq!(rest.as_deref(), Some(header.as_bytes()), "{header:?}");
    }
}
