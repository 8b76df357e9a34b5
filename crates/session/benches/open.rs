//! Compares the cost of opening a session with that of a straightforward program over the same bytes, and the cost of hostile
//! requests with that of valid ones.
//!
//! Both sides are measured in turn, round after round, and compared within the round, so that other load on the machine affects
//! both. Run it with `cargo xtask bench open`.

#![allow(clippy::unwrap_used, reason = "as in tests")]
#![expect(clippy::disallowed_methods, reason = "a benchmark is about the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::{hkdf, hmac, iv::FixedLength};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Map, Value, json};
use session::{
    Candidates, ClaimDemands, CookieName, KeyRing, Opened, SealedSession, Secret, SessionCookie,
    UnixTime, seal,
};

fn main() {
    let lengths = [480, 1024, 4 * 1024, 31 * 1024];
    let mut pairs = Vec::new();
    for format in Format::ALL {
        for length in lengths {
            let valid = Request::valid(format, length);
            let signed_token = seal::better_auth_token(&secret(), TOKEN).len();
            pairs.push(Pair {
                name: format.name(),
                length: if valid.length == 0 {
                    signed_token
                } else {
                    valid.length
                },
                ours: Box::new(move || assert!(valid.opens())),
                other: straightforward(format, length),
            });
            if format == Format::BetterAuthToken {
                break;
            }
        }
    }
    println!(
        "find + open, compared with base64, MAC, cipher and serde_json::Value over the same bytes\n"
    );
    report(&mut pairs);

    let mut pairs = hostile();
    println!("\na hostile request, compared with a valid one of the same size\n");
    report(&mut pairs);
}

/// Two functions that are measured in turn.
struct Pair {
    name: &'static str,
    length: usize,
    ours: Box<dyn Fn()>,
    other: Box<dyn Fn()>,
}

/// Prints the medians of both, and of the ratio within each round.
fn report(pairs: &mut [Pair]) {
    let mut rounds: Vec<Vec<(f64, f64)>> = vec![Vec::new(); pairs.len()];
    for _ in 0..ROUNDS {
        for (pair, round) in pairs.iter().zip(&mut rounds) {
            round.push((nanoseconds(&pair.ours), nanoseconds(&pair.other)));
        }
    }
    println!("| | characters | µs | compared with | ratio |\n|---|--:|--:|--:|--:|");
    for (pair, round) in pairs.iter().zip(rounds) {
        let ours = median(round.iter().map(|(ours, _)| *ours)) / 1000.0;
        let other = median(round.iter().map(|(_, other)| *other)) / 1000.0;
        let ratio = median(round.iter().map(|(ours, other)| ours / other));
        let (name, length) = (pair.name, pair.length);
        println!("| {name} | {length} | {ours:.2} | {other:.2} | {ratio:.2} |");
    }
}

