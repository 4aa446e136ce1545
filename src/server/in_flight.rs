//! Documents on their way to clients, and how much memory they may take.
//!
//! All who ask for the same document are sent the same bytes, and a document shares with the one before it what did not change.
//! So a client that reads slowly costs nothing while its document is the newest. But while every gateway is edited again and
//! again, each such client can keep a document of its own alive. When all of them together hold more than they may, those
//! that began first are cut off.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::sync::Notify;

use crate::sofia_conf::Text;

/// What all documents on their way may hold in bytes, if none of them is large: the document of 10,000 gateways eight times.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// With larger documents: so many times the one that is sent next.
const MOST_DOCUMENTS: usize = 4;
/// Handed to actix-http in one piece, which copies it into the buffer of its connection: memory for each client against calls to
/// the system.
pub(super) const PIECE_BYTES: usize = 32 * 1024;

/// All of them. Shared by the workers.
#[derive(Default)]
pub(super) struct InFlight(Mutex<State>);

#[derive(Default)]
struct State {
    /// By where a block lies, since documents share blocks: how many answers hold it, and its length.
    blocks: HashMap<usize, (usize, usize)>,
    bytes: usize,
    answers: BTreeMap<u64, Held>,
    next: u64,
}

struct Held {
    text: Text,
    cut: Arc<Notify>,
}

impl InFlight {
    /// Begins an answer with this text; `cut` is told when it must end.
    pub(super) fn begin(self: &Arc<Self>, text: &Text, cut: Arc<Notify>) -> Sending {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.add(text);
        let held = Held {
            text: text.clone(),
            cut,
        };
        state.answers.insert(number, held);
        let most = MOST_BYTES.max(text.len().saturating_mul(MOST_DOCUMENTS));
        while state.bytes > most
            && state.answers.len() > 1
            && let Some((_, oldest)) = state.answers.pop_first()
        {
            state.remove(&oldest.text);
            oldest.cut.notify_one();
        }
        Sending {
            all: self.clone(),
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, text: &Text) {
        for block in text.pieces() {
            let (answers, _) = self
                .blocks
                .entry(block.as_ptr() as usize)
                .or_insert_with(|| (0, block.len()));
            *answers += 1;
            if *answers == 1 {
                self.bytes += block.len();
            }
        }
    }

    fn remove(&mut self, text: &Text) {
        for block in text.pieces() {
            let place = block.as_ptr() as usize;
            if let Some((answers, length)) = self.blocks.get_mut(&place) {
                *answers -= 1;
                if *answers == 0 {
                    self.bytes -= *length;
                    self.blocks.remove(&place);
                }
            }
        }
    }
}

/// One answer on its way; it counts as long as this is kept.
pub(super) struct Sending {
    all: Arc<InFlight>,
    number: u64,
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut state = self.all.lock();
        // One that was cut is no longer there.
        if let Some(held) = state.answers.remove(&self.number) {
            state.remove(&held.text);
        }
    }
}

/// A document as the body of an answer: its blocks, one after the other, from where they lie.
pub(super) struct Document {
    text: Text,
    block: usize,
    sent: usize,
    _sending: Option<Sending>,
}

impl Document {
    pub(super) fn new(text: Text, sending: Option<Sending>) -> Self {
        Self {
            text,
            block: 0,
            sent: 0,
            _sending: sending,
        }
    }
}

impl MessageBody for Document {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.text.len() as u64)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        let Some(block) = this.text.pieces().get(this.block) else {
            return Poll::Ready(None);
        };
        let end = block.len().min(this.sent + PIECE_BYTES);
        let piece = block.slice(this.sent..end);
        if end == block.len() {
            this.block += 1;
            this.sent = 0;
        } else {
            this.sent = end;
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn blocks(count: usize) -> Vec<Bytes> {
        (0..count).map(|_| Bytes::from(vec![b'x'; MIB])).collect()
    }

    fn text(blocks: &[Bytes]) -> Text {
        blocks.iter().cloned().collect()
    }

    fn is_cut(cut: &Arc<Notify>) -> bool {
        use futures_util::FutureExt as _;
        cut.notified().now_or_never().is_some()
    }

    #[test]
    fn what_answers_share_counts_once_and_is_gone_with_the_last_of_them() {
        let all = Arc::<InFlight>::default();
        let mut document = blocks(40);
        let first = all.begin(&text(&document), Arc::default());
        document[7] = Bytes::from(vec![b'y'; MIB]);
        let second = all.begin(&text(&document), Arc::default());
        assert_eq!(all.lock().bytes, 41 * MIB);
        drop(first);
        assert_eq!(all.lock().bytes, 40 * MIB);
        drop(second);
        let state = all.lock();
        assert_eq!((state.bytes, state.blocks.len()), (0, 0));
    }

    #[test]
    fn the_oldest_are_cut_when_all_together_hold_too_much() {
        let all = Arc::<InFlight>::default();
        let cuts = [(); 6].map(|()| Arc::<Notify>::default());
        let mut sending: Vec<_> = (0..4)
            .map(|number| all.begin(&text(&blocks(16)), cuts[number].clone()))
            .collect();
        assert_eq!(all.lock().bytes, MOST_BYTES);
        let newest = text(&blocks(16));
        sending.push(all.begin(&newest, cuts[4].clone()));
        sending.push(all.begin(&newest, cuts[5].clone()));
        assert_eq!(cuts.each_ref().map(is_cut), [true, false, false, false, false, false]);
        drop(sending);
        assert_eq!(all.lock().bytes, 0, "what was cut is not counted off twice");
    }

    #[test]
    fn a_document_larger_than_the_bound_is_sent_all_the_same() {
        let all = Arc::<InFlight>::default();
        let (large, cut) = (text(&blocks(100)), Arc::<Notify>::default());
        let _sending = all.begin(&large, cut.clone());
        let _another = all.begin(&text(&blocks(100)), Arc::default());
        assert!(!is_cut(&cut));
    }

    #[test]
    fn a_document_is_given_in_pieces_that_are_not_copied() {
        let pieces = [Bytes::from(vec![b'a'; PIECE_BYTES + 5]), Bytes::from_static(b"end")];
        let mut body = Document::new(pieces.iter().cloned().collect(), None);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut given = Vec::new();
        while let Poll::Ready(Some(Ok(piece))) = Pin::new(&mut body).poll_next(&mut cx) {
            given.push(piece);
        }
        let lengths: Vec<_> = given.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [PIECE_BYTES, 5, 3]);
        assert_eq!(given[1].as_ptr(), pieces[0][PIECE_BYTES..].as_ptr());
    }
}
