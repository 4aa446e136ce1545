//! A document in blocks, so that of one with ten thousand gateways the next costs what changed and not what there is.

use std::cmp::Ordering;
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::memory_file::{MemoryFile, Stretch};
use crate::gateway::{Entry, GatewayName};

/// A block is ended when it is this long.
const BLOCK_BYTES: usize = 64 * 1024;
/// Blocks that are not in a file and together are this long, are put into one.
const FILE_BYTES: usize = 4 * BLOCK_BYTES;

/// A text in pieces that other texts may share. Cheap to clone.
#[derive(Clone, Default)]
pub struct Text {
    pieces: Arc<[Piece]>,
    len: usize,
}

/// Where some of a text lies.
#[derive(Clone)]
pub enum Piece {
    Bytes(Bytes),
    File(Stretch),
}

impl Text {
    /// In bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the two are one in memory.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pieces, &other.pieces)
    }

    /// One after the other they are the text; none is empty.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

impl Piece {
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(stretch) => stretch.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// # Errors
    /// The system's, about a file.
    pub fn to_bytes(&self) -> io::Result<Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::File(stretch) => Ok(stretch.to_vec()?.into()),
        }
    }
}

impl FromIterator<Piece> for Text {
    fn from_iter<T: IntoIterator<Item = Piece>>(pieces: T) -> Self {
        let mut joined: Vec<Piece> = Vec::new();
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            let both = match (joined.last(), &piece) {
                (Some(Piece::File(last)), Piece::File(next)) => last.join(next),
                _ => None,
            };
            match (both, joined.last_mut()) {
                (Some(both), Some(last)) => *last = Piece::File(both),
                _ => joined.push(piece),
            }
        }
        Self {
            len: joined.iter().map(Piece::len).sum(),
            pieces: joined.into(),
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        [Piece::Bytes(text.into())].into_iter().collect()
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        [Piece::Bytes(Bytes::from_static(text.as_bytes()))]
            .into_iter()
            .collect()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A piece ends where a gateway does.
        self.pieces.iter().try_for_each(|piece| {
            let bytes = piece.to_bytes().map_err(|_| fmt::Error)?;
            f.write_str(&String::from_utf8_lossy(&bytes))
        })
    }
}

impl fmt::Debug for Text {
    /// Without what it says, which may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} pieces", self.len, self.pieces.len())
    }
}

/// What a document's gateways are ordered by: the number of the profile in the order of the templates, and the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) profile: usize,
    pub(super) name: GatewayName,
}

/// Some gateways, and whatever stands between them.
pub(super) struct Block {
    text: Piece,
    gateways: Vec<Written>,
}

/// Where a gateway stands in its block.
#[derive(Debug, Clone)]
struct Written {
    place: Place,
    start: usize,
    end: usize,
}

/// What becomes of a gateway: `None`, it goes.
pub(super) type Changed<'a> = (Place, Option<&'a Arc<Entry>>);

/// Writes blocks.
pub(super) struct Writer {
    limit: usize,
    ended: Vec<Arc<Block>>,
    text: String,
    gateways: Vec<Written>,
    /// Of the blocks that are ended, once there is one.
    file: Option<MemoryFile>,
}

impl Writer {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            limit: BLOCK_BYTES,
            ended: Vec::new(),
            text: String::with_capacity(capacity.min(BLOCK_BYTES)),
            gateways: Vec::new(),
            file: None,
        }
    }

    pub(super) fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Of what stands between gateways.
    pub(super) fn text(&mut self) -> &mut String {
        &mut self.text
    }

    pub(super) fn gateway(&mut self, place: Place, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        let end = self.text.len();
        self.gateways.push(Written { place, start, end });
        self.end_if_long();
    }

    /// Blocks that were written by another.
    pub(super) fn append(&mut self, blocks: Vec<Arc<Block>>) {
        if !self.text.is_empty() {
            self.end();
        }
        self.ended.extend(blocks);
    }

    pub(super) fn finish(mut self) -> Vec<Arc<Block>> {
        if !self.text.is_empty() {
            self.end();
        }
        self.ended
    }

    fn end_if_long(&mut self) {
        if self.text.len() < self.limit {
            return;
        }
        if self.file.is_none() {
            self.file = MemoryFile::create().ok();
        }
        let stretch = self.file.as_mut().map(|file| file.append(self.text.as_bytes()));
        match stretch {
            Some(Ok(stretch)) => {
                self.text.clear();
                self.push(Piece::File(stretch));
            }
            Some(Err(_)) | None => self.end(),
        }
    }

    fn end(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.shrink_to_fit();
        self.push(Piece::Bytes(text.into()));
    }

    fn push(&mut self, text: Piece) {
        let mut gateways = std::mem::take(&mut self.gateways);
        gateways.shrink_to_fit();
        self.ended.push(Arc::new(Block { text, gateways }));
    }
}

