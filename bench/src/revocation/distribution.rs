//! The distribution of how late answers were.

use std::time::Duration;

/// A set of durations.
#[derive(Clone, Debug, Default)]
pub(super) struct Distribution(Vec<Duration>);

/// How long after a change the last answer permitted a request, and the last WebSocket ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Delays {
    pub(super) answers: Distribution,
    pub(super) sockets: Distribution,
}

impl Delays {
    pub(super) fn add(&mut self, other: Self) {
        self.answers.0.extend(other.answers.0);
        self.sockets.0.extend(other.sockets.0);
    }
}

impl Distribution {
    pub(super) fn push(&mut self, late: Duration) {
        self.0.push(late);
    }

    /// Returns the title, the number of durations, the median, the 99th percentile and the maximum, in milliseconds.
    pub(super) fn row(mut self, title: &str) -> [String; 5] {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let at = |share: usize| {
            let late = self.0.get(last * share / 100).copied().unwrap_or_default();
            format!("{:.1}", late.as_secs_f64() * 1000.0)
        };
        let count = self.0.len().to_string();
        [title.to_owned(), count, at(50), at(99), at(100)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_median_and_the_maximum() {
        let mut late = Distribution::default();
        (1..=101)
            .rev()
            .for_each(|ms| late.push(Duration::from_millis(ms)));
        assert_eq!(late.row("x"), ["x", "101", "51.0", "100.0", "101.0"]);
    }
}
