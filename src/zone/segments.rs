//! Rows or octets in pieces, so that the first of them can be let go of while the last ones are still needed.
//!
//! What a zone is built from would otherwise stand in memory beside all that is built from it. A position is a piece and a place in
//! it; what is appended together lies together. Knows nothing of zones.

use super::entry::position;

/// A growing list of `T` in pieces of 2^`BITS`.
#[derive(Debug)]
pub(super) struct Segments<T, const BITS: u32> {
    pieces: Vec<Vec<T>>,
}

/// Small rows: half a megabyte and more a piece, which an allocator gives back to the system.
pub(super) type Rows<T> = Segments<T, 16>;
/// Octets: a megabyte a piece.
pub(super) type Octets = Segments<u8, 20>;

impl<T, const BITS: u32> Default for Segments<T, BITS> {
    fn default() -> Segments<T, BITS> {
        Segments { pieces: Vec::new() }
    }
}

impl<T: Copy, const BITS: u32> Segments<T, BITS> {
    const PIECE: usize = 1 << BITS;

    /// Adds a row; its position. Positions of rows that are added one by one count from 0 without a gap.
    pub fn push(&mut self, row: T) -> u32 {
        self.append(&[row])
    }

    /// Adds rows that stay together, at most a piece full; where they begin.
    pub fn append(&mut self, rows: &[T]) -> u32 {
        debug_assert!(rows.len() <= Self::PIECE, "rows that lie together fit into a piece");
        match self.pieces.last() {
            Some(piece) if piece.len() + rows.len() <= Self::PIECE => {}
            // The first one grows, since most zones are small; whoever fills it will fill others.
            None => self.pieces.push(Vec::new()),
            Some(_) => self.pieces.push(Vec::with_capacity(Self::PIECE)),
        }
        let at = self.end();
        if let Some(piece) = self.pieces.last_mut() {
            piece.extend_from_slice(rows);
        }
        position(at)
    }

    /// One past the last row.
    pub fn end(&self) -> usize {
        match self.pieces.split_last() {
            Some((last, before)) => before.len() * Self::PIECE + last.len(),
            None => 0,
        }
    }

    /// The row at a position.
    pub fn get(&self, at: u32) -> T {
        self.from(at)[0]
    }

    /// The row at a position, to be changed.
    pub fn get_mut(&mut self, at: u32) -> &mut T {
        &mut self.pieces[at as usize / Self::PIECE][at as usize % Self::PIECE]
    }

    /// What begins at a position, up to the end of its piece.
    pub fn from(&self, at: u32) -> &[T] {
        &self.pieces[at as usize / Self::PIECE][at as usize % Self::PIECE..]
    }

    /// What begins at `at` and ends where the next begins that was appended, at `next`.
    pub fn between(&self, at: u32, next: u32) -> &[T] {
        let rest = self.from(at);
        let same_piece = at as usize / Self::PIECE == next as usize / Self::PIECE;
        if same_piece { &rest[..(next - at) as usize] } else { rest }
    }

    /// Lets go of all whole pieces before a position; nobody may ask for them again.
    pub fn forget_before(&mut self, at: u32) {
        let gone = self.pieces.iter_mut().take(at as usize / Self::PIECE);
        gone.for_each(|piece| *piece = Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Small = Segments<u8, 3>;

    #[test]
    fn what_is_appended_together_lies_together_and_is_found_again() {
        let mut octets = Small::default();
        let words: [&[u8]; 5] = [b"12345", b"678", b"", b"9abcdefg", b"h"];
        let at = words.map(|word| octets.append(word));
        assert_eq!(at, [0, 5, 8, 8, 16]);
        for (index, word) in words.iter().enumerate().filter(|(_, word)| !word.is_empty()) {
            let next = at.get(index + 1).copied().unwrap_or(17);
            assert_eq!(octets.between(at[index], next), *word);
        }
    }

    #[test]
    fn a_gap_at_the_end_of_a_piece_belongs_to_nobody() {
        let mut octets = Small::default();
        let (first, second) = (octets.append(b"12345"), octets.append(b"6789"));
        assert_eq!((first, second, octets.end()), (0, 8, 12));
        assert_eq!(octets.between(first, second), b"12345");
    }

    #[test]
    fn rows_one_by_one_have_no_gaps_and_only_whole_pieces_go() {
        let mut rows = Small::default();
        assert!((0..20).all(|row| rows.push(row) == u32::from(row)));
        rows.forget_before(15);
        assert!((8..20).all(|row| rows.get(row.into()) == row));
        assert!(rows.pieces[0].is_empty());
        *rows.get_mut(19) = 77;
        assert_eq!(rows.get(19), 77);
    }
}
