//! The files of the embedded Redis.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::error::{EmbeddedError, LOCK, MAX_SOCKET_PATH_BYTES};

/// In the data directory.
const FOLDER: &str = "redis";
/// Gateways contain passwords.
const FOLDER_MODE: u32 = 0o700;

#[derive(Debug, Clone)]
pub(super) struct Paths {
    folder: PathBuf,
}

impl Paths {
    pub(super) fn of(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join(FOLDER),
        }
    }

    /// Creates the folder, or restricts an existing one to this user.
    pub(super) fn create(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let paths = Self::of(data_dir);
        let folder = create_folder(&paths.folder).map_err(|error| paths.error(error))?;
        let paths = Self { folder };
        let socket = paths.socket();
        match socket.as_os_str().len() > MAX_SOCKET_PATH_BYTES {
            true => Err(EmbeddedError::PathTooLong(socket)),
            false => Ok(paths),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("redis.sock")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("redis.log")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.folder.join(LOCK)
    }

    pub(super) fn connection(&self) -> ConnectionInfo {
        // Every path is a valid address.
        ConnectionAddr::Unix(self.socket())
            .into_connection_info()
            .unwrap_or_else(|error| unreachable!("{error}"))
    }

    pub(super) fn error(&self, source: io::Error) -> EmbeddedError {
        EmbeddedError::DataDir {
            path: self.folder.clone(),
            source,
        }
    }
}

fn create_folder(folder: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    // Only we could have put a symbolic link there, but trunkd creates none.
    if !folder.symlink_metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    // An existing folder may be open to others.
    fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE))?;
    folder.canonicalize()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_open_folder_is_closed_to_others() {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = data_dir.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        Paths::create(data_dir.path()).unwrap();
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, FOLDER_MODE, "{mode:o}");
    }

    #[test]
    fn a_symbolic_link_is_refused() {
        let (data_dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(elsewhere.path(), data_dir.path().join(FOLDER)).unwrap();
        let error = Paths::create(data_dir.path()).unwrap_err();
        assert!(matches!(error, EmbeddedError::DataDir { .. }), "{error}");
    }

    #[test]
    fn a_socket_path_that_the_kernel_would_refuse_is_refused_with_the_fix() {
        let data_dir = tempfile::tempdir().unwrap();
        let long = data_dir.path().join("d".repeat(MAX_SOCKET_PATH_BYTES));
        let error = Paths::create(&long).unwrap_err().to_string();
        assert!(error.contains("choose a shorter data_dir"), "{error}");
    }
}
