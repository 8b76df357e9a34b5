//! The methods of a route.

use std::fmt;

use http::Method;

/// The methods of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Methods(Vec<Method>);

impl Methods {
    /// Every method.
    pub const ANY: Self = Self(Vec::new());

    /// These methods. `GET` includes `HEAD`, which returns nothing that `GET` does not (RFC 9110 section 9.3.2). An empty list
    /// means every method.
    pub fn new(methods: impl IntoIterator<Item = Method>) -> Self {
        let mut methods: Vec<_> = methods.into_iter().collect();
        if methods.contains(&Method::GET) {
            methods.push(Method::HEAD);
        }
        methods.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        methods.dedup();
        Self(methods)
    }

    /// Whether a request with this method matches.
    pub fn has(&self, method: &Method) -> bool {
        self.is_any() || self.0.contains(method)
    }

    /// Whether every method matches.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a key that sorts the most specific methods first: fewer before more, counting the `HEAD` that `GET` includes, and
    /// every method last.
    pub(super) fn rank(&self) -> usize {
        match self.0.len() {
            0 => usize::MAX,
            len => len,
        }
    }

    /// Whether both match a common method.
    pub(super) fn overlap(&self, other: &Self) -> bool {
        self.is_any() || other.is_any() || self.0.iter().any(|method| other.has(method))
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            return f.write_str("any");
        }
        let is_brought = |method: &Method| *method == Method::HEAD && self.has(&Method::GET);
        let named = self.0.iter().filter(|method| !is_brought(method));
        let names: Vec<_> = named.map(Method::as_str).collect();
        f.write_str(&names.join(", "))
    }
}
