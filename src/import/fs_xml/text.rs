//! The text that FreeSWITCH's parser would see, and where each of its lines stands.

use std::sync::Arc;

use super::super::{ImportError, MAX_BYTES, Place};

/// What the preprocessor makes of files: one text, which remembers where it came from.
#[derive(Default)]
pub(super) struct Text {
    pub(super) text: String,
    /// Sorted by their start.
    pieces: Vec<Piece>,
}

/// A piece of one file. Every line of the file has one in the text, perhaps empty.
struct Piece {
    start: usize,
    file: Arc<str>,
    /// The line that the piece begins with.
    line: usize,
}

impl Text {
    /// What is pushed next is from this line of this file.
    pub(super) fn begin(&mut self, file: &Arc<str>, line: usize) {
        let piece = Piece {
            start: self.text.len(),
            file: file.clone(),
            line,
        };
        match self.pieces.last_mut() {
            Some(last) if last.start == piece.start => *last = piece,
            _ => self.pieces.push(piece),
        }
    }

    pub(super) fn push(&mut self, text: &str) -> Result<(), ImportError> {
        if self.text.len() as u64 + text.len() as u64 > MAX_BYTES {
            let file = self.pieces.last().map_or("", |piece| &piece.file);
            return Err(ImportError::too_large(file));
        }
        self.text.push_str(text);
        Ok(())
    }

    pub(super) fn places(&self) -> Places<'_> {
        Places {
            text: self,
            next_piece: 0,
            at: 0,
            place: Place {
                file: Arc::from(""),
                line: 1,
            },
        }
    }
}

/// Finds the places of offsets that only grow, without counting the lines of a file anew for each.
pub(super) struct Places<'a> {
    text: &'a Text,
    next_piece: usize,
    at: usize,
    place: Place,
}

impl Places<'_> {
    pub(super) fn at(&mut self, offset: usize) -> Place {
        while let Some(piece) = self.text.pieces.get(self.next_piece)
            && piece.start <= offset
        {
            self.place = Place {
                file: piece.file.clone(),
                line: piece.line,
            };
            self.at = piece.start;
            self.next_piece += 1;
        }
        let passed = self.text.text.as_bytes().get(self.at..offset).unwrap_or_default();
        self.place.line += memchr::memchr_iter(b'\n', passed).count();
        self.at = self.at.max(offset);
        self.place.clone()
    }
}
