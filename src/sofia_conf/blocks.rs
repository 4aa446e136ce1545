//! A document in blocks, so that of one with ten thousand gateways the next costs what changed and not what there is.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::gateway::{Entry, GatewayName};

/// A block is ended when it is this long.
const BLOCK_BYTES: usize = 64 * 1024;

/// A text in pieces that other texts may share. Cheap to clone.
#[derive(Clone, Default)]
pub struct Text {
    pieces: Arc<[Bytes]>,
    len: usize,
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
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }
}

impl FromIterator<Bytes> for Text {
    fn from_iter<T: IntoIterator<Item = Bytes>>(pieces: T) -> Self {
        let pieces: Arc<[Bytes]> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let len = pieces.iter().map(Bytes::len).sum();
        Self { pieces, len }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        [Bytes::from(text)].into_iter().collect()
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        [Bytes::from_static(text.as_bytes())].into_iter().collect()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A piece ends where a gateway does.
        self.pieces
            .iter()
            .try_for_each(|piece| f.write_str(&String::from_utf8_lossy(piece)))
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
#[derive(Debug, Clone, Default)]
pub(super) struct Block {
    text: Bytes,
    gateways: Vec<Written>,
}

/// Where a gateway stands in its block.
#[derive(Debug, Clone)]
struct Written {
    place: Place,
    start: u32,
    end: u32,
}

/// What becomes of a gateway: `None`, it goes.
pub(super) type Changed<'a> = (Place, Option<&'a Arc<Entry>>);

/// Writes blocks.
pub(super) struct Writer {
    limit: usize,
    ended: Vec<Arc<Block>>,
    text: String,
    gateways: Vec<Written>,
}

impl Writer {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            limit: BLOCK_BYTES,
            ended: Vec::new(),
            text: String::with_capacity(capacity.min(BLOCK_BYTES)),
            gateways: Vec::new(),
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
        let start = offset(self.text.len());
        write(&mut self.text);
        let end = offset(self.text.len());
        self.gateways.push(Written { place, start, end });
        if self.text.len() >= self.limit {
            // Another one will be about as long.
            let next = String::with_capacity(self.text.capacity());
            self.end();
            self.text = next;
        }
    }

    /// Blocks that were written by another.
    pub(super) fn append(&mut self, blocks: Vec<Arc<Block>>) {
        self.end();
        self.ended.extend(blocks);
    }

    pub(super) fn finish(mut self) -> Vec<Arc<Block>> {
        self.end();
        self.ended
    }

    fn end(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let mut text = std::mem::take(&mut self.text);
        text.shrink_to_fit();
        let mut gateways = std::mem::take(&mut self.gateways);
        gateways.shrink_to_fit();
        self.ended.push(Arc::new(Block {
            text: text.into(),
            gateways,
        }));
    }
}

/// Of a block, which is ended long before there is one beyond 4 GiB.
fn offset(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
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
        if written.iter().any(|block| block.gateways.is_empty()) {
            return None;
        }
        next.extend(written);
    }
    changes.next().is_none().then_some(next)
}

impl Block {
    pub(super) fn text(&self) -> Bytes {
        self.text.clone()
    }

    /// How many of its gateways are of each profile.
    pub(super) fn profiles(&self) -> impl Iterator<Item = usize> {
        self.gateways.iter().map(|gateway| gateway.place.profile)
    }

    fn with(&self, changes: Vec<Changed<'_>>, write: impl Fn(&mut String, &Place, &Entry)) -> Option<Vec<Arc<Block>>> {
        let text = std::str::from_utf8(&self.text).ok()?;
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
                    writer.push_str(text.get(copied..gateway.start as usize)?);
                    copied = gateway.start as usize;
                }
                put(&mut writer, place, entry);
            }
            writer.push_str(text.get(copied..gateway.start as usize)?);
            copied = gateway.end as usize;
            match changes.peek().map(|(place, _)| place.cmp(&gateway.place)) {
                Some(Ordering::Equal) => {
                    let (place, entry) = changes.next()?;
                    put(&mut writer, place, entry);
                }
                _ => {
                    let same = text.get(gateway.start as usize..gateway.end as usize)?;
                    writer.gateway(gateway.place.clone(), |text| text.push_str(same));
                }
            }
        }
        for (place, entry) in changes {
            put(&mut writer, place, entry);
        }
        // What ends the document or the profile stays with its last gateways.
        match (text.get(copied..)?, writer.ended.last_mut()) {
            ("", _) => {}
            (rest, Some(last)) if writer.text.is_empty() => {
                let last = Arc::make_mut(last);
                last.text = [&last.text, rest.as_bytes()].concat().into();
            }
            (rest, _) => writer.push_str(rest),
        }
        Some(writer.finish())
    }
}