/// The mean time of one call, in nanoseconds, over as many calls as fit into [`MOMENT`].
fn nanoseconds(call: &dyn Fn()) -> f64 {
    let start = Instant::now();
    let mut calls = 0;
    loop {
        for _ in 0..16 {
            call();
        }
        calls += 16;
        let elapsed = start.elapsed();
        if elapsed >= MOMENT {
            return elapsed.as_nanos() as f64 / f64::from(calls);
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

const ROUNDS: usize = 101;
const MOMENT: Duration = Duration::from_micros(500);

#[derive(Clone, Copy, PartialEq)]
enum Format {
    AuthJs,
    AuthJsGcm,
    BetterAuthCompact,
    BetterAuthJwe,
    BetterAuthJwt,
    BetterAuthToken,
    NextAuth,
}

impl Format {
    const ALL: [Self; 7] = [
        Self::AuthJs,
        Self::AuthJsGcm,
        Self::NextAuth,
        Self::BetterAuthCompact,
        Self::BetterAuthJwt,
        Self::BetterAuthJwe,
        Self::BetterAuthToken,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::AuthJs => "Auth.js v5, A256CBC-HS512",
            Self::AuthJsGcm => "Auth.js v5, A256GCM",
            Self::BetterAuthCompact => "Better Auth, compact",
            Self::BetterAuthJwe => "Better Auth, jwe",
            Self::BetterAuthJwt => "Better Auth, jwt",
            Self::BetterAuthToken => "Better Auth, signed token",
            Self::NextAuth => "NextAuth v4",
        }
    }

    /// The cookie's name and the chunks' length.
    fn cookie(self) -> (&'static str, usize) {
        match self {
            Self::AuthJs | Self::AuthJsGcm => (AUTHJS, seal::AUTHJS_CHUNK_LEN),
            Self::NextAuth => (NEXTAUTH, seal::NEXTAUTH_CHUNK_LEN),
            Self::BetterAuthCompact
            | Self::BetterAuthJwe
            | Self::BetterAuthJwt
            | Self::BetterAuthToken => (BETTER_AUTH_DATA, seal::BETTER_AUTH_CHUNK_LEN),
        }
    }

    /// A token of about this many characters.
    fn token(self, length: usize) -> String {
        let least = self.seal(&self.claims(0));
        let member = r#","picture":"""#.len();
        match (length.saturating_sub(least.len()) * 3 / 4).checked_sub(member) {
            None | Some(0) => least,
            Some(picture) => self.seal(&self.claims(picture)),
        }
    }

    fn claims(self, picture: usize) -> Map<String, Value> {
        let (now, picture) = (NOW.secs(), "p".repeat(picture));
        let mut claims = match self {
            Self::AuthJs | Self::AuthJsGcm | Self::NextAuth => json!({
                "name": "Ada Lovelace", "email": "ada@example.com", "picture": picture,
                "sub": "clx3k9v2p0000qwer1234tyui", "iat": now, "exp": now + 3600,
                "jti": "8f14e45f-ceea-467f-9575-1c2d3e4f5a6b",
            }),
            Self::BetterAuthCompact
            | Self::BetterAuthJwe
            | Self::BetterAuthJwt
            | Self::BetterAuthToken => json!({
                "session": {"id": "s", "token": TOKEN, "userId": "u", "expiresAt": "2040-01-01T00:00:00.000Z"},
                "user": {"id": "u", "name": "Ada Lovelace", "email": "ada@example.com", "image": picture},
                "updatedAt": NOW.millis(), "version": "1", "iat": now, "exp": now + 300,
            }),
        };
        let claims = claims.as_object_mut().unwrap();
        claims.retain(|_, value| value != "");
        claims.clone()
    }

    fn seal(self, claims: &Map<String, Value>) -> String {
        self.seal_with(&secret(), claims)
    }

    fn seal_with(self, secret: &Secret, claims: &Map<String, Value>) -> String {
        let name = AUTHJS.parse().unwrap();
        match self {
            Self::AuthJs => seal::authjs(secret, &name, claims, [1; 16]),
            Self::AuthJsGcm => seal::authjs_gcm(secret, &name, claims, [1; 12]),
            Self::BetterAuthCompact => {
                seal::better_auth_compact(secret, claims, UnixTime::LAST_EXPIRY)
            }
            Self::BetterAuthJwe => seal::better_auth_jwe(secret, claims, [1; 16]),
            Self::BetterAuthJwt => seal::better_auth_jwt(secret, claims),
            Self::BetterAuthToken => String::new(),
            Self::NextAuth => seal::nextauth(secret, claims, [1; 12]),
        }
    }
}

impl Format {
    /// The key of an encrypted format, HKDF-SHA-256 of the secret.
    fn key(self) -> [u8; 64] {
        let (salt, info, len) = match self {
            Self::AuthJs => (
                AUTHJS,
                "Auth.js Generated Encryption Key (authjs.session-token)",
                64,
            ),
            Self::AuthJsGcm => (
                AUTHJS,
                "Auth.js Generated Encryption Key (authjs.session-token)",
                32,
            ),
            Self::NextAuth => ("", "NextAuth.js Generated Encryption Key", 32),
            Self::BetterAuthCompact
            | Self::BetterAuthJwe
            | Self::BetterAuthJwt
            | Self::BetterAuthToken => (
                "better-auth-session",
                "BetterAuth.js Generated Encryption Key",
                64,
            ),
        };
        let mut key = [0; 64];
        let hkdf = hkdf::Salt::new(hkdf::HKDF_SHA256, salt.as_bytes()).extract(secret().expose());
        let info = [info.as_bytes()];
        let output = hkdf.expand(&info, Length(len)).unwrap();
        output.fill(&mut key[..len]).unwrap();
        key
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// A request as the gate sees it.
struct Request {
    keys: KeyRing,
    cookie: String,
    authorization: Option<String>,
    length: usize,
}

impl Request {
    fn valid(format: Format, length: usize) -> Self {
        Self::with(format, &format.token(length))
    }

    /// A request with this token, in as many cookies as the framework would write.
    fn with(format: Format, token: &str) -> Self {
        let (name, limit) = format.cookie();
        Self::chunked(format, token, name, limit)
    }

    fn chunked(format: Format, token: &str, name: &str, limit: usize) -> Self {
        let name: CookieName = name.parse().unwrap();
        let mut cookies = vec!["theme=dark".to_owned()];
        if format.cookie().0 == BETTER_AUTH_DATA {
            let token = seal::better_auth_token(&secret(), TOKEN);
            cookies.push(format!("{BETTER_AUTH}={token}"));
        }
        let chunks = seal::chunks(&name, token, limit);
        cookies.extend(chunks.iter().map(|(name, value)| format!("{name}={value}")));
        let mut recognized = SessionCookie::defaults().to_vec();
        recognized.extend(SessionCookie::better_auth_defaults("better-auth").unwrap());
        let cookie = cookies.join("; ");
        Self {
            keys: KeyRing::new(&[secret()], recognized).unwrap(),
            length: token.len(),
            cookie,
            authorization: None,
        }
    }

    /// A request with this token as its Bearer value.
    fn bearer(token: &str) -> Self {
        let mut request = Self::with(Format::NextAuth, "");
        request.length = token.len();
        request.cookie = "theme=dark".to_owned();
        request.authorization = Some(format!("Bearer {token}"));
        request
    }

    /// Finds and opens the session. Returns whether it opened, or is a token to look up whose cookie cache was not rejected.
    fn opens(&self) -> bool {
        let cookies = [self.cookie.as_bytes()];
        let authorization = self.authorization.as_ref().map(|text| text.as_bytes());
        let Ok(candidates) = Candidates::find(&self.keys, black_box(cookies), authorization) else {
            return false;
        };
        let opens = |sealed: &SealedSession<'_>| {
            let opened = black_box(sealed.open(&self.keys, &ClaimDemands::default(), NOW));
            matches!(
                opened,
                Ok(Opened::Session(_) | Opened::Lookup { cache: None, .. })
            )
        };
        candidates.iter().flatten().any(opens)
    }
}

/// The straightforward program. It knows where the token is, its format and its key, and checks no claim: it decodes the
/// segments, verifies the MAC, decrypts, and parses a `serde_json::Value`, with the libraries that the session crate uses.
fn straightforward(format: Format, length: usize) -> Box<dyn Fn()> {
    let token = format.token(length);
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let parse = |text: &[u8]| drop(black_box(serde_json::from_slice::<Value>(text).unwrap()));
    let sha256 = hmac::Key::new(hmac::HMAC_SHA256, secret().expose());
    let session_token = {
        let key = sha256.clone();
        let value = seal::better_auth_token(&secret(), TOKEN);
        move || {
            let value = percent_encoding::percent_decode_str(black_box(&value));
            let value: Vec<u8> = value.collect();
            let signature = BASE64_STANDARD.decode(&value[33..]).unwrap();
            drop(black_box((
                hmac::verify(&key, &value[..32], &signature),
                signature,
            )));
        }
    };
    match format {
        Format::BetterAuthToken => Box::new(session_token),
        Format::BetterAuthCompact => Box::new(move || {
            session_token();
            let text = decode(black_box(&token));
            black_box(hmac::sign(&sha256, &text));
            parse(&text);
        }),
        Format::BetterAuthJwt => Box::new(move || {
            session_token();
            let (signed, signature) = black_box(&token).rsplit_once('.').unwrap();
            let (_, claims) = signed.split_once('.').unwrap();
            hmac::verify(&sha256, signed.as_bytes(), &decode(signature)).unwrap();
            parse(&decode(claims));
        }),
        Format::AuthJsGcm | Format::NextAuth => {
            let key = UnboundKey::new(&AES_256_GCM, &format.key()[..32]).unwrap();
            let key = LessSafeKey::new(key);
            Box::new(move || {
                let (header, [iv, mut text, tag]) = segments(black_box(&token));
                text.extend_from_slice(&tag);
                let nonce = Nonce::try_assume_unique_for_key(&iv).unwrap();
                parse(
                    key.open_in_place(nonce, Aad::from(header), &mut text)
                        .unwrap(),
                );
            })
        }
        Format::AuthJs | Format::BetterAuthJwe => {
            let key = format.key();
            let mac = hmac::Key::new(hmac::HMAC_SHA512, &key[..32]);
            let aes = UnboundCipherKey::new(&AES_256, &key[32..]).unwrap();
            let aes = PaddedBlockDecryptingKey::cbc_pkcs7(aes).unwrap();
            Box::new(move || {
                if format == Format::BetterAuthJwe {
                    session_token();
                }
                let (header, [iv, mut text, tag]) = segments(black_box(&token));
                let bits = (8 * header.len() as u64).to_be_bytes();
                let mac = hmac::sign(&mac, &[header.as_bytes(), &iv, &text, &bits].concat());
                assert_eq!(mac.as_ref()[..32], tag);
                let iv = DecryptionContext::Iv128(FixedLength::from(iv.as_array().unwrap()));
                parse(aes.decrypt(&mut text, iv).unwrap());
            })
        }
    }
}

/// The header of a JWE as text, and its other segments decoded.
fn segments(token: &str) -> (&str, [Vec<u8>; 3]) {
    let segments: Vec<_> = token.split('.').collect();
    let decoded = [segments[2], segments[3], segments[4]];
    (
        segments[0],
        decoded.map(|text| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()),
    )
}

/// Requests that do not open, each compared with a valid one of the same size.
fn hostile() -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut add = |name, hostile: Request, valid: Request| {
        assert!(!hostile.opens() && valid.opens(), "{name}");
        pairs.push(Pair {
            name,
            length: hostile.length,
            ours: Box::new(move || assert!(!hostile.opens())),
            other: Box::new(move || assert!(valid.opens())),
        });
    };
    let valid = Request::valid;
    for length in [480, 4 * 1024, 31 * 1024] {
        for (format, wrong_tag, wrong_key) in [
            (Format::AuthJs, "Auth.js, wrong tag", "Auth.js, unknown key"),
            (
                Format::NextAuth,
                "NextAuth, wrong tag",
                "NextAuth, another key",
            ),
            (
                Format::BetterAuthCompact,
                "Better Auth compact, wrong signature",
                "Better Auth compact, another key",
            ),
        ] {
            let token = format.token(length);
            let other = format.seal_with(&Secret::new("another"), &format.claims(length / 2));
            let same_size = Request::with(format, &format.token(other.len()));
            add(
                wrong_tag,
                Request::with(format, &broken(&token)),
                valid(format, length),
            );
            add(wrong_key, Request::with(format, &other), same_size);
        }
    }
    let token = Format::NextAuth.token(480);
    let bearer = |token: &str| Request::bearer(token);
    add(
        "Bearer, wrong tag, every key tried",
        bearer(&broken(&token)),
        bearer(&token),
    );
    let token = Format::AuthJs.token(4000);
    let escaped: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
    add(
        "every character escaped, wrong tag",
        Request::chunked(
            Format::AuthJs,
            &format!("{}%41", &escaped[..escaped.len() - 3]),
            AUTHJS,
            3936,
        ),
        Request::chunked(Format::AuthJs, &escaped, AUTHJS, 3936),
    );
    let hundred =
        |token: &str| Request::chunked(Format::AuthJs, token, AUTHJS, token.len().div_ceil(100));
    add(
        "100 chunks, wrong tag",
        hundred(&broken(&token)),
        hundred(&token),
    );
    let backwards = |token: &str| {
        let mut request = hundred(token);
        let cookies: Vec<_> = request.cookie.split("; ").collect();
        request.cookie = cookies.into_iter().rev().collect::<Vec<_>>().join("; ");
        request
    };
    add(
        "100 chunks backwards, wrong tag",
        backwards(&broken(&token)),
        valid(Format::AuthJs, 4000),
    );
    let largest = Format::AuthJs.token(64 * 1024 - 64);
    add(
        "one byte too many",
        Request::with(Format::AuthJs, &"x".repeat(64 * 1024 + 1)),
        Request::with(Format::AuthJs, &largest),
    );
    let header = BASE64_URL_SAFE_NO_PAD.encode(many_members());
    let token = Format::AuthJs.token(0);
    let (_, rest) = token.split_once('.').unwrap();
    add(
        "a header of 1 KiB, full of members",
        Request::with(Format::AuthJs, &format!("{header}.{rest}")),
        valid(Format::AuthJs, 1400),
    );
    pairs.extend(several());
    pairs
}

/// Requests with four values of one cookie that do not open, each compared with opening a valid request four times.
fn several() -> Vec<Pair> {
    let four = |token: &str, chunks: usize| {
        let requests = (0..4).map(|at| {
            let token = broken_at(token, at);
            let limit = token.len().div_ceil(chunks);
            Request::chunked(Format::AuthJs, &token, AUTHJS, limit)
        });
        requests
            .reduce(|mut all, other| {
                all.cookie = format!("{}; {}", all.cookie, other.cookie);
                all.length += other.length;
                all
            })
            .unwrap()
    };
    let pair = |name, length, chunks: usize| {
        let token = Format::AuthJs.token(length);
        let hostile = four(&token, chunks);
        let limit = token.len().div_ceil(chunks);
        let valid = Request::chunked(Format::AuthJs, &token, AUTHJS, limit);
        assert!(!hostile.opens() && valid.opens(), "{name}");
        Pair {
            name,
            length: hostile.length,
            ours: Box::new(move || assert!(!hostile.opens())),
            other: Box::new(move || (0..4).for_each(|_| assert!(valid.opens()))),
        }
    };
    vec![
        pair("4 values of one cookie, wrong tags", 480, 1),
        pair("4 values of one cookie, wrong tags", 4000, 1),
        pair("4 values in 4 chunks each, wrong tags", 4000, 4),
        pair("4 values in 100 chunks each, wrong tags", 4000, 100),
    ]
}

/// The token with one character of its last segment changed.
fn broken(token: &str) -> String {
    broken_at(token, 0)
}

/// The token with one character changed, `at` characters before the one that [`broken`] changes.
fn broken_at(token: &str, at: usize) -> String {
    let (rest, last) = token.split_at(token.len() - 1 - at);
    // In the middle of the last segment, where no bits are spare.
    let (rest, before) = rest.split_at(rest.len() - 5);
    let changed = if before.starts_with('A') { "B" } else { "A" };
    format!("{rest}{changed}{}{last}", &before[1..])
}

fn many_members() -> String {
    let members: Vec<_> = (0..120)
        .map(|number| format!(r#""{number:03}":1"#))
        .collect();
    format!("{{{}}}", members.join(","))
}

const AUTHJS: &str = "authjs.session-token";
const BETTER_AUTH: &str = "better-auth.session_token";
const BETTER_AUTH_DATA: &str = "better-auth.session_data";
const NEXTAUTH: &str = "next-auth.session-token";
const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);
const TOKEN: &str = "0123456789abcdefghijklmnopqrstuv";

fn secret() -> Secret {
    Secret::new("the current secret, 32 bytes or more")
}
