//! The issuer whose signed tokens are accepted, and how its keys are found.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use session::{Jwt, JwtDemands, JwtKeys, OpenError, Session, UnixTime};

use crate::Refusal;

/// An issuer of signed tokens, as configured.
#[derive(Debug)]
pub struct Issuer {
    /// The keys with which it signs.
    pub keys: Arc<dyn IssuerKeys>,
    /// What its tokens must say.
    pub demands: JwtDemands,
    /// Whether the subject of a token is looked up among the users, as a session's is; the subjects of machines are often not
    /// users.
    pub check_user: bool,
}

/// The keys of an issuer, which may replace them at any time.
pub trait IssuerKeys: fmt::Debug + Send + Sync {
    /// Returns the known keys. Called for every token, so it must not wait.
    fn current(&self) -> Arc<JwtKeys>;

    /// Looks for keys newer than `tried`, because a token names an unknown key, `unverified_kid`. May ask the issuer; the
    /// implementation must bound how often and how long, because anybody can send such tokens.
    fn newer_than<'a>(
        &'a self,
        tried: &'a Arc<JwtKeys>,
        unverified_kid: Option<&'a str>,
    ) -> Pin<Box<dyn Future<Output = Newer> + Send + 'a>>;
}

/// Whether an issuer has newer keys.
#[derive(Debug)]
pub enum Newer {
    /// These are newer.
    Keys(Arc<JwtKeys>),
    /// The keys that were tried are the newest that are known.
    None,
    /// The issuer's keys were never received.
    Unknown,
}

impl Issuer {
    /// Opens a token with the known keys or, when it names another key, with the issuer's current keys.
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
