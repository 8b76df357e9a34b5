use super::*;

fn ring(secrets: &[&str], cookies: &[&str]) -> Result<KeyRing, KeyRingError> {
    let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
    let cookies = cookies
        .iter()
        .map(|name| SessionCookie::authjs(cookie_name(name)));
    KeyRing::new(&secrets, cookies.collect())
}

fn cookie_name(name: &str) -> CookieName {
    name.parse().expect("a cookie name")
}

fn refusal(secrets: &[&str], cookies: &[&str]) -> Option<KeyRingError> {
    ring(secrets, cookies).err()
}

#[test]
fn a_ring_needs_secrets_and_cookies_in_bounds() {
    assert_eq!(refusal(&[], &["a"]), Some(KeyRingError::NoSecret));
    assert_eq!(refusal(&["x"], &[]), Some(KeyRingError::NoCookie));
    assert_eq!(
        refusal(&["x", ""], &["a"]),
        Some(KeyRingError::EmptySecret { index: 1 })
    );
    assert_eq!(refusal(&["x"; 16], &["a"]), None);
    assert_eq!(
        refusal(&["x"; 17], &["a"]),
        Some(KeyRingError::TooManySecrets { count: 17 })
    );
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    assert_eq!(refusal(&["x"], &names[..8]), None);
    assert_eq!(
        refusal(&["x"], &names),
        Some(KeyRingError::TooManyCookies { count: 9 })
    );
}

#[test]
fn indistinguishable_cookies_are_refused() {
    let overlap = |first, second| {
        let (first, second) = (cookie_name(first), cookie_name(second));
        Some(KeyRingError::OverlappingCookies { first, second })
    };
    assert_eq!(refusal(&["x"], &["a", "a"]), overlap("a", "a"));
    assert_eq!(refusal(&["x"], &["a.0", "a"]), overlap("a", "a.0"));
    assert_eq!(refusal(&["x"], &["a", "a.b", "ab", "A"]), None);
}

#[test]
fn a_ring_holds_cookies_of_several_applications() {
    let [secure, plain] = SessionCookie::better_auth_defaults("app").expect("a prefix");
    let (ours, theirs) = ([Secret::new("x")], [Secret::new("y")]);
    let database = SessionCookie::authjs_database(cookie_name("sid"));
    let ring = KeyRing::of_groups(&[
        (&ours, vec![SessionCookie::authjs(cookie_name("a"))]),
        (&theirs, vec![secure.clone(), plain]),
        (&[], vec![database]),
        (&[], vec![]),
    ])
    .expect("a ring");
    let names: Vec<_> = ring
        .cookies()
        .map(|cookie| cookie.name().as_str())
        .collect();
    assert_eq!(
        names,
        [
            "a",
            "__Secure-app.session_token",
            "app.session_token",
            "sid"
        ]
    );
    let data = cookie_name("__Secure-app.session_data");
    let overlapping = KeyRing::new(
        &ours,
        vec![secure, SessionCookie::authjs_database(data.clone())],
    );
    let (first, second) = (data.clone(), data);
    assert_eq!(
        overlapping.err(),
        Some(KeyRingError::OverlappingCookies { first, second })
    );
}

#[test]
fn the_longest_name_and_salt_fit_into_hkdf() {
    assert_eq!(
        refusal(&["x"], &["n".repeat(CookieName::MAX_LEN).as_str()]),
        None
    );
    for (cookie, max) in [
        (SessionCookie::authjs(cookie_name("a")), 989),
        (SessionCookie::nextauth(cookie_name("a")), 985),
    ] {
        let ring = |len| {
            KeyRing::new(
                &[Secret::new("x")],
                vec![cookie.clone().with_salt(&"s".repeat(len))],
            )
        };
        assert!(ring(max).is_ok());
        let too_long = Some(KeyRingError::SaltTooLong {
            cookie: cookie_name("a"),
        });
        assert_eq!(ring(max + 1).err(), too_long);
    }
}

#[test]
fn printing_a_ring_shows_cookies_but_no_key() {
    let ring = ring(&["correct horse"], &["sid"]).expect("a ring");
    let printed = format!("{ring:?}");
    assert!(printed.contains("sid"), "{printed}");
    let FormatKeys::Encrypted(keys) = &ring.cookies[0].keys else {
        panic!("a cookie of Auth.js")
    };
    for key in &keys.keys {
        assert!(!printed.contains(&*key.kid), "{printed}");
    }
    assert!(!printed.contains("correct horse"), "{printed}");
}

#[test]
fn an_unknown_cookie_allows_few_guesses() {
    let ring = ring(&["x", "y"], &["a", "b", "c", "d", "e", "f"]).expect("a ring");
    let header = |unverified_kid| Header {
        enc: Enc::A256CbcHs512,
        unverified_kid,
        repeated: crate::jwe::RepeatedClaims::default(),
    };
    let unnamed = ring.keys_of_unknown_cookie(&header(UnverifiedKid::Absent));
    assert_eq!(unnamed.map(|keys| keys.len()), Ok(MAX_GUESSES));
    let FormatKeys::Encrypted(keys) = &ring.cookies[5].keys else {
        panic!("a cookie of Auth.js")
    };
    let last = keys.keys[2].kid.to_string();
    let named = ring.keys_of_unknown_cookie(&header(UnverifiedKid::Text(last.into())));
    assert_eq!(named.map(|keys| keys.len()), Ok(1));
    let not_text = ring.keys_of_unknown_cookie(&header(UnverifiedKid::NotText));
    assert_eq!(not_text.map(|keys| keys.len()), Err(OpenError::UnknownKey));
}

#[test]
fn a_ring_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<KeyRing>();
}
