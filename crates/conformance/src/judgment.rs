//! The results of a case.

/// What was observed if the case holds, otherwise the finding.
pub(crate) type Judgment = Result<String, Finding>;

/// Why a case does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The case does not hold.
    Broken(String),
    /// The result is safe, but not as it should be.
    Weak(String),
}

/// How the gateway must refuse a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// With a client error, and by closing the connection.
    Closing,
    /// With a client error.
    Open,
}

/// Returns the finding that a case does not hold.
pub(crate) fn broken<T>(why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Broken(why.into()))
}

/// Returns the finding that a case is safe, but not as it should be.
pub(crate) fn weak<T>(why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Weak(why.into()))
}

/// Judges several spellings of the same thing. A broken one outweighs weak ones.
///
/// It stops after four failures: a gateway that hangs costs a timeout for each.
pub(crate) fn each<V: Spelling>(
    spellings: impl IntoIterator<Item = V>,
    mut judge: impl FnMut(&V) -> Judgment,
) -> Judgment {
    let (mut bad, mut weak_ones, mut last, mut count) =
        (Vec::new(), Vec::new(), String::new(), 0_usize);
    for spelling in spellings {
        count += 1;
        match judge(&spelling) {
            Ok(seen) => last = seen,
            Err(Finding::Broken(why)) => bad.push((spelling.shown(), why)),
            Err(Finding::Weak(why)) => weak_ones.push((spelling.shown(), why)),
        }
        if bad.len() >= 4 {
            break;
        }
    }
    let summary = |found: &[(String, String)]| {
        let [(first, why), others @ ..] = found else {
            return String::new();
        };
        let others: String = others
            .iter()
            .map(|(shown, _)| format!("; also {shown}"))
            .collect();
        format!("{first}: {why}{others}")
    };
    if !bad.is_empty() {
        return broken(summary(&bad));
    }
    if !weak_ones.is_empty() {
        return weak(summary(&weak_ones));
    }
    Ok(format!("{count} spellings; last: {last}"))
}

/// A spelling, with a name for messages.
pub(crate) trait Spelling {
    fn shown(&self) -> String;
}

impl Spelling for &str {
    fn shown(&self) -> String {
        crate::latin::excerpt(self, 44)
    }
}

impl Spelling for String {
    fn shown(&self) -> String {
        crate::latin::excerpt(self, 44)
    }
}

impl Spelling for Vec<String> {
    fn shown(&self) -> String {
        crate::latin::excerpt(self.first().map_or("plain", String::as_str), 44)
    }
}

impl<V> Spelling for (&str, V) {
    fn shown(&self) -> String {
        self.0.to_owned()
    }
}
