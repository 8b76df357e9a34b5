//! Opens the sessions that Auth.js, NextAuth and Better Auth issue: bytes in, a verified [`Session`] or a precise
//! [`OpenError`] out.
//!
//! # The formats
//!
//! | [`Format`] | cookie | what it is | protected by |
//! |---|---|---|---|
//! | `authjs-v5` | `authjs.session-token` | encrypted claims (a JWE, RFC 7516) | A256CBC-HS512; A256GCM before 0.23 |
//! | `nextauth-v4` | `next-auth.session-token` | encrypted claims | A256GCM |
//! | `authjs-signed` | either of the above, where the application overrides `encode()` | signed claims (a JWS, RFC 7515) | HS256, HS384 or HS512 |
//! | `authjs-database` | either of the above | a token that the application's database knows | nothing: the lookup is the check |
//! | `better-auth-signed-token` | `better-auth.session_token` | such a token, signed | HMAC-SHA-256, and the lookup |
//! | `better-auth-compact`, `-jwt`, `-jwe` | `better-auth.session_data`, beside the token | the session, cached for minutes | HMAC-SHA-256, HS256, A256CBC-HS512 |
//!
//! Over `https` every name begins with `__Secure-`. The keys are derived from the application's secret: anyone who knows the
//! secret can open these sessions, and nobody else can read or change them. The frameworks differ in this:
//!
//! | | Auth.js v5 | NextAuth v4 | Better Auth |
//! |---|---|---|---|
//! | key depends on | secret and cookie name | secret | secret |
//! | names its key (`kid`) | yes, since 0.24 | no | yes, in `-jwe` |
//! | several secrets | yes, newest first | no | in `-jwe`; the other formats use the current one |
//! | clocks may differ by | 15 seconds | 15 seconds | nothing |
//! | chunk of a long cookie | 3936 characters | 3933 characters | 3977 characters or fewer |
//!
//! # Opening
//!
//! A [`KeyRing`] is made once, from secrets and the cookies to recognize. For each request [`SealedSession::find`] looks for the
//! session, and [`SealedSession::open`] verifies it. A [`Session`] comes only from that method, from [`SessionToken::open`] after
//! a lookup, or from [`Jwt::open`]. Claims that were not verified cannot be read.
//!
//! ## Auth.js v5
//!
//! ```
//! use session::{ClaimDemands, KeyRing, Opened, SealedSession, Secret, SessionCookie, UnixTime, seal};
//! # use serde_json::json;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = Secret::new("3q2+7wAAc0Y1m5C0p0mXq8xJY2Z1b2xkZXI=");
//! let keys = KeyRing::new(&[secret.clone()], SessionCookie::defaults().into())?;
//!
//! // What the application would have set:
//! let claims = json!({"sub": "user-1", "email": "ada@example.com", "exp": 1_900_000_000_u64});
//! # let claims = claims.as_object().ok_or("an object")?;
//! let token = seal::authjs(&secret, &"authjs.session-token".parse()?, &claims, [7; 16]);
//! let cookie = format!("theme=dark; authjs.session-token={token}");
//!
//! let sealed = SealedSession::find(&keys, [cookie.as_bytes()], [])?.ok_or("no session")?;
//! let now = UnixTime::from_secs(1_899_999_000);
//! let Opened::Session(session) = sealed.open(&keys, &ClaimDemands::default(), now)? else {
//!     return Err("an encrypted session needs no lookup".into());
//! };
//! assert_eq!(session.subject(), "user-1");
//! assert_eq!(session.email(), Some("ada@example.com"));
//! # Ok(())
//! # }
//! ```
//!
//! ## NextAuth v4
//!
//! NextAuth v4 uses another cookie. A Bearer value is read when the request has no session cookie:
//!
//! ```
//! use session::{ClaimDemands, Format, KeyRing, Opened, SealedSession, Secret, SessionCookie, UnixTime, seal};
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
//! let now = UnixTime::from_secs(1_899_999_000);
//! let Opened::Session(session) = sealed.open(&keys, &ClaimDemands::default(), now)? else {
//!     return Err("an encrypted session needs no lookup".into());
//! };
//! assert_eq!((session.subject(), session.format()), ("user-1", Format::NextAuth));
//! # Ok(())
//! # }
//! ```
//!
//! ## Better Auth
//!
//! The signed token names a session. The cookie cache beside it, in one of three strategies, holds the session itself for
//! some minutes. When the cache is absent or stale, look the session up in the application's store by its token:
//!
//! ```
//! use session::{
//!     ClaimDemands, Format, KeyRing, OpenError, Opened, SealedSession, Secret, SessionCookie, StoredColumns,
//!     StoredSession, UnixTime, seal,
//! };
//! # use serde_json::json;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = Secret::new("3q2+7wAAc0Y1m5C0p0mXq8xJY2Z1b2xkZXI=");
//! let keys = KeyRing::new(&[secret.clone()], SessionCookie::better_auth_defaults("better-auth")?.into())?;
//!
//! let token = "mWDgQ6D0uEGUhaKnhr3ShAc8oBX5gWti";
//! let cached = json!({
//!     "session": {"id": "s-1", "token": token, "userId": "user-1", "expiresAt": "2030-03-17T17:46:40.000Z"},
//!     "user": {"id": "user-1", "email": "ada@example.com", "name": "Ada"},
//!     "updatedAt": 1_899_999_000_000_u64, "version": "1",
//! });
//! # let cached = cached.as_object().ok_or("an object")?;
//! let cache_ends = UnixTime::from_secs(1_899_999_300);
//! let cookies = format!(
//!     "better-auth.session_token={}; better-auth.session_data={}",
//!     seal::better_auth_token(&secret, token),
//!     seal::better_auth_compact(&secret, &cached, cache_ends), // or better_auth_jwt, or better_auth_jwe
//! );
//! let sealed = SealedSession::find(&keys, [cookies.as_bytes()], [])?.ok_or("no session")?;
//! let demands = ClaimDemands::default();
//!
//! // While the cache is valid, no lookup is needed.
//! let Opened::Session(session) = sealed.open(&keys, &demands, UnixTime::from_secs(1_899_999_100))? else {
//!     return Err("the cache is valid".into());
//! };
//! assert_eq!((session.subject(), session.format()), ("user-1", Format::BetterAuthCompact));
//!
//! // Later the session has to be looked up by the token's text. If you cache what the store says, use the token's id.
//! let later = UnixTime::from_secs(1_899_999_400);
//! let Opened::Lookup { token, cache } = sealed.open(&keys, &demands, later)? else {
//!     return Err("the cache has ended".into());
//! };
//! assert_eq!(cache, Some(OpenError::Expired { at: cache_ends }));
//! assert_eq!(token.id(), session.id());
//! let row = StoredSession::new(StoredColumns {
//!     subject: "user-1",
//!     email: Some("ada@example.com"),
//!     name: None,
//!     issued_at: None,
//!     expires_at: UnixTime::from_secs(1_900_000_000),
//!     standing: Default::default(),
//! })?;
//! assert_eq!(token.open(&row, &demands, later)?.subject(), "user-1");
//! # Ok(())
//! # }
//! ```
//!
//! ## Sessions in a database
//!
//! With the database strategy of Auth.js and NextAuth the cookie is a bare token. There is no key, and nothing to verify
//! before the lookup:
//!
//! ```
//! use session::{ClaimDemands, Format, KeyRing, Opened, SealedSession, SessionCookie, UnixTime};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cookie = SessionCookie::authjs_database("authjs.session-token".parse()?);
//! let keys = KeyRing::new(&[], vec![cookie])?;
//! let header = b"authjs.session-token=0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b";
//!
//! let sealed = SealedSession::find(&keys, [&header[..]], [])?.ok_or("no session")?;
//! let now = UnixTime::from_secs(1_899_999_000);
//! let Opened::Lookup { token, .. } = sealed.open(&keys, &ClaimDemands::default(), now)? else {
//!     return Err("a token says nothing by itself".into());
//! };
//! assert_eq!(token.expose(), "0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b");
//! assert_eq!(token.format(), Format::AuthJsDatabase);
//! # Ok(())
//! # }
//! ```
//!
//! ## Signed tokens of other issuers
//!
//! Machines and APIs send a JWT that an identity provider signed. You configure the keys that may have signed it: a shared
//! secret, the issuer's published keys (a JWKS), or both. [`Jwt`] has an example.
//!
//! # Stricter than the frameworks
//!
//! The frameworks' decoders accept tokens that none of their releases ever wrote. Accepting those here would help only an
//! attacker, so they are refused: tokens without `sub`, tokens without `exp` (unless they are signed, and a maximum age is
//! demanded), compressed ones, other algorithms, base64 in several spellings, JSON that parsers disagree about, chunks with gaps
//! or from two sessions, another signed cookie of Better Auth in place of the session's, and anything beyond 64 KiB.
//!
//! # Pure
//!
//! No clock, no I/O, no logging, no global state: time is an argument, and everything that goes wrong is the result. No
//! input leads to a panic.

mod base64url;
mod better_auth;
mod cookie;
pub mod cookies;
mod error;
mod format;
mod gathered;
mod json;
mod jwe;
mod jws;
mod jwt;
mod key;
mod keyring;
mod remembered;
mod removal;
pub mod seal;
mod sealed;
mod secret;
mod session;
mod signed;
mod standing;
mod stored;
mod subject;
mod text_claim;
mod time;

pub use cookie::{CacheStrategy, CookieCache, CookieName, CookieNameError, SessionCookie};
pub use error::{OpenError, Segment};
pub use format::Format;
pub use jwt::{Jwt, JwtDemands, JwtKeys, JwtKeysError};
pub use keyring::{KeyRing, KeyRingError};
pub use remembered::cache_is_not_renewed;
pub use sealed::{Candidate, Candidates, Opened, SealedSession};
pub use secret::{Secret, Weakness};
pub use session::{ClaimDemands, Session};
pub use standing::{Standing, means_guest, means_verified};
pub use stored::{SessionToken, StoredColumns, StoredSession};
pub use time::UnixTime;

/// The code in README.md, which is tested like the code on this page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
