//! The text of a file, and lines and columns in it.

use std::sync::Arc;

/// A text that knows where its lines begin, so that ten thousand places in it are found quickly.
#[derive(Clone, Debug)]
pub struct Text {
    text: Arc<str>,
    line_starts: Arc<[usize]>,
}

impl Text {
    /// The text of a file.
    pub fn new(text: &str) -> Text {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Text { text: text.into(), line_starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Line and column of a place given in bytes, both counted from 1, the column in characters.
    pub fn position(&self, at: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= at).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..at).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let text = Text::new("ab\n\u{e9}x\n");
        assert_eq!(text.position(0), (1, 1));
        assert_eq!(text.position(2), (1, 3));
        assert_eq!(text.position(3), (2, 1));
        assert_eq!(text.position(5), (2, 2), "in characters, not in bytes");
        assert_eq!(text.position(7), (3, 1));
        assert_eq!(Text::new("").position(0), (1, 1));
    }
}
