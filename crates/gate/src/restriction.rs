//! What a calling proxy demands of a user beyond a valid session.

/// Which users a calling proxy lets enter, by their e-mail addresses and groups. The default lets every user enter.
///
/// The rules are those of oauth2-proxy for the parameters `allowed_emails`, `allowed_email_domains` and `allowed_groups` of its
/// endpoint `/oauth2/auth` (7.14, `oauthproxy.go`, `authOnlyAuthorize`): lists that are given more than once are one list, an
/// empty list demands nothing, a user must satisfy all lists, and texts are compared byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restriction {
    emails: Vec<String>,
    email_domains: Vec<String>,
    groups: Vec<String>,
    names_groups: bool,
}

impl Restriction {
    /// Adds addresses, separated by commas. The user's address must be one of them.
    pub fn allow_emails(&mut self, list: &str) {
        self.emails.extend(entries(list));
    }

    /// Adds domains, separated by commas. The user's address must be in one of them.
    ///
    /// `example.com` is that domain alone; `.example.com` and `*.example.com` are that domain and all below it.
    pub fn allow_email_domains(&mut self, list: &str) {
        self.email_domains.extend(entries(list));
    }

    /// Adds groups, separated by commas. The user must be in one of them.
    pub fn allow_groups(&mut self, list: &str) {
        self.names_groups = true;
        self.groups.extend(entries(list));
    }

    /// Whether groups were given, even an empty list.
    pub fn names_groups(&self) -> bool {
        self.names_groups
    }

    /// Whether every user satisfies it.
    pub fn is_empty(&self) -> bool {
        self.emails.is_empty() && self.email_domains.is_empty() && self.groups.is_empty()
    }

    /// Whether a user with this address and these groups satisfies the restriction. A user without an address satisfies only a
    /// restriction without addresses and domains.
    pub(crate) fn admits(&self, email: Option<&str>, groups: impl FnOnce() -> Vec<String>) -> bool {
        let is_in_one = || groups().iter().any(|group| self.groups.contains(group));
        self.admits_address(email) && (self.groups.is_empty() || is_in_one())
    }

    fn admits_address(&self, email: Option<&str>) -> bool {
        if self.emails.is_empty() && self.email_domains.is_empty() {
            return true;
        }
        let Some(email) = email else {
            return false;
        };
        let by_email = self.emails.is_empty() || self.emails.iter().any(|entry| entry == email);
        by_email && (self.email_domains.is_empty() || self.admits_domain(email))
    }

    fn admits_domain(&self, email: &str) -> bool {
        // An address with a second `@` has no domain that all readers agree on.
        let Some((_, domain)) = email.split_once('@') else {
            return false;
        };
        let plain = !domain.is_empty() && !domain.contains(['@', ':']);
        plain && self.email_domains.iter().any(|entry| covers(entry, domain))
    }
}

fn entries(list: &str) -> impl Iterator<Item = String> {
    let entries = list.split(',').filter(|entry| !entry.is_empty());
    entries.map(str::to_owned)
}

/// Whether an entry of the list is this domain, or one above it with a leading dot or star.
///
/// oauth2-proxy allows a port in an entry, and compares it with the port of an address, which has none: `:*` allows any port.
fn covers(entry: &str, domain: &str) -> bool {
    let entry = entry.strip_suffix(":*").unwrap_or(entry);
    let above = entry
        .strip_prefix("*.")
        .or_else(|| entry.strip_prefix('.'))
        .filter(|above| !above.is_empty());
    let Some(above) = above else {
        return entry == domain;
    };
    let below = domain
        .strip_suffix(above)
        .is_some_and(|rest| rest.ends_with('.'));
    domain == above || below
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emails(list: &str) -> Restriction {
        let mut restriction = Restriction::default();
        restriction.allow_emails(list);
        restriction
    }

    fn domains(list: &str) -> Restriction {
        let mut restriction = Restriction::default();
        restriction.allow_email_domains(list);
        restriction
    }

    #[test]
    fn addresses_are_compared_byte_for_byte() {
        let list = emails("ada@example.com,,eve@example.com");
        assert!(list.admits_address(Some("ada@example.com")));
        assert!(list.admits_address(Some("eve@example.com")));
        for other in [
            "ADA@example.com",
            "ada@EXAMPLE.com",
            "ada@example.com.evil.example",
            " ada@example.com",
            "a",
            "",
        ] {
            assert!(!list.admits_address(Some(other)), "{other}");
        }
        assert!(!list.admits_address(None));
    }

    #[test]
    fn a_domain_entry_with_a_dot_or_a_star_covers_subdomains() {
        for (list, address, admitted) in [
            ("example.com", "ada@example.com", true),
            ("example.com", "ada@eu.example.com", false),
            ("example.com", "ada@notexample.com", false),
            ("example.com", "ada@example.com.evil.example", false),
            ("example.com", "ada@evil.example@example.com", false),
            ("example.com", "example.com", false),
            ("example.com", "ada@EXAMPLE.com", false),
            (".example.com", "ada@example.com", true),
            (".example.com", "ada@eu.example.com", true),
            (".example.com", "ada@notexample.com", false),
            ("*.example.com", "ada@example.com", true),
            ("*.example.com", "ada@a.b.example.com", true),
            ("*.example.com", "ada@notexample.com", false),
            ("a.example,example.com:*", "ada@example.com", true),
            ("example.com:443", "ada@example.com", false),
            ("*", "ada@example.com", false),
            (".", "ada@example.", false),
            ("*.", "ada@", false),
            ("com", "ada@example.com", false),
        ] {
            assert_eq!(
                domains(list).admits_address(Some(address)),
                admitted,
                "{list}: {address}"
            );
        }
        assert!(!domains("example.com").admits_address(None));
    }

    #[test]
    fn both_lists_must_match_and_empty_lists_match_everything() {
        let mut both = emails("ada@example.com,ada@other.example");
        both.allow_email_domains("example.com");
        assert!(both.admits_address(Some("ada@example.com")));
        assert!(!both.admits_address(Some("ada@other.example")));
        assert!(!both.admits_address(Some("eve@example.com")));
        for empty in [Restriction::default(), emails(""), emails(","), domains("")] {
            assert!(empty.admits_address(None));
        }
        let mut twice = emails("ada@example.com");
        twice.allow_emails("eve@example.com");
        assert!(
            twice.admits_address(Some("ada@example.com"))
                && twice.admits_address(Some("eve@example.com"))
        );
    }
}
