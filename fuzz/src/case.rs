//! Reads a fuzzer's bytes as a request with genuine sessions in it, so that it reaches the code behind the signature checks.

use std::sync::OnceLock;

use session::KeyRing;
use sha2::{Sha256, Sha512};

use crate::keys::{self, Key};
use crate::{App, Kind, Outcome, Request, compare};

/// The time of every case, in seconds since the epoch: the beginning of 2030, which is before the time of any vector.
pub const NOW: u64 = 1_893_456_000;
/// The current secret of every application here.
pub const SECRET: &str = "the secret of the fuzz targets, 32 bytes or more";
/// The cookie of Auth.js.
const AUTHJS: &str = "authjs.session-token";
/// The cookie of Better Auth that holds the token.
const BETTER_AUTH: &str = "better-auth.session_token";
/// The cookie of Better Auth that holds the cache.
const BETTER_AUTH_DATA: &str = "better-auth.session_data";
/// The cookie of NextAuth.
const NEXTAUTH: &str = "next-auth.session-token";
/// A token of Better Auth.
pub const TOKEN: &str = "0123456789abcdefghijklmnopqrstuv";

/// An application and its ring, made once.
pub struct Known {
    /// The application.
    pub app: App,
    /// Its keys.
    pub ring: KeyRing,
}

/// The application of this kind.
pub fn known(kind: Kind) -> &'static Known {
    static KNOWN: OnceLock<[Known; 4]> = OnceLock::new();
    let all = KNOWN.get_or_init(|| {
        [
            Kind::AuthJs,
            Kind::AuthJsDatabase,
            Kind::BetterAuth,
            Kind::NextAuth,
        ]
        .map(|kind| {
            let cookie_name = match kind {
                Kind::AuthJs | Kind::AuthJsDatabase => AUTHJS,
                Kind::BetterAuth => BETTER_AUTH,
                Kind::NextAuth => NEXTAUTH,
            };
            let app = App {
                kind,
                secrets: vec![
                    SECRET.to_owned(),
                    "an older secret, 32 bytes or more".to_owned(),
                ],
                cookie_name: cookie_name.to_owned(),
                data_name: BETTER_AUTH_DATA.to_owned(),
                salt: AUTHJS.to_owned(),
                strategy: None,
                version: "1".to_owned(),
            };
            let ring = app.ring();
            Known { app, ring }
        })
    });
    all.iter()
        .find(|known| known.app.kind == kind)
        .expect("every kind is known")
}

/// Compares the session crate with the reference on a request whose `Cookie` is these pieces joined, and returns the session crate's.
pub fn cookie(kind: Kind, pieces: &[&[u8]]) -> Outcome {
    let cookie = pieces.concat();
    ask(kind, cookie, None)
}

/// Compares the session crate with the reference on a request with this Bearer value, and returns the session crate's.
pub fn bearer(kind: Kind, value: &[u8]) -> Outcome {
    ask(kind, Vec::new(), Some([b"Bearer ", value].concat()))
}

/// Splits `data` into its first line and the rest.
pub fn line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let end = end.unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}

fn ask(kind: Kind, cookie: Vec<u8>, authorization: Option<Vec<u8>>) -> Outcome {
    let known = known(kind);
    let request = Request {
        cookie,
        authorization,
        now: NOW,
    };
    compare(&known.app, &known.ring, &request)
}

/// How a case is sealed.
#[derive(Clone, Copy)]
enum Seal {
    AuthJs,
    AuthJsGcm,
    Database,
    Compact,
    Jwe,
    Jwt,
    NextAuth,
}

/// Reads a case from five lines: how to seal (one letter), the header, the claims, and the values of `Cookie` and
/// `Authorization`. In those two `@` stands for the sealed session, `<` and `>` for its halves, `$` for the signed token of
/// Better Auth. `None` when the bytes are not such lines.
pub fn read(data: &[u8]) -> Option<(&'static Known, Request)> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let seal = match lines.next()? {
        b"a" => Seal::AuthJs,
        b"g" => Seal::AuthJsGcm,
        b"d" => Seal::Database,
        b"c" => Seal::Compact,
        b"e" => Seal::Jwe,
        b"j" => Seal::Jwt,
        b"n" => Seal::NextAuth,
        _ => return None,
    };
    let (header, claims) = (lines.next()?, lines.next()?);
    let kind = match seal {
        Seal::AuthJs | Seal::AuthJsGcm => Kind::AuthJs,
        Seal::Compact | Seal::Jwe | Seal::Jwt => Kind::BetterAuth,
        Seal::Database => Kind::AuthJsDatabase,
        Seal::NextAuth => Kind::NextAuth,
    };
    let token = seal_as(seal, header, claims);
    let [cookie, authorization] = [lines.next()?, lines.next()?].map(|text| fill(text, &token));
    let authorization = (!authorization.is_empty()).then_some(authorization);
    Some((
        known(kind),
        Request {
            cookie,
            authorization,
            now: NOW,
        },
    ))
}

/// Seals any header and claims as a session. A token with an empty `header` gets the usual one; for `Compact` it is the expiry.
fn seal_as(seal: Seal, header: &[u8], claims: &[u8]) -> String {
    let with = |key: Key, usual: String| match header {
        b"" => key.seal(usual.as_bytes(), claims),
        header => key.seal(header, claims),
    };
    let cbc = |kid: String| format!(r#"{{"alg":"dir","enc":"A256CBC-HS512","kid":"{kid}"}}"#);
    let gcm = || r#"{"alg":"dir","enc":"A256GCM"}"#.to_owned();
    match seal {
        Seal::AuthJs => {
            let key = Key::authjs(SECRET, AUTHJS, 64);
            let kid = key.kid::<Sha512>();
            with(key, cbc(kid))
        }
        Seal::AuthJsGcm => with(Key::authjs(SECRET, AUTHJS, 32), gcm()),
        Seal::Compact => keys::sign_compact(SECRET, claims, header),
        Seal::Database => String::from_utf8_lossy(claims).into_owned(),
        Seal::Jwe => {
            let key = Key::better_auth(SECRET);
            let kid = key.kid::<Sha256>();
            with(key, cbc(kid))
        }
        Seal::Jwt if header.is_empty() => keys::sign_jwt(SECRET, br#"{"alg":"HS256"}"#, claims),
        Seal::Jwt => keys::sign_jwt(SECRET, header, claims),
        Seal::NextAuth => with(Key::nextauth(SECRET), gcm()),
    }
}

fn fill(text: &[u8], token: &str) -> Vec<u8> {
    let token = token.as_bytes();
    let (first, second) = token.split_at(token.len() / 2);
    let mut filled = Vec::new();
    for byte in text {
        match byte {
            b'@' => filled.extend_from_slice(token),
            b'<' => filled.extend_from_slice(first),
            b'>' => filled.extend_from_slice(second),
            b'$' => filled.extend_from_slice(keys::sign_token(SECRET, TOKEN).as_bytes()),
            byte => filled.push(*byte),
        }
    }
    filled
}
