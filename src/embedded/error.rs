//! Why the embedded Redis can't be started, and what to do.

use std::io;
use std::path::PathBuf;

/// In the folder. Held by the server's process group.
pub(super) const LOCK: &str = "server.lock";
/// The longest path of a Unix socket, without its closing NUL.
pub(super) const MAX_SOCKET_PATH_BYTES: usize = 107;

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(
        "redis-server is not installed, and redis.embedded needs it: install it (Debian: `apt-get install \
         redis-server`), or set redis.url to your own Redis"
    )]
    NotInstalled,
    #[error(
        "the redis-server of an earlier trunkd is still running in {0}: stop it (`fuser {0}/{LOCK}` shows its \
         process), then start trunkd again"
    )]
    StillRunning(PathBuf),
    #[error("data_dir {path}: {source}")]
    DataDir { path: PathBuf, source: io::Error },
    #[error(
        "the socket path of the embedded Redis, {0}, is longer than the {MAX_SOCKET_PATH_BYTES} bytes that a Unix \
         socket allows: choose a shorter data_dir"
    )]
    PathTooLong(PathBuf),
    #[error("redis-server did not start: {0}")]
    Start(String),
}
