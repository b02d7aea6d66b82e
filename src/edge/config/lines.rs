//! Which line a byte of a text is in.

/// Where each line of a text begins.
#[derive(Debug)]
pub(super) struct Lines(Vec<usize>);

impl Lines {
    /// The lines of a text, parted by `\n`.
    pub fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The line, from 0, that a byte is in, and the byte at which it begins.
    pub fn at(&self, offset: usize) -> (usize, usize) {
        let index = self.0.partition_point(|&begin| begin <= offset).saturating_sub(1);
        (index, self.0.get(index).copied().unwrap_or(0))
    }
}
