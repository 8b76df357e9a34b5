//! The input of an inspection.

use session::{ClaimDemands, Secret, UnixTime};

use crate::config::RecognizedCookies;
use crate::jwks;

/// The headers to inspect, and the settings to open them with.
#[derive(Debug)]
pub(crate) struct Inspection<'q> {
    /// The value of the `Cookie` header.
    pub(crate) cookie_header: &'q [u8],
    /// The value of the `Authorization` header.
    pub(crate) authorization: Option<&'q [u8]>,
    /// The recognized cookies.
    pub(crate) recognized: RecognizedCookies,
    /// The secrets of Auth.js and NextAuth, the current one first.
    pub(crate) authjs_secrets: &'q [Secret],
    /// The secrets of Better Auth, the current one first.
    pub(crate) better_auth_secrets: &'q [Secret],
    /// The value of `JWT_SALT`, which the diagnosis tries too.
    pub(crate) other_salt: Option<&'q str>,
    /// The gate's requirements on claims.
    pub(crate) demands: ClaimDemands,
    /// The issuer whose bearer tokens are accepted in `Authorization`.
    pub(crate) issuer: Option<&'q jwks::Settings>,
    /// The time at which to check the session.
    pub(crate) now: UnixTime,
}
