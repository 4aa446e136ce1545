//! A connection carries one request and its response, then it ends.
//!
//! FreeSWITCH opens a connection for each request (FACTS 10), so none is kept alive. Still,
//! actix-http would answer every request that is pipelined behind the first, and would wait without
//! limit for the rest of a chunked body that nobody reads. [`OneRequestIo`] sits between actix-http
//! and the socket: after a request has been read, it discards anything more from the client, and
//! after the response has been written, it closes the connection.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
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

/// Bytes read at a time. actix-http parses all requests in its buffer before it sends the first
/// response. Each takes 2 KiB of memory, and 30 bytes can be a request. FreeSWITCH sends about one
/// kilobyte.
const MAX_READ: usize = 512;
/// Bytes discarded from one client. One that sends more is cut, and may lose the end of its
/// response.
const MAX_DISCARDED: usize = 64 * 1024;
/// How long a client may take to close its end after the response.
pub(super) const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The state of one request and its response, shared by the handler, the body and the socket.
pub(super) struct Exchange {
    began: Instant,
    request_ended: Cell<bool>,
    response_ended: Cell<bool>,
    closing: Notify,
    cut: Arc<Notify>,
}

impl Exchange {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            request_ended: Cell::new(false),
            response_ended: Cell::new(false),
            closing: Notify::new(),
            cut: Arc::default(),
        }
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// The request has been read or refused: anything more from the client is discarded.
    pub(super) fn end_of_request(&self) {
        self.request_ended.set(true);
    }

    /// Cuts the connection when notified.
    pub(super) fn cut(&self) -> Arc<Notify> {
        self.cut.clone()
    }
}

/// How a connection ended.
pub(super) enum ConnectionEnd {
    /// The client got its response, or went away.
    Normally,
    Failed(DispatchError),
    /// It reached its time limit.
    TooLong,
    /// See [`Exchange::cut`].
    Cut,
}

/// Reads one request from `io` and answers it, within `limit`.
pub(super) async fn serve_one<S, T>(service: &S, io: T, peer: SocketAddr, limit: Duration) -> ConnectionEnd
where
    S: Service<(OneRequestIo<T>, Protocol, Option<SocketAddr>), Response = (), Error = DispatchError>,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let exchange = Rc::new(Exchange::new());
    let io = OneRequestIo::new(io, exchange.clone());
    // Boxed, because it takes kilobytes that every future around it would contain.
    let mut answering = Box::pin(service.call((io, Protocol::Http1, Some(peer))));
    let limited = timeout(limit, async {
        tokio::select! {
            ended = &mut answering => match ended {
                Err(error) if !exchange.response_ended.get() => ConnectionEnd::Failed(error),
                _ => ConnectionEnd::Normally,
            },
            () = exchange.closing.notified() => {
                let _ = timeout(DISCONNECT_TIMEOUT, &mut answering).await;
                ConnectionEnd::Normally
            }
            () = exchange.cut.notified() => ConnectionEnd::Cut,
        }
    });
    limited.await.unwrap_or(ConnectionEnd::TooLong)
}

/// The socket, plain or with TLS, as actix-http sees it.
pub(super) struct OneRequestIo<T> {
    io: T,
    exchange: Rc<Exchange>,
    /// Bytes read since the socket was empty or actix-http parsed what it had.
    read: usize,
    discarded: usize,
    is_closing: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> OneRequestIo<T> {
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

    /// Reads and discards. Ready when the client has closed its end or gone away, or has sent too
    /// much.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 4096];
        while self.discarded < MAX_DISCARDED {
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            match buffer.filled().len() {
                0 => return Poll::Ready(Ok(())),
                read => self.discarded += read,
            }
        }
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }

    /// Closes our end, then waits until the client closes its own: a socket that is closed with
    /// unread bytes in it loses the end of the response.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_closing {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            self.is_closing = true;
            self.exchange.closing.notify_one();
        }
        self.poll_discard(cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for OneRequestIo<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.exchange.request_ended.get() {
            return this.poll_discard(cx);
        }
        let room = MAX_READ.saturating_sub(this.read).min(buffer.remaining());
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

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for OneRequestIo<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    /// actix-http flushes when it has written all it has. After the end of the response this closes
    /// the connection, and the error keeps actix-http from the next request.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        if !this.exchange.response_ended.get() {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_close(cx))?;
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// The body of the only response on its connection. It never reports its end, so that actix-http
/// does nothing after it; [`OneRequestIo`] closes the connection when its last byte is written.
pub(super) struct OnlyResponse<B> {
    body: B,
    exchange: Rc<Exchange>,
}

impl<B: MessageBody + Unpin> OnlyResponse<B> {
    /// `body` must not be empty: actix-http never polls an empty one.
    pub(super) fn new(body: B, exchange: Rc<Exchange>) -> Self {
        exchange.end_of_request();
        Self { body, exchange }
    }
}

impl<B: MessageBody + Unpin> MessageBody for OnlyResponse<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        let this = self.get_mut();
        if !this.exchange.response_ended.get() {
            if let Some(next) = ready!(Pin::new(&mut this.body).poll_next(cx)) {
                return Poll::Ready(Some(next));
            }
            this.exchange.response_ended.set(true);
        }
        match this.body.size() {
            // actix-http writes the last chunk when the body reports its end.
            BodySize::Stream => Poll::Ready(None),
            // `OneRequestIo` wakes this task.
            _ => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
