//! The folder that keeps what must outlive trunkd, and the lock that keeps a second trunkd out of it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// In the folder.
const LOCK: &str = "lock";
/// How long a trunkd that was killed a moment ago may take to be gone.
const GOING: Duration = Duration::from_secs(1);
/// Between two looks at something that takes milliseconds.
const GLANCE: Duration = Duration::from_millis(20);

/// A data directory that is ours alone for as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    pub(super) path: PathBuf,
    _lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("another trunkd uses the data directory {0}: stop it, or give this one a data_dir of its own")]
    Taken(PathBuf),
    #[error("data_dir {path} cannot be used: {source}; make it a folder that trunkd's user may write to")]
    Unusable { path: PathBuf, source: io::Error },
}

impl DataDir {
    /// Makes the folder if it is not there, and takes its lock.
    ///
    /// # Errors
    /// [`DataDirError`]; each names the folder and what to do.
    pub async fn lock(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(unusable)?;
        match free_lock(&path.join(LOCK), GOING).await.map_err(unusable)? {
            Some(lock) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            None => Err(DataDirError::Taken(path.to_owned())),
        }
    }
}

/// A lock, as soon as nobody holds it; `None` when somebody still does after `limit`.
pub(super) async fn free_lock(path: &Path, limit: Duration) -> io::Result<Option<File>> {
    let lock = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let deadline = Instant::now() + limit;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Some(lock)),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() > deadline => return Ok(None),
            Err(TryLockError::WouldBlock) => sleep(GLANCE).await,
        }
    }
}
