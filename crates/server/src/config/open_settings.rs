//! Reads the settings that decide which sessions open, for `sessiongate open`.

use session::ClaimDemands;

use super::lookups::SessionLookups;
use super::reader::{Reader, Variables};
use super::secrets::SecretErrors;
use super::sessions::{self, RecognizedCookies, SessionFormat};
use super::{bearer, identity};
use crate::jwks;

/// The settings that decide which sessions open.
#[derive(Debug)]
pub(crate) struct OpenSettings {
    /// The recognized cookies.
    pub(crate) recognized: RecognizedCookies,
    /// The requirements on a session's claims.
    pub(crate) demands: ClaimDemands,
    /// The issuer whose bearer tokens are accepted in `Authorization`.
    pub(crate) issuer: Option<jwks::Settings>,
}

impl OpenSettings {
    /// Reads the same variables as `serve` does for this purpose, and no others.
    ///
    /// # Errors
    /// [`SecretErrors`] lists every invalid variable.
    pub(crate) fn read(variables: &Variables) -> Result<Self, SecretErrors> {
        let mut reader = Reader::tolerant(variables);
        let format = SessionFormat::read(&mut reader);
        // Its problems are about stores, which `open` does not use.
        let lookups = SessionLookups::read(&mut Reader::new(variables), format, &mut Vec::new());
        let or_opaque = lookups.is_some_and(SessionLookups::makes_authjs_opaque);
        let recognized = RecognizedCookies::read(&mut reader, format, or_opaque);
        let subjects = identity::subject_claims(&mut reader, format, &mut Vec::new());
        let demands = sessions::demands(&mut reader, subjects.session);
        let issuer = bearer::issuer(&mut reader, subjects.bearer, &mut Vec::new());
        match reader.problems.is_empty() {
            true => Ok(Self {
                recognized,
                demands,
                issuer,
            }),
            false => {
                reader.explain_problems();
                Err(SecretErrors(reader.problems))
            }
        }
    }

    /// Whether a session can open without the secret of an app.
    pub(crate) fn needs_no_secret(&self) -> bool {
        self.issuer.is_some() || self.recognized.format == SessionFormat::AuthJsDatabase
    }
}
