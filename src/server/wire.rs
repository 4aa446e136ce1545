//! A connection as actix-http writes to it, with a way around it for the body.
//!
//! actix-http copies a body into a buffer of the connection. Ours are shared by all who ask, and may be megabytes: so actix-http writes the head
//! alone, and the [`Wire`] appends the [`Body`] from where it lies, head and body in one call to the system.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::record::Record;
use crate::sofia_conf::Text;

/// What a connection may be sent in one go: a client that reads as fast as we write must not keep the others of its thread waiting.
const MOST_AT_ONCE: usize = 2 << 20;

/// What one call to the system is given of the only body that its thread sends: what a call takes goes out in full only when the call ends, and the
/// client waits for it meanwhile. Of several bodies there is always one to be read, and fewer calls are more answers.
const MOST_OF_THE_ONLY: usize = 128 << 10;

thread_local! {
    /// How many bodies this thread sends.
    static SENDING: Cell<usize> = const { Cell::new(0) };
}

/// Pieces of a body that one call to the system is given.
const MOST_SLICES: usize = 64;

/// The connection's own socket, plain or with TLS.
pub(super) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub(super) struct Wire {
    io: Io,
    exchange: Rc<Exchange>,
}

/// What the handler leaves for its connection.
#[derive(Default)]
pub(super) struct Exchange {
    /// What is left to be sent of the body of the answer that is on its way.
    left: RefCell<Left>,
    /// actix-http waits for the end of those.
    is_awaited: Cell<bool>,
    /// Of the answer. It is dropped, and so logged, when the connection has ended or has to wait for its client: then there is time for it.
    record: Cell<Option<Record>>,
}

/// What is left of a text.
#[derive(Default)]
struct Left {
    text: Text,
    /// The number of the piece that is next, and how much of it is sent.
    piece: usize,
    sent: usize,
    /// `None` when it is empty.
    _sending: Option<Sending>,
}

/// One of the bodies that its thread sends.
struct Sending;

impl Sending {
    fn begin() -> Self {
        SENDING.set(SENDING.get() + 1);
        Self
    }

    /// How much of one of them a call is given.
    fn most() -> usize {
        match SENDING.get() {
            0 | 1 => MOST_OF_THE_ONLY,
            _ => MOST_AT_ONCE,
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        SENDING.set(SENDING.get() - 1);
    }
}

impl Exchange {
    pub(super) fn keep(&self, record: Record) {
        self.record.set(Some(record));
    }
}

/// Stands for the body of an answer in actix-http, which sends none of it; it ends when the last byte is sent, so that a
/// next answer comes after it.
pub(super) struct Body(Rc<Exchange>);

impl Body {
    /// To be made when nothing is waited for any more before the answer: from here on, the bytes follow what actix-http writes next.
    pub(super) fn new(exchange: Rc<Exchange>, text: Text) -> Self {
        exchange.left.replace(Left::of(text));
        Self(exchange)
    }
}

impl MessageBody for Body {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let is_sent = self.0.left.borrow().is_empty();
        // One task does all of a connection, so `Wire` wakes it.
        self.0.is_awaited.set(!is_sent);
        if is_sent { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl Wire {
    pub(super) fn new(io: Io, exchange: Rc<Exchange>) -> Self {
        Self { io, exchange }
    }

    pub(super) fn exchange(&self) -> &Rc<Exchange> {
        &self.exchange
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut left = self.exchange.left.borrow_mut();
        let mut room = MOST_AT_ONCE;
        while !left.is_empty() {
            if room == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut slices = [IoSlice::new(&[]); MOST_SLICES];
            let count = left.slices(&mut slices, room.min(Sending::most()));
            let Poll::Ready(sent) = self.io.poll_write_vectored(cx, &slices[..count])? else {
                drop(self.exchange.record.take());
                return Poll::Pending;
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            left.advance(sent);
            room -= sent;
        }
        if self.exchange.is_awaited.take() {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }
}

impl Left {
    fn of(text: Text) -> Self {
        Self {
            _sending: (!text.pieces().is_empty()).then(Sending::begin),
            text,
            piece: 0,
            sent: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.piece >= self.text.pieces().len()
    }

    /// Puts the next bytes in as far as there is place, `most` of them. Answers how many slices they are.
    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>], mut most: usize) -> usize {
        let pieces = self.text.pieces().iter().skip(self.piece);
        let mut start = self.sent;
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            if most == 0 {
                break;
            }
            let end = piece.len().min(start + most);
            *slice = IoSlice::new(&piece[start..end]);
            most -= end - start;
            start = 0;
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut sent: usize) {
        while let Some(piece) = self.text.pieces().get(self.piece) {
            let rest = piece.len() - self.sent;
            if sent < rest {
                self.sent += sent;
                return;
            }
            sent -= rest;
            self.piece += 1;
            self.sent = 0;
        }
        // It may be the last to hold an old document.
        *self = Self::default();
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, head: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut left = this.exchange.left.borrow_mut();
        if left.is_empty() {
            return this.io.poll_write(cx, head);
        }
        let mut slices = [IoSlice::new(&[]); MOST_SLICES];
        slices[0] = IoSlice::new(head);
        let count = 1 + left.slices(&mut slices[1..], Sending::most());
        let sent = ready!(this.io.poll_write_vectored(cx, &slices[..count]))?;
        left.advance(sent.saturating_sub(head.len()));
        Poll::Ready(Ok(sent.min(head.len())))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        match &mut this.io {
            Io::Plain(_) => Poll::Ready(Ok(())),
            Io::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        match &mut this.io {
            // It is closed next, which says the same.
            Io::Plain(_) => Poll::Ready(Ok(())),
            Io::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(io) => Pin::new(io).poll_read(cx, buffer),
            Io::Tls(io) => Pin::new(io).poll_read(cx, buffer),
        }
    }
}

impl Io {
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Io::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Io::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Io::Plain(io) => Pin::new(io).poll_write_vectored(cx, bytes),
            Io::Tls(io) => Pin::new(io).poll_write_vectored(cx, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_given_less_of_the_only_body_than_of_one_of_several() {
        let text = || Text::from_iter([Bytes::from(vec![b'x'; 3 * MOST_AT_ONCE])]);
        let taken = |left: &Left| {
            let mut slices = [IoSlice::new(&[]); MOST_SLICES];
            let count = left.slices(&mut slices, Sending::most());
            slices[..count].iter().map(|slice| slice.len()).sum::<usize>()
        };
        let mut only = Left::of(text());
        assert_eq!(taken(&only), MOST_OF_THE_ONLY);
        let another = Left::of(text());
        assert_eq!((taken(&only), taken(&another)), (MOST_AT_ONCE, MOST_AT_ONCE));
        // One whose client went away
        drop(another);
        assert_eq!(taken(&only), MOST_OF_THE_ONLY);
        only.advance(3 * MOST_AT_ONCE);
        assert!(only.is_empty() && SENDING.get() == 0);
        let empty = Left::of(Text::default());
        assert!(empty.is_empty() && SENDING.get() == 0);
    }
}
