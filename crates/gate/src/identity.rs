//! Which parts of a session are trusted as identity.

use session::Session;

use crate::Groups;

/// Which users of a realm may enter, and what is written about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRules {
    /// Which e-mail addresses are accepted as identity.
    pub email: EmailHeader,
    /// Whether guests enter: users who have never signed up.
    pub allow_anonymous: bool,
    /// Where a user's groups are found; `None` when groups are not known.
    pub groups: Option<Groups>,
}

impl Default for IdentityRules {
    /// Addresses are accepted unless the session calls them unverified; guests enter; groups are not known.
    fn default() -> Self {
        Self {
            email: EmailHeader::Verified,
            allow_anonymous: true,
            groups: None,
        }
    }
}

/// Which e-mail addresses are accepted as identity: `EMAIL_HEADER`. If sign-up is open, anybody can sign up with another
/// person's address, and a service that identifies users by their address would confuse the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailHeader {
    /// All addresses.
    Always,
    /// Addresses that the session does not call unverified. An address is accepted if the session does not say.
    #[default]
    Verified,
}

impl EmailHeader {
    /// Returns the address that is the identity of this session's user. All code that writes or compares an address must take it
    /// from here.
    pub fn address(self, session: &Session) -> Option<&str> {
        session.email().filter(|_| !self.withholds(session))
    }

    /// Whether the session has an address that is not accepted.
    pub(crate) fn withholds(self, session: &Session) -> bool {
        match self {
            Self::Always => false,
            Self::Verified => session.email_verified() == Some(false) && session.email().is_some(),
        }
    }

    /// Whether an address that is not accepted is also the user's id, so that the session does not identify the user.
    pub(crate) fn withholds_subject(self, session: &Session) -> bool {
        self.withholds(session)
            && session
                .email()
                .is_some_and(|email| email.eq_ignore_ascii_case(session.subject()))
    }
}
