//! Byte streams to Redis that end as soon as the server sends something that is not a reply, or too
//! much.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::select_ok;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, Pipeline, RedisConnectionInfo, RedisFuture,
    RedisResult, Value,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::meter::{MAX_REPLY_BYTES, Meter, Refusal};
use super::quarantine::Quarantine;

/// Memory for unfinished replies, over all connections.
const MAX_UNFINISHED_BYTES: usize = 2 * MAX_REPLY_BYTES;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Bytes of unfinished replies, over all connections.
#[derive(Debug, Default)]
pub(crate) struct ReplyBytes(AtomicUsize);

/// One connection's share of [`ReplyBytes`], returned on drop.
#[derive(Debug)]
pub(crate) struct ReplyBudget {
    total: Arc<ReplyBytes>,
    bytes: usize,
}

impl ReplyBudget {
    pub(crate) fn new(total: Arc<ReplyBytes>) -> Self {
        Self { total, bytes: 0 }
    }

    /// Sets the size of this share.
    ///
    /// # Errors
    /// [`Refusal`] when all shares together are too large.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Refusal> {
        let total = &self.total.0;
        let now = match bytes.checked_sub(self.bytes) {
            Some(more) => total.fetch_add(more, Ordering::Relaxed) + more,
            None => total.fetch_sub(self.bytes - bytes, Ordering::Relaxed),
        };
        let is_more = bytes > self.bytes;
        self.bytes = bytes;
        match is_more && now > MAX_UNFINISHED_BYTES {
            true => Err(Refusal::TooLarge(
                "too many bytes in all replies",
                MAX_UNFINISHED_BYTES.to_string(),
            )),
            false => Ok(()),
        }
    }
}

impl Drop for ReplyBudget {
    fn drop(&mut self) {
        self.total.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A stream that fails at the first byte that must not be read.
struct Metered<S> {
    stream: S,
    meter: Meter,
    budget: ReplyBudget,
    /// For the quarantine's log line.
    server: String,
    quarantine: Arc<Quarantine>,
    refused: Option<Refusal>,
}

impl<S> Metered<S> {
    fn refuse(&mut self, refusal: Refusal) -> Poll<io::Result<()>> {
        if self.refused.is_none() {
            self.quarantine
                .impose(&self.server, &refusal.to_string(), Instant::now().into_std());
            self.refused = Some(refusal.clone());
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refusal)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(refusal) = this.refused.clone() {
            return this.refuse(refusal);
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let taken = this.meter.take(&buf.filled()[before..]);
        match taken.and_then(|()| this.budget.set(this.meter.unfinished_bytes())) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(refusal) => {
                buf.set_filled(before);
                this.refuse(refusal)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.meter.start_request();
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Connects to an address without sending anything. Quarantines `server` when it sends what must not be
/// read.
pub(crate) async fn open(
    info: &ConnectionInfo,
    tls: Option<&Arc<ClientConfig>>,
    reply_bytes: &Arc<ReplyBytes>,
    quarantine: &Arc<Quarantine>,
    server: String,
) -> io::Result<Box<dyn Stream>> {
    let stream: Box<dyn Stream> = match (info.addr(), tls) {
        (ConnectionAddr::Tcp(host, port), _) => Box::new(open_tcp(host, *port).await?),
        (ConnectionAddr::TcpTls { host, port, .. }, Some(tls)) => {
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let connector = TlsConnector::from(tls.clone());
            Box::new(connector.connect(name, open_tcp(host, *port).await?).await?)
        }
        (ConnectionAddr::Unix(path), _) => Box::new(UnixStream::connect(path).await?),
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    Ok(Box::new(Metered {
        stream,
        meter: Meter::default(),
        budget: ReplyBudget::new(reply_bytes.clone()),
        server,
        quarantine: quarantine.clone(),
        refused: None,
    }))
}

/// Connects to the first address that answers: IPv6 or IPv4 may be unreachable.
async fn open_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    let tries = addresses.into_iter().map(|address| TcpStream::connect(address).boxed());
    let (stream, _) = select_ok(tries).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection of the redis crate on a stream of ours. Its task ends with the last clone.
#[derive(Clone)]
pub(crate) struct Driven {
    connection: MultiplexedConnection,
    _driver: Arc<AbortOnDropHandle<()>>,
}

impl Driven {
    /// Logs in on a new stream.
    pub(crate) async fn start(
        user: &RedisConnectionInfo,
        stream: Box<dyn Stream>,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<Self> {
        let (connection, driver) = MultiplexedConnection::new_with_config(user, stream, config.clone()).await?;
        Ok(Self {
            connection,
            _driver: Arc::new(AbortOnDropHandle::new(tokio::spawn(driver))),
        })
    }
}

impl ConnectionLike for Driven {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.connection.req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.connection.req_packed_commands(cmd, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_shared_and_returned() {
        let total = Arc::new(ReplyBytes::default());
        let (mut one, mut other) = (ReplyBudget::new(total.clone()), ReplyBudget::new(total.clone()));
        assert!(one.set(MAX_REPLY_BYTES).is_ok() && other.set(MAX_REPLY_BYTES).is_ok());
        assert!(other.set(MAX_REPLY_BYTES + 1).is_err());
        assert!(one.set(10).is_ok() && other.set(MAX_REPLY_BYTES + 2).is_ok());
        drop((one, other));
        assert_eq!(total.0.load(Ordering::Relaxed), 0);
    }
}
