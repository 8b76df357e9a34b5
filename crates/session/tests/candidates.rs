//! Tests requests with several values that could be the session.

mod common;

use common::{NOW, PLAIN, SECURE, claims, name, ring, secret, token, whole};
use serde_json::json;
use session::{
    Candidates, ClaimDemands, KeyRing, OpenError, Opened, SealedSession, SessionCookie, seal,
};

/// Opens each candidate: the subject of its session, or why it does not open.
fn opened(keys: &KeyRing, cookies: &str) -> Vec<Result<String, OpenError>> {
    let candidates = Candidates::find(keys, [cookies.as_bytes()], []).expect("candidates");
    let open = |sealed: &SealedSession<'_>| {
        let opened = sealed.open(keys, &ClaimDemands::default(), NOW)?;
        Ok(whole(opened).subject().to_owned())
    };
    let each = candidates.iter().map(|candidate| match candidate {
        Ok(sealed) => open(sealed),
        Err(error) => Err(error.clone()),
    });
    each.collect()
}

fn found(subject: &str) -> Result<String, OpenError> {
    Ok(subject.to_owned())
}

/// The cookie pairs of a token that is split into `count` chunks.
fn chunked(cookie: &str, token: &str, count: usize) -> Vec<String> {
    let chunks = seal::chunks(&name(cookie), token, token.len().div_ceil(count));
    assert_eq!(chunks.len(), count);
    let pairs = chunks.into_iter();
    pairs
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

#[test]
fn every_value_of_a_cookie_is_a_candidate_once() {
    let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|user| token(PLAIN, user));
    let keys = ring();
    assert_eq!(
        opened(
            &keys,
            &format!("{PLAIN}={a}; {PLAIN}={b}; {PLAIN}={a}; {PLAIN}=")
        ),
        [found("a"), found("b")]
    );
    let four = format!("{PLAIN}={a}; {PLAIN}={b}; {PLAIN}={c}; {PLAIN}={d}");
    assert_eq!(opened(&keys, &four).len(), 4);
    assert_eq!(
        opened(&keys, &format!("{four}; {PLAIN}={e}")),
        [Err(OpenError::AmbiguousCookie { name: name(PLAIN) })]
    );
}

#[test]
fn candidates_are_in_the_order_of_the_ring() {
    let [a, b] = [token(PLAIN, "a"), token(SECURE, "b")];
    assert_eq!(
        opened(&ring(), &format!("{PLAIN}={a}; {SECURE}={b}; {SECURE}=x")),
        [
            found("b"),
            opened(&ring(), &format!("{SECURE}=x")).remove(0),
            found("a")
        ]
    );
}

#[test]
fn a_plain_cookie_with_chunks_is_ambiguous() {
    let [first, second] = [0, 1].map(|at| chunked(PLAIN, &token(PLAIN, "a"), 2)[at].clone());
    let b = token(PLAIN, "b");
    for cookies in [
        format!("{first}; {second}; {PLAIN}={b}"),
        format!("{first}; {first}; {second}"),
        format!("{first}; {second}; {second}"),
        format!("{first}; {second}; {PLAIN}.1=x"),
        format!("{first}; {second}; {PLAIN}.0=x"),
        format!("{second}; {second}"),
    ] {
        let ambiguous = OpenError::AmbiguousCookie { name: name(PLAIN) };
        assert_eq!(opened(&ring(), &cookies), [Err(ambiguous)], "{cookies}");
    }
}

#[test]
fn chunks_of_two_sets_are_separated_in_any_order() {
    let keys = ring();
    for (long, short) in [(2, 2), (3, 3), (4, 2), (5, 4)] {
        let one = chunked(PLAIN, &token(PLAIN, "one"), long);
        let two = chunked(PLAIN, &token(PLAIN, "two"), short);
        let mut interleaved: Vec<_> = one.iter().chain(&two).cloned().collect();
        interleaved.sort_by_key(|pair| pair.split('=').next().map(str::to_owned));
        let turned: Vec<_> = two.iter().chain(&one).cloned().collect();
        for pairs in [[one.clone(), two.clone()].concat(), turned, interleaved] {
            let opened = opened(&keys, &pairs.join("; "));
            assert!(opened.len() <= 4, "{long} {short}");
            for subject in ["one", "two"] {
                assert!(opened.contains(&found(subject)), "{long} {short} {subject}");
            }
        }
    }
}

