//! Documents on their way to clients, and the memory they may hold.
//!
//! Clients that ask for the same document share its bytes, and a document shares unchanged blocks
//! with the one before it. So a slow reader costs next to nothing while its document is the newest.
//! While every gateway is edited again and again, each slow reader can keep an old document alive.
//! When all of them together hold too much, the answers that began first are cut.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::sync::Notify;

use crate::sofia_conf::Text;

/// Bytes that all documents in flight may hold: eight times the document of 10,000 gateways.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Or this many times the newest document, if that is more.
const MOST_DOCUMENTS: usize = 4;
/// actix-http copies each piece of a body into the connection's buffer and writes that: larger
/// pieces are fewer system calls, smaller ones less memory for each client.
const PIECE_BYTES: usize = 32 * 1024;

/// All answers in flight; shared by the workers.
#[derive(Default)]
pub(super) struct InFlight(Mutex<State>);

#[derive(Default)]
struct State {
    /// By the block's address, since documents share blocks: how many answers hold it, and its
    /// length.
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
    /// Counts an answer with this text. `cut` is notified when the answer must be cut.
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

/// One answer in flight, counted until this is dropped.
pub(super) struct Sending {
    all: Arc<InFlight>,
    number: u64,
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut state = self.all.lock();
        // An answer that was cut is no longer counted.
        if let Some(held) = state.answers.remove(&self.number) {
            state.remove(&held.text);
        }
    }
}

/// A document as the body of an answer: its shared blocks, one after the other.
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
mod tests;
