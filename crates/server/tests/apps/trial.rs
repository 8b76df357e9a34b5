//! The trial of every application: a client claims to be another user, with every spelling of the headers, and the
//! application must name the user of the session, or none.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use harness::Mint;

use crate::support::{Front, Visitor};

/// An application that takes its users from headers.
pub(crate) struct Trial<'a> {
    pub(crate) front: &'a Front,
    /// Where the application itself listens.
    pub(crate) app: SocketAddr,
    /// Every header that the application believes, with the value that a client sends to claim to be Eve.
    pub(crate) forged: &'a [(&'a str, &'a str)],
    /// The application's name for Eve.
    pub(crate) eve: &'a str,
    /// The application's name for Zoë.
    pub(crate) zoe: &'a str,
    /// The characters that its server is known to read as `-` in the name of a header.
    pub(crate) folds: &'a [char],
}

impl Trial<'_> {
    /// Asks the application who is signed in, for each forgery. `shown_user` returns its answer to a visitor, `None` without a user.
    pub(crate) async fn run(
        &self,
        shown_user: impl AsyncFn(&mut Visitor) -> Result<Option<String>>,
    ) -> Result<()> {
        self.trusts_headers_without_gate(&shown_user).await?;
        let zoe = shown_user(&mut self.front.zoe("admin")).await?;
        assert_eq!(zoe.as_deref(), Some(self.zoe), "with nothing forged");
        for spelling in SPELLINGS {
            let forged = self.spelled(spelling);
            self.ignores_forged_headers(&forged, &shown_user).await?;
        }
        let all = SPELLINGS.iter().flat_map(|spelling| self.spelled(spelling));
        self.ignores_forged_headers(&all.collect::<Vec<_>>(), &shown_user)
            .await?;
        let nominated = self.forged.iter().map(|(name, _)| *name);
        let nominated = (
            "Connection".to_owned(),
            nominated.collect::<Vec<_>>().join(", "),
        );
        self.ignores_forged_headers(&[nominated], &shown_user).await
    }

    /// For applications that name users by email address: an address that the session marks as unverified identifies no user.
    pub(crate) async fn ignores_unverified_email(
        &self,
        shown_user: impl AsyncFn(&mut Visitor) -> Result<Option<String>>,
    ) -> Result<()> {
        let session = Mint::user("eve").claim("email", self.eve);
        let session = session.claim("role", "admin");
        let session = session.claim("email_verified", false);
        let named = shown_user(&mut self.front.with_session(&session)).await?;
        assert_eq!(named, None, "an unverified address");
        Ok(())
    }

    /// Verifies that, without a gate, every client that claims to be Eve is Eve: otherwise the trial would prove nothing.
    async fn trusts_headers_without_gate(
        &self,
        shown_user: &impl AsyncFn(&mut Visitor) -> Result<Option<String>>,
    ) -> Result<()> {
        let as_sent = |name: &str| name.to_owned();
        let mut eve = Visitor::new(self.app, &self.front.host);
        eve.after = self.spelled(as_sent);
        let named = shown_user(&mut eve).await?;
        assert_eq!(named.as_deref(), Some(self.eve), "without a gate");
        for fold in self.folds {
            let fold = fold.to_string();
            let folded = |name: &str| name.replace('-', &fold);
            let mut eve = Visitor::new(self.app, &self.front.host);
            eve.after = self.spelled(folded);
            let named = shown_user(&mut eve).await?;
            assert_eq!(
                named.as_deref(),
                Some(self.eve),
                "without a gate, by {fold:?}"
            );
        }
        Ok(())
    }

    async fn ignores_forged_headers(
        &self,
        forged: &[(String, String)],
        shown_user: &impl AsyncFn(&mut Visitor) -> Result<Option<String>>,
    ) -> Result<()> {
        let mut stranger = self.front.stranger();
        stranger.after = forged.to_vec();
        let named = shown_user(&mut stranger).await;
        let named = named.with_context(|| format!("a stranger with {forged:?}"))?;
        assert_eq!(named, None, "a stranger with {forged:?}");
        let mut zoe = self.front.zoe("admin");
        zoe.before = forged.to_vec();
        zoe.after = forged.to_vec();
        let named = shown_user(&mut zoe).await;
        let named = named.with_context(|| format!("Zoë with {forged:?}"))?;
        assert_eq!(named.as_deref(), Some(self.zoe), "Zoë with {forged:?}");
        Ok(())
    }

    fn spelled(&self, spelling: impl Fn(&str) -> String) -> Vec<(String, String)> {
        let fields = self.forged.iter();
        fields
            .map(|(name, value)| (spelling(name), (*value).to_owned()))
            .collect()
    }
}

/// The spellings of a name that some server reads as the original.
const SPELLINGS: [fn(&str) -> String; 8] = [
    str::to_owned,
    str::to_lowercase,
    str::to_uppercase,
    |name| name.replace('-', "_"),
    |name| name.replace('-', "."),
    |name| name.replacen('-', "_", 1),
    |name| name.replacen('-', ".", 1).replace('-', "_"),
    |name| name.to_lowercase().replace('-', "_"),
];

/// Returns who is signed in to an application whose every page consists of the user's name.
pub(crate) async fn named_in_text(visitor: &mut Visitor) -> Result<Option<String>> {
    visitor.read("/").await
}