/// Puts the blocks into a file that are in none, if they are many.
pub(super) fn gather(blocks: &mut [Arc<Block>]) {
    let bytes = |block: &Arc<Block>| match &block.text {
        Piece::Bytes(bytes) => Some(bytes.clone()),
        Piece::File(_) => None,
    };
    if blocks.iter().filter_map(bytes).map(|bytes| bytes.len()).sum::<usize>() < FILE_BYTES {
        return;
    }
    let Ok(mut file) = MemoryFile::create() else {
        return;
    };
    for block in blocks {
        if let Some(text) = bytes(block)
            && let Ok(stretch) = file.append(&text)
        {
            *block = Arc::new(Block {
                text: Piece::File(stretch),
                gateways: block.gateways.clone(),
            });
        }
    }
}

/// The blocks after these, with the changes, which are in order. `None` where that cannot be done block by block: a profile's first gateway may come with
/// words around it.
pub(super) fn next_blocks(
    blocks: &[Arc<Block>],
    changes: Vec<Changed<'_>>,
    write: impl Fn(&mut String, &Place, &Entry),
) -> Option<Vec<Arc<Block>>> {
    let mut next = Vec::with_capacity(blocks.len() + 1);
    let mut changes = changes.into_iter().peekable();
    for (at, block) in blocks.iter().enumerate() {
        let Some(last) = block.gateways.last() else {
            next.push(Arc::clone(block));
            continue;
        };
        let first_after = blocks[at + 1..].iter().find_map(|block| block.gateways.first());
        let mut of_block = Vec::new();
        while let Some(change) = changes.next_if(|(place, _)| {
            first_after.is_none_or(|after| {
                let is_of_next = after.place.profile == place.profile && last.place.profile != place.profile;
                *place < after.place && !is_of_next
            })
        }) {
            of_block.push(change);
        }
        if of_block.is_empty() {
            next.push(Arc::clone(block));
            continue;
        }
        let written = block.with(of_block, &write)?;
        // What stands after its last gateway may be a block by itself; what stood before its first must not.
        if written.first().is_none_or(|block| block.gateways.is_empty()) {
            return None;
        }
        next.extend(written);
    }
    changes.next().is_none().then_some(next)
}

impl Block {
    pub(super) fn text(&self) -> Piece {
        self.text.clone()
    }

    /// How many of its gateways are of each profile.
    pub(super) fn profiles(&self) -> impl Iterator<Item = usize> {
        self.gateways.iter().map(|gateway| gateway.place.profile)
    }

    fn with(&self, changes: Vec<Changed<'_>>, write: impl Fn(&mut String, &Place, &Entry)) -> Option<Vec<Arc<Block>>> {
        let text = self.text.to_bytes().ok()?;
        let text = std::str::from_utf8(&text).ok()?;
        let mut writer = Writer {
            // Gateways that are added one by one should not make a short block each.
            limit: 2 * BLOCK_BYTES,
            ..Writer::new(0)
        };
        writer.text.reserve(text.len() + BLOCK_BYTES / 32);
        let mut copied = 0;
        let mut changes = changes.into_iter().peekable();
        let put = |writer: &mut Writer, place: Place, entry: Option<&Arc<Entry>>| {
            if let Some(entry) = entry {
                let at = place.clone();
                writer.gateway(place, |text| write(text, &at, entry));
            }
        };
        for gateway in &self.gateways {
            while let Some((place, entry)) = changes.next_if(|(place, _)| *place < gateway.place) {
                // Else it comes right after the one before, which is of its profile.
                if place.profile == gateway.place.profile {
                    writer.push_str(text.get(copied..gateway.start)?);
                    copied = gateway.start;
                }
                put(&mut writer, place, entry);
            }
            writer.push_str(text.get(copied..gateway.start)?);
            copied = gateway.end;
            match changes.peek().map(|(place, _)| place.cmp(&gateway.place)) {
                Some(Ordering::Equal) => {
                    let (place, entry) = changes.next()?;
                    put(&mut writer, place, entry);
                }
                _ => {
                    let same = text.get(gateway.start..gateway.end)?;
                    writer.gateway(gateway.place.clone(), |text| text.push_str(same));
                }
            }
        }
        for (place, entry) in changes {
            put(&mut writer, place, entry);
        }
        writer.push_str(text.get(copied..)?);
        Some(writer.finish())
    }
}
