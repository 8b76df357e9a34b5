//! Who of those with a session may enter, and what is written of them.

use gate::{EmailHeader, IdentityRules};

use super::raw::Reader;

/// The rules about people: `EMAIL_HEADER` and `ALLOW_ANONYMOUS`.
pub(super) fn rules(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> IdentityRules {
    let words = [
        ("verified", EmailHeader::Verified),
        ("always", EmailHeader::Always),
    ];
    let email = reader.choice("EMAIL_HEADER", EmailHeader::Verified, &words);
    if email == EmailHeader::Always {
        warnings.push(
            "EMAIL_HEADER is `always`: an e-mail address that nobody has verified is written as identity, so where \
             sign-up is open, anybody can be somebody else to a service that knows its users by address"
                .to_owned(),
        );
    }
    IdentityRules {
        email,
        allow_anonymous: reader.switch("ALLOW_ANONYMOUS", true),
    }
}
