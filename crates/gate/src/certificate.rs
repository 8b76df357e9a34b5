//! What a client's certificate says of the client.

/// The names of a certificate that a client has shown, and that an authority has signed whose word counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    names: Box<[Box<str>]>,
}

impl ClientCertificate {
    /// With these names, spelled as conditions spell them: the subject in the form of RFC 4514, and the alternative names, each
    /// behind its kind, such as `DNS:billing.internal`.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names = names.into_iter().map(String::into_boxed_str);
        Self {
            names: names.collect(),
        }
    }

    /// Whether this is one of the names, byte for byte.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|other| **other == *name)
    }

    /// All names, for people.
    pub(crate) fn words(&self) -> String {
        self.names.join(" and ")
    }
}
