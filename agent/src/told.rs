//! What is wrong and has been said in the log, so that it is said once, when it begins, and when it is over.

use std::collections::BTreeSet;

/// What holds and has been told.
#[derive(Debug)]
pub(crate) struct Told<T>(BTreeSet<T>);

/// How what holds differs from what has been told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct News<T> {
    /// What holds now and was not told.
    pub begun: BTreeSet<T>,
    /// What was told and holds no more.
    pub ended: BTreeSet<T>,
}

impl<T> Default for Told<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Ord + Clone> Told<T> {
    /// Takes all that holds now, which counts as told afterwards.
    pub(crate) fn news(&mut self, now: impl IntoIterator<Item = T>) -> News<T> {
        let now: BTreeSet<T> = now.into_iter().collect();
        let (begun, ended) = (&now - &self.0, &self.0 - &now);
        self.0 = now;
        News { begun, ended }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_no_news() {
        let mut told = Told::default();
        for (now, begun, ended) in [
            (vec!["a"], vec!["a"], vec![]),
            (vec!["b", "a"], vec!["b"], vec![]),
            (vec!["b"], vec![], vec!["a"]),
            (vec!["a"], vec!["a"], vec!["b"]),
        ] {
            let expected = News { begun: begun.into_iter().collect(), ended: ended.into_iter().collect() };
            assert_eq!(told.news(now.clone()), expected, "{now:?}");
        }
    }
}
