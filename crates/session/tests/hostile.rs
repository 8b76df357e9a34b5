//! Tests that hostile requests do not open, do not panic, and are not expensive.

mod common;

use common::{NOW, PLAIN, SECURE, V4_PLAIN, claims, name, open, ring, secret};
use session::{ClaimDemands, KeyRing, SealedSession, cookies, seal};

/// One token of each kind, with the cookie it belongs to.
fn tokens() -> [(&'static str, String); 3] {
    [
        (
            PLAIN,
            seal::authjs(&secret(), &name(PLAIN), &claims("u"), [9; 16]),
        ),
        (
            PLAIN,
            seal::authjs_gcm(&secret(), &name(PLAIN), &claims("u"), [9; 12]),
        ),
        (V4_PLAIN, seal::nextauth(&secret(), &claims("u"), [9; 12])),
    ]
}

fn opens(keys: &KeyRing, cookie: &str, token: &str) -> bool {
    matches!(
        open(keys, &[&format!("{cookie}={token}")], &[]),
        Ok(Some(_))
    )
}

#[test]
fn a_token_with_any_character_changed_is_refused() {
    let keys = ring();
    for (cookie, token) in tokens() {
        assert!(opens(&keys, cookie, &token));
        for at in 0..token.len() {
            for other in "AQgw-_.=+/~".chars() {
                let mut changed = token.clone();
                changed.replace_range(at..=at, other.encode_utf8(&mut [0; 4]));
                assert!(
                    changed == token || !opens(&keys, cookie, &changed),
                    "{cookie}, {at}, {other}"
                );
            }
        }
    }
}

#[test]
fn a_token_with_a_character_missing_or_added_is_refused() {
    let keys = ring();
    for (cookie, token) in tokens() {
        for at in 0..token.len() {
            assert!(!opens(&keys, cookie, &token[..at]), "cut at {at}");
            let mut missing = token.clone();
            missing.remove(at);
            assert!(!opens(&keys, cookie, &missing), "without {at}");
            let mut added = token.clone();
            added.insert(at, 'A');
            assert!(!opens(&keys, cookie, &added), "one more at {at}");
        }
    }
}

#[test]
fn no_mutation_of_a_request_opens_anything_or_panics() {
    let keys = ring();
    let mut random = Random(0x5e55_1096_a7e0_0001);
    let alphabet = b"Aa0-_.=;%\" \t\0\xff,:{}[]BearerauthjsZ9";
    for (cookie, token) in tokens() {
        let chunks = seal::chunks(&name(cookie), &token, 150);
        let chunked = chunks
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ");
        let whole = format!("a=b; {cookie}={token}; {SECURE}=");
        let bearer = format!("Bearer {token}");
        for _ in 0..4000 {
            let [mut cookies, mut authorization] = match random.below(3) {
                0 => [whole.as_bytes().to_vec(), Vec::new()],
                1 => [chunked.as_bytes().to_vec(), Vec::new()],
                _ => [Vec::new(), bearer.as_bytes().to_vec()],
            };
            let target = if authorization.is_empty() {
                &mut cookies
            } else {
                &mut authorization
            };
            for _ in 0..=random.below(4) {
                if target.is_empty() {
                    break;
                }
                let at = random.below(target.len());
                let byte = alphabet[random.below(alphabet.len())];
                match random.below(4) {
                    0 => target[at] = byte,
                    1 => target.insert(at, byte),
                    2 => drop(target.remove(at)),
                    _ => target.truncate(at),
                }
            }
            let sealed =
                SealedSession::find(&keys, [cookies.as_slice()], [authorization.as_slice()]);
            if let Ok(Some(sealed)) = sealed
                && let Ok(opened) = sealed.open(&keys, &ClaimDemands::default(), NOW)
            {
                // The change did not affect the token.
                assert_eq!(common::whole(opened).claims(), claims("u"));
            }
            let rest = cookies::without_session(&keys, &cookies).unwrap_or_default();
            assert!(!cookies::contains_session(&keys, &rest));
        }
    }
}

#[test]
fn a_header_full_of_cookies_is_harmless() {
    let keys = ring();
    let many: String = (0..20_000).map(|n| format!("{PLAIN}.{n}=x;")).collect();
    assert!(open(&keys, &[&many], &[]).is_err());
    assert!(cookies::without_session(&keys, many.as_bytes()).is_none());
    assert!(matches!(
        open(&keys, &[&";".repeat(200_000)], &[]),
        Ok(None)
    ));
    assert!(open(&keys, &[&format!("{PLAIN}={}", ".".repeat(60_000))], &[]).is_err());
    assert!(open(&keys, &[&format!("{PLAIN}={}", "%2E".repeat(20_000))], &[]).is_err());
}

/// xorshift64: repeatable, and random enough to choose mutations.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("below a usize")
    }
}
