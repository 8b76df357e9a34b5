//! Opens the session cookies of Auth.js and NextAuth: bytes in, a verified [`Session`] or a precise [`OpenError`] out.
//!
//! # The format
//!
//! Both frameworks can keep a session in the cookie itself, as an encrypted token (a JWE, RFC 7516):
//!
//! ```text
//! eyJhbGciOiJkaXIi…  .  .  1vVXr8Q3uO8…  .  hZ2rN0p…  .  mD7cKx…
//! header               iv              ciphertext    tag
//! ```
//!
//! The key comes from the application's secret through HKDF, so whoever knows the secret can read the session, and
//! whoever does not can neither read nor change it. Inside is a JSON object of claims (RFC 7519): `sub` says who, `exp`
//! until when. The two formats differ in little:
//!
//! | | Auth.js v5 | NextAuth v4 |
//! |---|---|---|
//! | cookie | `authjs.session-token` | `next-auth.session-token` |
//! | with `https` | `__Secure-authjs.session-token` | `__Secure-next-auth.session-token` |
//! | encryption | A256CBC-HS512; A256GCM before 0.23 | A256GCM |
//! | key depends on | secret and cookie name | secret |
//! | names its key (`kid`) | yes, since 0.24 | no |
//! | several secrets | yes, newest first | no |
//! | chunk of a long cookie | 3936 characters | 3933 characters |
//!
//! # Opening
//!
//! A [`KeyRing`] is made once, from secrets and the cookies to recognise. For each request
//! [`SealedSession::find`] looks for the session, and [`SealedSession::open`] verifies it. There is no other way to a
//! [`Session`], and no way to read claims that were not verified.
//!
//! ```
//! use session::{ClaimDemands, KeyRing, Opened, SealedSession, Secret, SessionCookie, UnixTime, seal};
//! # use serde_json::json;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = Secret::new("3q2+7wAAc0Y1m5C0p0mXq8xJY2Z1b2xkZXI=");
//! let keys = KeyRing::new(&[secret.clone()], SessionCookie::defaults().into())?;
//!
//! // What Auth.js v5 would have set:
//! let claims = json!({"sub": "user-1", "email": "ada@example.com", "exp": 1_900_000_000_u64});
//! # let claims = claims.as_object().ok_or("an object")?;
//! let token = seal::authjs(&secret, &"authjs.session-token".parse()?, &claims, [7; 16]);
//! let cookie = format!("theme=dark; authjs.session-token={token}");
//!
//! let sealed = SealedSession::find(&keys, [cookie.as_bytes()], [])?.ok_or("no session")?;
//! let now = UnixTime::from_secs(1_899_999_000);
//! let Opened::Session(session) = sealed.open(&keys, &ClaimDemands::default(), now)? else {
//!     return Err("an encrypted session needs no look-up".into());
//! };
//! assert_eq!(session.subject(), "user-1");
//! assert_eq!(session.email(), Some("ada@example.com"));
//! # Ok(())
//! # }
//! ```
//!
//! With NextAuth v4 the same, in another cookie; a Bearer value is read when there is no session cookie:
//!
//! ```
//! use session::{ClaimDemands, Format, KeyRing, SealedSession, Secret, SessionCookie, UnixTime, seal};
//! # use serde_json::json;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = Secret::new("3q2+7wAAc0Y1m5C0p0mXq8xJY2Z1b2xkZXI=");
//! let keys = KeyRing::new(&[secret.clone()], SessionCookie::defaults().into())?;
//!
//! let claims = json!({"sub": "user-1", "exp": 1_900_000_000_u64});
//! # let claims = claims.as_object().ok_or("an object")?;
//! let authorization = format!("Bearer {}", seal::nextauth(&secret, &claims, [7; 12]));
//!
//! let sealed = SealedSession::find(&keys, [], [authorization.as_bytes()])?.ok_or("no session")?;
//! let session = sealed.open(&keys, &ClaimDemands::default(), UnixTime::from_secs(1_899_999_000))?;
//! assert_eq!((session.subject(), session.format()), ("user-1", Format::NextAuth));
//! # Ok(())
//! # }
//! ```
//!
//! # Stricter than the frameworks
//!
//! Their decoders accept tokens that no release of theirs ever wrote. Accepting those here would help nobody but an
//! attacker, so they are refused: tokens without `exp` or `sub`, compressed ones, other algorithms, base64 in several
//! spellings, JSON that parsers disagree about, chunks with gaps or from two sessions, and anything beyond 64 KiB.
//!
//! # Pure
//!
//! No clock, no I/O, no logging, no global state: time is an argument, and everything that goes wrong is the result.

mod better_auth;
mod cookie;
pub mod cookies;
mod error;
mod format;
mod json;
mod jwe;
mod jws;
mod key;
mod keyring;
pub mod seal;
mod sealed;
mod secret;
mod session;
mod stored;
mod time;

pub use cookie::{CacheStrategy, CookieCache, CookieName, CookieNameError, SessionCookie};
pub use error::{OpenError, Segment};
pub use format::Format;
pub use keyring::{KeyRing, KeyRingError};
pub use sealed::{Opened, SealedSession};
pub use secret::{Secret, Weakness};
pub use session::{ClaimDemands, Session};
pub use stored::{SessionToken, StoredColumns, StoredSession};
pub use time::UnixTime;
