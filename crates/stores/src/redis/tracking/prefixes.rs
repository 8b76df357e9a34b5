//! What the keys begin with of which Redis is to say when they change.

/// The fewest prefixes that cover all of `prefixes`: Redis refuses two of which one begins with the other.
pub(super) fn covering(prefixes: &[&str]) -> Vec<String> {
    let mut covering: Vec<&str> = Vec::new();
    let mut sorted = prefixes.to_vec();
    // One that begins with another comes after it.
    sorted.sort_unstable();
    for prefix in sorted {
        if !covering.iter().any(|known| prefix.starts_with(known)) {
            covering.push(prefix);
        }
    }
    covering.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::covering;

    #[test]
    fn a_prefix_that_another_covers_is_left_out() {
        for (given, left) in [
            (&["auth:"][..], &["auth:"][..]),
            (&["auth:", "auth:"], &["auth:"]),
            (&["auth:", "better-auth:"], &["auth:", "better-auth:"]),
            (&["auth:b:", "auth:a:", "auth:"], &["auth:"]),
            (&["auth:", ""], &[""]),
        ] {
            assert_eq!(covering(given), left, "{given:?}");
        }
    }
}
