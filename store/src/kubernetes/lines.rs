//! Makes lines of the pieces that a watch arrives in.

/// One object is 1.5 MB in etcd at most, and a definition may have it said in more words.
const LONGEST: usize = 16 * 1024 * 1024;

/// The beginning of a line whose end has not arrived.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

/// A line has no end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Lines {
    /// Hands over every line that ends in this piece, in order, without its end.
    pub(super) fn feed(
        &mut self,
        mut piece: &[u8],
        mut line: impl FnMut(&[u8]),
    ) -> Result<(), TooLong> {
        while let Some(end) = piece.iter().position(|&byte| byte == b'\n') {
            let (head, tail) = piece.split_at(end);
            if self.begun.is_empty() {
                line(head);
            } else {
                self.begun.extend_from_slice(head);
                line(&self.begun);
                // A long line is rare: its memory is not kept.
                self.begun = Vec::new();
            }
            piece = tail.get(1..).unwrap_or_default();
        }
        if self.begun.len() + piece.len() > LONGEST {
            return Err(TooLong);
        }
        self.begun.extend_from_slice(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut(
            text in "[ab\n]{0,60}",
            cuts in prop::collection::vec(0_usize..8, 0..60),
        ) {
            let mut lines = Lines::default();
            let mut got = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                lines.feed(piece, |line| got.push(line.to_vec())).unwrap();
                rest = tail;
            }
            lines.feed(rest, |line| got.push(line.to_vec())).unwrap();

            let mut whole: Vec<&[u8]> = text.as_bytes().split(|&b| b == b'\n').collect();
            whole.pop();
            prop_assert_eq!(got, whole);
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut lines = Lines::default();
        let piece = vec![b'a'; LONGEST];

        assert_eq!(lines.feed(&piece, |_| {}), Ok(()));
        assert_eq!(lines.feed(b"a", |_| {}), Err(TooLong));
    }
}