#[test]
fn more_than_four_sets_of_chunks_are_ambiguous() {
    let sets = |count| {
        let sets = (0..count).map(|n| chunked(PLAIN, &token(PLAIN, &format!("u{n}")), 2));
        sets.collect::<Vec<_>>().concat().join("; ")
    };
    assert_eq!(opened(&ring(), &sets(4)).len(), 4);
    assert_eq!(
        opened(&ring(), &sets(5)),
        [Err(OpenError::AmbiguousCookie { name: name(PLAIN) })]
    );
    // Very many chunks are still a single candidate.
    let many: String = (0..5000)
        .map(|n| format!("{PLAIN}.{}={n};", n % 100))
        .collect();
    assert_eq!(opened(&ring(), &many).len(), 1);
}

#[test]
fn a_request_has_at_most_eight_candidates() {
    let values = |cookie: &str| {
        (0..4)
            .map(|n| format!("{cookie}=x{n}; "))
            .collect::<String>()
    };
    let all: String = SessionCookie::defaults()
        .iter()
        .map(|cookie| values(cookie.name().as_str()))
        .collect();
    assert_eq!(opened(&ring(), &all).len(), 8);
}

#[test]
fn a_flawed_cookie_does_not_affect_others() {
    let good = token(PLAIN, "u");
    assert_eq!(
        opened(&ring(), &format!("{SECURE}.1=x; {PLAIN}={good}")),
        [
            Err(OpenError::MissingChunk {
                name: name(SECURE),
                index: 0
            }),
            found("u")
        ]
    );
}

#[test]
fn a_token_of_better_auth_finds_its_own_cache_among_several() {
    let defaults = SessionCookie::better_auth_defaults("better-auth").expect("a prefix");
    let keys = KeyRing::new(&[secret()], defaults.into()).expect("a ring");
    let pairs = |n: char| {
        let token = String::from(n).repeat(32);
        let cached = json!({
            "session": {"id": "s", "token": token, "userId": format!("u{n}"), "expiresAt": "2100-01-01T00:00:00.000Z"},
            "user": {"id": format!("u{n}"), "email": "a@example.com", "name": "A"},
            "updatedAt": NOW.millis(), "version": "1",
        });
        let cached = cached.as_object().expect("an object");
        let end = session::UnixTime::from_secs(NOW.secs() + 60);
        (
            format!(
                "better-auth.session_token={}",
                seal::better_auth_token(&secret(), &token)
            ),
            format!(
                "better-auth.session_data={}",
                seal::better_auth_compact(&secret(), cached, end)
            ),
        )
    };
    let ((token_a, data_a), (token_b, data_b)) = (pairs('a'), pairs('b'));
    assert_eq!(
        opened(&keys, &[&*token_a, &token_b, &data_b, &data_a].join("; ")),
        [found("ua"), found("ub")]
    );
    // When no cache belongs to the token, the session has to be looked up.
    let header = [&*token_a, &data_b].join("; ");
    let sealed = SealedSession::find(&keys, [header.as_bytes()], []).expect("one");
    let opened = sealed
        .expect("one")
        .open(&keys, &ClaimDemands::default(), NOW);
    assert!(matches!(
        opened,
        Ok(Opened::Lookup {
            cache: Some(OpenError::WrongToken),
            ..
        })
    ));
}

#[test]
fn each_candidate_has_its_own_claims() {
    let header = format!(
        "{PLAIN}={}; {PLAIN}={}",
        token(PLAIN, "a"),
        token(PLAIN, "b")
    );
    let keys = ring();
    let candidates = Candidates::find(&keys, [header.as_bytes()], []).expect("candidates");
    assert!(candidates.only().is_none() && candidates.are_in_cookies());
    let [a, b] = [0, 1].map(|n| {
        candidates
            .iter()
            .nth(n)
            .expect("it")
            .as_ref()
            .expect("sealed")
    });
    assert!(a.shares_cookie_with(b));
    let opened = a.open(&keys, &ClaimDemands::default(), NOW).expect("opens");
    assert_eq!(whole(opened).claims(), claims("a"));
}
