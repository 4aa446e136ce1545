//! Responses that are being sent, and a limit for the memory that their documents take.
//!
//! Clients that get the same document share its bytes, and a document shares unchanged blocks with
//! the one before it. So a slow reader costs next to nothing while its document is the newest.
//! While gateways are edited all the time, each slow reader can keep an old document alive. When
//! all of them together hold too much, the oldest responses are cut.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::sync::Notify;

use crate::sofia_conf::Text;

/// Bytes that all documents in flight may take: eight times the document of 10,000 gateways.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Or this many times the newest document, if that is more.
const MAX_DOCUMENTS: usize = 4;
/// actix-http copies each chunk of a body into the connection's buffer. Larger chunks take fewer
/// system calls, smaller ones less memory for each client.
const CHUNK_BYTES: usize = 32 * 1024;

/// All responses in flight; shared by the workers.
#[derive(Default)]
pub(super) struct InFlight(Mutex<State>);

#[derive(Default)]
struct State {
    /// By the address of a block, because documents share blocks: the number of responses with it,
    /// and its length.
    blocks: HashMap<usize, (usize, usize)>,
    bytes: usize,
    responses: BTreeMap<u64, Response>,
    next_number: u64,
}

struct Response {
    text: Text,
    cut: Arc<Notify>,
}

impl InFlight {
    /// Counts a response with this text. `cut` is notified if it must be cut.
    pub(super) fn begin(self: &Arc<Self>, text: &Text, cut: Arc<Notify>) -> InFlightGuard {
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        state.add(text);
        let response = Response {
            text: text.clone(),
            cut,
        };
        state.responses.insert(number, response);
        let limit = MAX_BYTES.max(text.len().saturating_mul(MAX_DOCUMENTS));
        while state.bytes > limit
            && state.responses.len() > 1
            && let Some((_, oldest)) = state.responses.pop_first()
        {
            state.remove(&oldest.text);
            oldest.cut.notify_one();
        }
        InFlightGuard {
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
            let (responses, _) = self
                .blocks
                .entry(block.as_ptr() as usize)
                .or_insert_with(|| (0, block.len()));
            *responses += 1;
            if *responses == 1 {
                self.bytes += block.len();
            }
        }
    }

    fn remove(&mut self, text: &Text) {
        for block in text.pieces() {
            let address = block.as_ptr() as usize;
            if let Some((responses, length)) = self.blocks.get_mut(&address) {
                *responses -= 1;
                if *responses == 0 {
                    self.bytes -= *length;
                    self.blocks.remove(&address);
                }
            }
        }
    }
}

/// Counts a response until it is dropped.
pub(super) struct InFlightGuard {
    all: Arc<InFlight>,
    number: u64,
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut state = self.all.lock();
        // One that was cut is not counted any more.
        if let Some(response) = state.responses.remove(&self.number) {
            state.remove(&response.text);
        }
    }
}

/// The body of a response: the blocks of a document, in chunks that share their bytes.
pub(super) struct DocumentBody {
    text: Text,
    block: usize,
    sent_of_block: usize,
    _guard: Option<InFlightGuard>,
}

impl DocumentBody {
    pub(super) fn new(text: Text, guard: Option<InFlightGuard>) -> Self {
        Self {
            text,
            block: 0,
            sent_of_block: 0,
            _guard: guard,
        }
    }
}

impl MessageBody for DocumentBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.text.len() as u64)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        let Some(block) = this.text.pieces().get(this.block) else {
            return Poll::Ready(None);
        };
        let end = block.len().min(this.sent_of_block + CHUNK_BYTES);
        let chunk = block.slice(this.sent_of_block..end);
        if end == block.len() {
            this.block += 1;
            this.sent_of_block = 0;
        } else {
            this.sent_of_block = end;
        }
        Poll::Ready(Some(Ok(chunk)))
    }
}

#[cfg(test)]
mod tests;
