//! One connection carries one request and its answer, then it ends.
//!
//! FreeSWITCH opens a connection for each request (FACTS 10), so none is kept alive. Even so,
//! actix-http would answer every request that is sent right behind the first, and would wait
//! without limit for the rest of a chunked body that nobody reads. [`OneRequest`] sits between
//! actix-http and the socket: once a request has been read, anything more from the client is
//! discarded, and once its answer has been written, the connection is closed.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::Protocol;
use actix_http::error::DispatchError;
use actix_service::Service;
use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Bytes read before actix-http parses them. It parses every request there is before it sends the
/// first answer, each costs 2 KiB of memory, and 30 bytes can be a request. FreeSWITCH sends about one
/// kilobyte.
const MOST_READ: usize = 512;
/// Bytes discarded from one client. One that sends more is cut and may lose the end of its answer.
const MOST_DISCARDED: usize = 64 * 1024;
/// How long a client may take to close its end once it has its answer.
pub(super) const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// What the handler, the body and the socket of one request know of each other.
pub(super) struct Exchange {
    began: Instant,
    is_taken: Cell<bool>,
    is_given: Cell<bool>,
    closing: Notify,
    cut: Arc<Notify>,
}

impl Exchange {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            is_taken: Cell::new(false),
            is_given: Cell::new(false),
            closing: Notify::new(),
            cut: Arc::default(),
        }
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// The request was read or refused: discard what else the client sends.
    pub(super) fn request_is_taken(&self) {
        self.is_taken.set(true);
    }

    /// Notify it to cut the connection.
    pub(super) fn cut(&self) -> Arc<Notify> {
        self.cut.clone()
    }
}

/// How a connection ended.
pub(super) enum Ended {
    /// The client has its answer, or went away.
    Normally,
    Failed(DispatchError),
    /// It reached its time limit.
    TooLong,
    /// See [`Exchange::cut`].
    Cut,
}

/// Reads one request from `io` and answers it, within `limit`.
pub(super) async fn converse<S, T>(service: &S, io: T, peer: std::net::SocketAddr, limit: Duration) -> Ended
where
    S: Service<(OneRequest<T>, Protocol, Option<std::net::SocketAddr>), Response = (), Error = DispatchError>,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let exchange = Rc::new(Exchange::new());
    let io = OneRequest::new(io, exchange.clone());
    // Boxed: it is kilobytes, which every future around it would contain.
    let mut answering = Box::pin(service.call((io, Protocol::Http1, Some(peer))));
    let limited = timeout(limit, async {
        tokio::select! {
            ended = &mut answering => match ended {
                Err(error) if !exchange.is_given.get() => Ended::Failed(error),
                _ => Ended::Normally,
            },
            () = exchange.closing.notified() => {
                let _ = timeout(DISCONNECT_TIMEOUT, &mut answering).await;
                Ended::Normally
            }
            () = exchange.cut.notified() => Ended::Cut,
        }
    });
    limited.await.unwrap_or(Ended::TooLong)
}

/// A socket, plain or with TLS, as actix-http sees it.
pub(super) struct OneRequest<T> {
    io: T,
    exchange: Rc<Exchange>,
    /// Bytes read since the socket was last empty or actix-http last got to parse.
    read: usize,
    discarded: usize,
    is_closing: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> OneRequest<T> {
    fn new(io: T, exchange: Rc<Exchange>) -> Self {
        Self {
            io,
            exchange,
            read: 0,
            discarded: 0,
            is_closing: false,
        }
    }

    pub(super) fn exchange(&self) -> &Rc<Exchange> {
        &self.exchange
    }

    /// Discards what comes. Ready when the client has closed its end, is gone, or sends too much.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 4096];
        while self.discarded < MOST_DISCARDED {
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            match buffer.filled().len() {
                0 => return Poll::Ready(Ok(())),
                read => self.discarded += read,
            }
        }
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }

    /// Closes our end, then waits for the client to close its own: closing a socket with unread
    /// bytes in it discards the end of the answer.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_closing {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            self.is_closing = true;
            self.exchange.closing.notify_one();
        }
        self.poll_discard(cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for OneRequest<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.exchange.is_taken.get() {
            return this.poll_discard(cx);
        }
        let room = MOST_READ.saturating_sub(this.read).min(buffer.remaining());
        if room == 0 {
            this.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let polled = Pin::new(&mut this.io).poll_read(cx, &mut part);
        let read = part.filled().len();
        this.read = if polled.is_pending() { 0 } else { this.read + read };
        buffer.advance(read);
        polled
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for OneRequest<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    /// actix-http flushes when it has written all it has. After the end of the answer this closes
    /// the connection; the error keeps actix-http from going on to the next request.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        if !this.exchange.is_given.get() {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_close(cx))?;
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// The body of the only answer on its connection. It never reports its end, so that actix-http does
/// nothing after it; [`OneRequest`] closes the connection once its last byte is written.
pub(super) struct OnlyAnswer<B> {
    body: B,
    exchange: Rc<Exchange>,
}

impl<B: MessageBody + Unpin> OnlyAnswer<B> {
    /// `body` must not be empty: actix-http never polls an empty one.
    pub(super) fn new(body: B, exchange: Rc<Exchange>) -> Self {
        exchange.request_is_taken();
        Self { body, exchange }
    }
}

impl<B: MessageBody + Unpin> MessageBody for OnlyAnswer<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        let this = self.get_mut();
        if !this.exchange.is_given.get() {
            if let Some(next) = ready!(Pin::new(&mut this.body).poll_next(cx)) {
                return Poll::Ready(Some(next));
            }
            this.exchange.is_given.set(true);
        }
        match this.body.size() {
            // actix-http writes the last chunk when it hears of the end.
            BodySize::Stream => Poll::Ready(None),
            // `OneRequest` wakes this task.
            _ => Poll::Pending,
        }
    }
}
