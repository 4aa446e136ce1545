//! The embedded Redis: a private `redis-server` child with an append-only file, on a Unix socket in
//! the data directory.
//!
//! Starts, supervises and stops the process. Knows nothing of what is stored in it.
//!
//! Two locks keep two servers off one append-only file. The data directory's lock keeps a second
//! trunkd out. `redis/server.lock` is held while any part of the server's process group lives, which
//! may be longer than the trunkd that started it; the next server waits for it.

mod error;
mod paths;
mod probe;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::ConnectionInfo;
use tokio_util::sync::CancellationToken;

pub use error::EmbeddedError;

use crate::data_dir::DataDir;
use paths::Paths;
use server::Server;

/// A running server. It stops when this is dropped, and when this process dies.
#[derive(Debug)]
pub struct Embedded {
    server: Server,
}

impl Embedded {
    /// The longest time that [`Embedded::supervise`] takes to stop the server.
    pub const STOP_LIMIT: Duration = server::STOP_LIMIT;

    /// Starts the server, and waits until it has loaded its append-only file. Only this user can read
    /// its folder: gateways contain passwords.
    ///
    /// # Errors
    /// [`EmbeddedError`]; each says what to do.
    pub async fn start(data_dir: &DataDir) -> Result<Self, EmbeddedError> {
        let paths = Paths::create(&data_dir.path)?;
        let server = Server::start(paths).await?;
        Ok(Self { server })
    }

    /// How to connect to the server of a data directory, which another trunkd may run.
    pub fn connection(data_dir: &Path) -> ConnectionInfo {
        Paths::of(data_dir).connection()
    }

    /// Its socket, for `redis-cli -s`.
    pub fn socket(data_dir: &Path) -> PathBuf {
        Paths::of(data_dir).socket()
    }

    /// Restarts the server whenever it ends or stops answering. On `stop` it stops the server, within
    /// [`Embedded::STOP_LIMIT`].
    pub async fn supervise(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.server.keep_running()).await;
        self.server.stop().await;
    }
}
