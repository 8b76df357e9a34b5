//! What is asked about a header.

use session::{ClaimDemands, Secret, UnixTime};

use crate::config::RecognizedCookies;
use crate::jwks;

/// A header, and how it is to be read.
#[derive(Debug)]
pub(crate) struct Inspection<'q> {
    /// The value of the `Cookie` header.
    pub(crate) cookie_header: &'q [u8],
    /// The value of the `Authorization` header.
    pub(crate) authorization: Option<&'q [u8]>,
    /// Which cookies count.
    pub(crate) recognized: RecognizedCookies,
    /// The secrets of Auth.js and NextAuth, the current one first.
    pub(crate) authjs_secrets: &'q [Secret],
    /// The secrets of Better Auth, the current one first.
    pub(crate) better_auth_secrets: &'q [Secret],
    /// A salt that is set somewhere, which the diagnosis tries too.
    pub(crate) other_salt: Option<&'q str>,
    /// What the gate demands of claims.
    pub(crate) demands: ClaimDemands,
    /// Whose signed tokens count in `Authorization`.
    pub(crate) issuer: Option<&'q jwks::Settings>,
    /// When the session should be valid.
    pub(crate) now: UnixTime,
}
