//! What a client's certificate says about the client.

/// The names in a client's certificate, which a trusted authority has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    names: Box<[Box<str>]>,
}

impl ClientCertificate {
    /// Takes the names as conditions spell them: the subject in the form of RFC 4514, and the alternative names with their kind,
    /// such as `DNS:billing.internal`.
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

    /// All names, for messages.
    pub(crate) fn words(&self) -> String {
        self.names.join(" and ")
    }
}
