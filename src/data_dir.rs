//! The data directory: it holds what must survive a restart. A lock keeps a second trunkd out.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::files::{self, FileError};

/// In the folder.
const LOCK: &str = "lock";
/// Gateways contain passwords.
const FOLDER_MODE: u32 = 0o700;
/// How long a trunkd that was just killed may take to release the lock.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(1);
/// Polling interval for a lock.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// A locked data directory. Dropping this releases the lock.
#[derive(Debug)]
pub struct DataDir {
    pub(crate) path: PathBuf,
    _lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("another trunkd uses the data directory {0}: stop it, or give this one its own data_dir")]
    Taken(PathBuf),
    #[error("data_dir {path} cannot be used: {source}; it must be a folder that trunkd's user may write to")]
    Unusable { path: PathBuf, source: io::Error },
    #[error("data_dir {path} is not safe: {problem}")]
    Unsafe { path: PathBuf, problem: FileError },
    #[error("data_dir {path} cannot be used: its {LOCK} cannot be opened: {problem}; remove it")]
    Lock { path: PathBuf, problem: FileError },
}

impl DataDir {
    /// Creates the folder if it doesn't exist, and locks it.
    ///
    /// # Errors
    /// [`DataDirError`]; each names the folder and says what to do.
    pub async fn lock(path: &Path) -> Result<Self, DataDirError> {
        make_folder(path)?;
        match wait_for_lock(&path.join(LOCK), PREDECESSOR_LIMIT).await {
            Ok(Some(lock)) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Ok(None) => Err(DataDirError::Taken(path.to_owned())),
            Err(FileError::Io(source)) => Err(unusable(path, source)),
            Err(problem) => Err(DataDirError::Lock {
                path: path.to_owned(),
                problem,
            }),
        }
    }
}

impl DataDirError {
    /// Whether nothing is wrong but that another trunkd uses the folder.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Taken(_))
    }
}

/// Creates the folder for trunkd's user only. An existing one is refused if others may write to it, since
/// its content is served.
pub(crate) fn make_folder(path: &Path) -> Result<(), DataDirError> {
    let unusable = |source| unusable(path, source);
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(path)
        .map_err(unusable)?;
    let metadata = fs::metadata(path).map_err(unusable)?;
    files::check_access(&metadata).map_err(|problem| DataDirError::Unsafe {
        path: path.to_owned(),
        problem,
    })
}

fn unusable(path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Unusable {
        path: path.to_owned(),
        source,
    }
}

/// Locks a file as soon as it is free. `None` if it is still locked after `limit`.
pub(crate) async fn wait_for_lock(path: &Path, limit: Duration) -> Result<Option<File>, FileError> {
    let lock = files::open_own(path, OpenOptions::new().append(true).create(true).mode(0o600))?;
    let deadline = Instant::now() + limit;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Some(lock)),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if Instant::now() > deadline => return Ok(None),
            Err(TryLockError::WouldBlock) => sleep(LOCK_POLL).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_new_folder_is_private_and_can_be_locked_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let lock = DataDir::lock(&path).await.unwrap();
        for created in [path.as_path(), path.parent().unwrap(), &path.join(LOCK)] {
            let mode = fs::metadata(created).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} {mode:o}", created.display());
        }
        assert!(DataDir::lock(&path).await.unwrap_err().is_taken());
        drop(lock);
        DataDir::lock(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_folder_that_others_may_write_to_is_refused_with_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o720, 0o702, 0o1777] {
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            let error = DataDir::lock(folder.path()).await.unwrap_err().to_string();
            assert!(
                error.contains(&format!("{mode:04o}")) && error.contains("chmod go-w"),
                "{error}"
            );
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        // Others may list it: only the owner can read the files.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        DataDir::lock(folder.path()).await.unwrap();
    }
}
