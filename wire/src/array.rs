//! Parts of arrays, at places that are known when the code is compiled.
//!
//! A part is copied as a whole: a compiler that sees bytes put together one by one does not always
//! find the word they make.

/// `N` bytes of `whole` from `AT` on.
#[must_use]
#[inline(always)]
pub const fn part<const AT: usize, const N: usize, const M: usize>(whole: &[u8; M]) -> [u8; N] {
    const { assert!(AT + N <= M) };
    match whole.split_at(AT).1.first_chunk() {
        Some(part) => *part,
        None => unreachable!(),
    }
}

/// Puts `part` into `whole` at `AT`.
#[inline(always)]
pub const fn put<const AT: usize, const N: usize, const M: usize>(
    whole: &mut [u8; M],
    part: [u8; N],
) {
    const { assert!(AT + N <= M) };
    match whole.split_at_mut(AT).1.first_chunk_mut() {
        Some(place) => *place = part,
        None => unreachable!(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_where_it_was_put() {
        let mut whole = [0; 9];

        put::<3, 2, 9>(&mut whole, [7, 8]);

        assert_eq!(whole, [0, 0, 0, 7, 8, 0, 0, 0, 0]);
        assert_eq!(part::<3, 3, 9>(&whole), [7, 8, 0]);
    }
}
