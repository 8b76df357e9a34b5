//! The vectors of `data/sessions.json`. Every reader of that file includes this module: the tests of this crate and of the
//! server, and the fuzz targets.
#![allow(dead_code, reason = "each reader uses its own part")]

use serde::Deserialize;
use serde_json::{Map, Value};

/// Every vector in the file.
pub(crate) fn all() -> Vec<Vector> {
    serde_json::from_str(include_str!("../data/sessions.json"))
        .expect("the file is as described below")
}

/// One entry of the file. Fields that only describe the vector are read too, so that an unknown field is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) format: VectorFormat,
    /// The secrets, the current one first.
    pub(crate) secrets: Vec<String>,
    /// The salt; `None` if the format derives no key with a salt.
    pub(crate) salt: Option<String>,
    pub(crate) cookie_name: String,
    /// The exact value of the `Cookie` header.
    pub(crate) cookie_header: String,
    /// The exact value of the `Authorization` header.
    pub(crate) authorization: Option<String>,
    /// Seconds since the epoch.
    pub(crate) now: u64,
    pub(crate) expect: Expect,
    /// Why the vector is invalid, in the words of its author; other checks may fail first.
    pub(crate) reason: Option<String>,
    /// Whether every correct gate agrees (`must`) or a reasonable one may differ (`policy`). This gate never differs.
    pub(crate) strictness: Strictness,
    /// The exact claims of a valid session.
    pub(crate) claims: Option<Map<String, Value>>,
    pub(crate) reference: String,
    pub(crate) reference_behaviour: String,
    pub(crate) gate_vs_reference: String,
    pub(crate) note: Option<String>,
    /// The verdict of the release that wrote tokens of this older format.
    pub(crate) reference_issuer_version: Option<String>,
    // The rest is for Better Auth's cookie cache only; `cookie_name` is the name of the cache's cookie.
    /// The version that the application gives its caches, if not `1`.
    pub(crate) cache_version: Option<String>,
    pub(crate) cookie_prefix: Option<String>,
    pub(crate) reference_middleware: Option<String>,
    pub(crate) secure: Option<bool>,
    /// The name of the cookie that holds the session token.
    pub(crate) token_cookie_name: Option<String>,
}

/// The format of a vector's session.
#[derive(Clone, Copy, Deserialize)]
pub(crate) enum VectorFormat {
    #[serde(rename = "authjs-v5")]
    AuthjsV5,
    #[serde(rename = "authjs-v5-a256gcm")]
    AuthjsV5A256gcm,
    #[serde(rename = "better-auth-compact")]
    BetterAuthCompact,
    #[serde(rename = "better-auth-jwe")]
    BetterAuthJwe,
    #[serde(rename = "better-auth-jwt")]
    BetterAuthJwt,
    #[serde(rename = "better-auth-signed-token")]
    BetterAuthSignedToken,
    #[serde(rename = "nextauth-v4")]
    NextauthV4,
}

/// What a gate must make of a vector.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Expect {
    Invalid,
    Valid,
}

/// Whether gates may differ about a vector.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Strictness {
    Must,
    Policy,
}

impl VectorFormat {
    /// The name of the format in the file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AuthjsV5 => "authjs-v5",
            Self::AuthjsV5A256gcm => "authjs-v5-a256gcm",
            Self::BetterAuthCompact => "better-auth-compact",
            Self::BetterAuthJwe => "better-auth-jwe",
            Self::BetterAuthJwt => "better-auth-jwt",
            Self::BetterAuthSignedToken => "better-auth-signed-token",
            Self::NextauthV4 => "nextauth-v4",
        }
    }
}
