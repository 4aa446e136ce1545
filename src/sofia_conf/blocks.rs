//! Documents in blocks. With ten thousand gateways, a new version of a document rewrites only the blocks with changed
//! gateways and shares all others with the version before.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::gateway::{Entry, GatewayName};

/// A block is full at this length: some 60 gateways, so that one change copies little and a document has few pieces.
const BLOCK_BYTES: usize = 64 * 1024;

/// A text in pieces that can be shared with other texts. Cheap to clone.
#[derive(Clone, Default)]
pub struct Text {
    pieces: Arc<[Bytes]>,
    len: usize,
}

impl Text {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether both are the same text in memory.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pieces, &other.pieces)
    }

    /// Concatenated, these are the text. None is empty.
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
        // A piece never ends inside a character: it ends after a gateway.
        self.pieces
            .iter()
            .try_for_each(|piece| f.write_str(&String::from_utf8_lossy(piece)))
    }
}

impl fmt::Debug for Text {
    /// Without the text itself, which may contain passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} pieces", self.len, self.pieces.len())
    }
}

/// The order of gateways in a document: by profile, in the order of the templates, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SortKey {
    /// Position of the profile among all profiles of the templates.
    pub(super) profile: usize,
    pub(super) name: GatewayName,
}

/// Some gateways and the text around them.
#[derive(Clone, Default)]
pub(super) struct Block {
    text: Bytes,
    gateways: Vec<GatewaySpan>,
}

/// Where a gateway is in the text of its block, in bytes.
#[derive(Debug, Clone)]
struct GatewaySpan {
    key: SortKey,
    start: u32,
    end: u32,
}

/// A gateway to write, or to remove (`None`).
pub(super) type GatewayChange<'a> = (SortKey, Option<&'a Arc<Entry>>);

/// Writes a document block by block.
pub(super) struct BlockWriter {
    limit: usize,
    full: Vec<Arc<Block>>,
    text: Vec<u8>,
    gateways: Vec<GatewaySpan>,
}

impl BlockWriter {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            limit: BLOCK_BYTES,
            full: Vec::new(),
            text: Vec::with_capacity(capacity.min(BLOCK_BYTES)),
            gateways: Vec::new(),
        }
    }

    pub(super) fn push_str(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// The text of the current block, for what is not a gateway of ours.
    pub(super) fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    pub(super) fn gateway(&mut self, key: SortKey, write: impl FnOnce(&mut Vec<u8>)) {
        let start = offset(self.text.len());
        write(&mut self.text);
        let end = offset(self.text.len());
        self.gateways.push(GatewaySpan { key, start, end });
        if self.text.len() >= self.limit {
            // The next block will be about as long.
            let next = Vec::with_capacity(self.text.capacity());
            self.finish_block();
            self.text = next;
        }
    }

    /// Appends blocks of another writer.
    pub(super) fn append(&mut self, blocks: Vec<Arc<Block>>) {
        self.finish_block();
        self.full.extend(blocks);
    }

    /// Finishes with a text that stays in the block of the last gateway: the end of the profile or the document.
    fn finish_with(mut self, end: &[u8]) -> Vec<Arc<Block>> {
        match self.full.last_mut().filter(|_| self.text.is_empty() && !end.is_empty()) {
            Some(last) => {
                let last = Arc::make_mut(last);
                last.text = [&last.text, end].concat().into();
            }
            None => self.text.extend_from_slice(end),
        }
        self.finish()
    }

    pub(super) fn finish(mut self) -> Vec<Arc<Block>> {
        self.finish_block();
        self.full
    }

    fn finish_block(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let mut text = std::mem::take(&mut self.text);
        text.shrink_to_fit();
        let mut gateways = std::mem::take(&mut self.gateways);
        gateways.shrink_to_fit();
        self.full.push(Arc::new(Block {
            text: text.into(),
            gateways,
        }));
    }
}

/// An offset in a block. Blocks stay far below 4 GiB.
fn offset(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Applies sorted changes to blocks. `None` if blocks alone are not enough: a profile's first gateway may need text of
/// the template around it.
pub(super) fn apply_changes(
    blocks: &[Arc<Block>],
    changes: Vec<GatewayChange<'_>>,
    write: impl Fn(&mut Vec<u8>, &SortKey, &Entry),
) -> Option<Vec<Arc<Block>>> {
    let mut next = Vec::with_capacity(blocks.len() + 1);
    let mut changes = changes.into_iter().peekable();
    for (at, block) in blocks.iter().enumerate() {
        let Some(last) = block.gateways.last() else {
            next.push(Arc::clone(block));
            continue;
        };
        let first_after = blocks[at + 1..].iter().find_map(|block| block.gateways.first());
        let is_of_block = |(key, _): &GatewayChange<'_>| {
            first_after.is_none_or(|after| {
                let belongs_to_next = after.key.profile == key.profile && last.key.profile != key.profile;
                *key < after.key && !belongs_to_next
            })
        };
        let of_block: Vec<_> = std::iter::from_fn(|| changes.next_if(is_of_block)).collect();
        if of_block.is_empty() {
            next.push(Arc::clone(block));
            continue;
        }
        let written = block.with_changes(of_block, &write)?;
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

    /// The profile of each gateway.
    pub(super) fn profiles(&self) -> impl Iterator<Item = usize> {
        self.gateways.iter().map(|gateway| gateway.key.profile)
    }

    fn with_changes(
        &self,
        changes: Vec<GatewayChange<'_>>,
        write: impl Fn(&mut Vec<u8>, &SortKey, &Entry),
    ) -> Option<Vec<Arc<Block>>> {
        let mut writer = BlockWriter {
            // Gateways that are added one by one should not make many short blocks.
            limit: 2 * BLOCK_BYTES,
            ..BlockWriter::new(0)
        };
        writer.text.reserve(self.text.len() + BLOCK_BYTES / 32);
        let put = |writer: &mut BlockWriter, (key, entry): GatewayChange<'_>| {
            if let Some(entry) = entry {
                writer.gateway(key.clone(), |text| write(text, &key, entry));
            }
        };
        let mut copied = 0;
        let mut changes = changes.into_iter().peekable();
        for gateway in &self.gateways {
            let (start, end) = (gateway.start as usize, gateway.end as usize);
            while let Some(change) = changes.next_if(|(key, _)| *key < gateway.key) {
                // A gateway of the profile before goes right after that profile's last gateway.
                if change.0.profile == gateway.key.profile {
                    writer.text.extend_from_slice(self.text.get(copied..start)?);
                    copied = start;
                }
                put(&mut writer, change);
            }
            writer.text.extend_from_slice(self.text.get(copied..start)?);
            copied = end;
            match changes.next_if(|(key, _)| *key == gateway.key) {
                Some(change) => put(&mut writer, change),
                None => {
                    let unchanged = self.text.get(start..end)?;
                    writer.gateway(gateway.key.clone(), |text| text.extend_from_slice(unchanged));
                }
            }
        }
        for change in changes {
            put(&mut writer, change);
        }
        Some(writer.finish_with(self.text.get(copied..)?))
    }
}
