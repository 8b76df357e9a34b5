//! Whose signed tokens are accepted, and how his keys get here.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use session::{Jwt, JwtDemands, JwtKeys, OpenError, Session, UnixTime};

use crate::Refusal;

/// An issuer of signed tokens, as configured.
#[derive(Debug)]
pub struct Issuer {
    /// The keys that he signs with.
    pub keys: Arc<dyn IssuerKeys>,
    /// What his tokens must say.
    pub demands: JwtDemands,
    /// Whether the subject of a token is looked up among the users, as a session's is; machines often are no users.
    pub check_user: bool,
}

/// The keys of an issuer, who may replace them at any time.
pub trait IssuerKeys: fmt::Debug + Send + Sync {
    /// The keys as far as they are known. Called for every token: it must not wait.
    fn current(&self) -> Arc<JwtKeys>;

    /// Whether there are newer keys than those among which a token named one that is unknown, `unverified_kid`. May ask the
    /// issuer; the implementation bounds how often and how long, because anybody can send such tokens.
    fn newer_than<'a>(
        &'a self,
        tried: &'a Arc<JwtKeys>,
        unverified_kid: Option<&'a str>,
    ) -> Pin<Box<dyn Future<Output = Newer> + Send + 'a>>;
}

/// Whether there are newer keys.
#[derive(Debug)]
pub enum Newer {
    /// There are.
    Keys(Arc<JwtKeys>),
    /// Those that were tried are the newest that are known.
    None,
    /// The issuer has never told his keys.
    Unknown,
}

impl Issuer {
    /// Opens a token with the keys as they are known or, when it names another one, as the issuer has them now.
    pub(crate) async fn open(&self, jwt: &Jwt<'_>, now: UnixTime) -> Result<Session, Refusal> {
        let known = self.keys.current();
        let opened = jwt.open(&known, &self.demands, now);
        if !matches!(opened, Err(OpenError::UnknownKey)) {
            return Ok(opened?);
        }
        let kid = jwt.unverified_kid();
        match self.keys.newer_than(&known, kid.as_deref()).await {
            Newer::Keys(newer) => Ok(jwt.open(&newer, &self.demands, now)?),
            Newer::None => Err(OpenError::UnknownKey.into()),
            Newer::Unknown => Err(Refusal::NoIssuerKeys),
        }
    }
}
