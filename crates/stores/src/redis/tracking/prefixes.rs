//! The prefixes of the keys whose changes Redis is asked to announce.

/// Returns the fewest prefixes that cover all of `prefixes`: Redis refuses prefixes that overlap.
pub(super) fn covering(prefixes: &[&str]) -> Vec<String> {
    let mut covering: Vec<&str> = Vec::new();
    let mut sorted = prefixes.to_vec();
    // Sorted, a prefix comes before those that begin with it.
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
