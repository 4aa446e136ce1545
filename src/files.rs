//! Opens files that others may have put there: never blocks, and accepts only regular files.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

/// Write permission for the group and others.
const OTHERS_WRITE: u32 = 0o022;

/// Why a file or folder is refused. The caller adds the path.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is {0}, not a regular file")]
    Kind(&'static str),
    #[error("it has {bytes} bytes; at most {most} are read")]
    TooLarge { bytes: u64, most: u64 },
    #[error("its mode is {mode:04o}, so others may change it: `chmod go-w` it")]
    Exposed { mode: u32 },
    #[error("it belongs to user {owner}, and trunkd runs as user {user}: `chown` it, or run trunkd as its owner")]
    Owner { owner: u32, user: u32 },
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Io(error) => error,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Reads a file that an operator wrote. It may be a symbolic link, as config files often are.
///
/// # Errors
/// [`FileError`] if it is not a regular file or is longer than `most` bytes.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let file = open(path, OpenOptions::new().read(true), OFlag::empty())?;
    read_all(&file, most)
}

/// Reads a file that trunkd wrote. Refuses symbolic links and files that others could have changed.
///
/// # Errors
/// [`FileError`].
pub fn read_own(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let file = open_own(path, OpenOptions::new().read(true))?;
    check_access(&file.metadata()?)?;
    read_all(&file, most)
}

/// Opens one of trunkd's own files, never through a symbolic link.
///
/// # Errors
/// [`FileError`] if it is not a regular file.
pub fn open_own(path: &Path, options: &mut OpenOptions) -> Result<File, FileError> {
    open(path, options, OFlag::O_NOFOLLOW)
}

/// Checks that only trunkd's user or root can change it.
///
/// # Errors
/// [`FileError::Exposed`], [`FileError::Owner`].
pub fn check_access(metadata: &Metadata) -> Result<(), FileError> {
    let (owner, user) = (metadata.uid(), geteuid().as_raw());
    // Root may read files that belong to the service's user.
    if owner != user && owner != 0 && user != 0 {
        return Err(FileError::Owner { owner, user });
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(FileError::Exposed { mode });
    }
    Ok(())
}

fn open(path: &Path, options: &mut OpenOptions, more: OFlag) -> Result<File, FileError> {
    // Checked before it is opened as well: opening a device may have side effects.
    let found = match more.contains(OFlag::O_NOFOLLOW) {
        true => path.symlink_metadata(),
        false => path.metadata(),
    };
    match found {
        Ok(metadata) => check_kind(&metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    // Without O_NONBLOCK, opening a FIFO would wait for the other end.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | more;
    let file = options.custom_flags(flags.bits()).open(path)?;
    check_kind(&file.metadata()?)?;
    Ok(file)
}

fn check_kind(metadata: &Metadata) -> Result<(), FileError> {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => Ok(()),
        () if kind.is_dir() => Err(FileError::Kind("a folder")),
        () if kind.is_symlink() => Err(FileError::Kind("a symbolic link")),
        () if kind.is_fifo() => Err(FileError::Kind("a FIFO")),
        () if kind.is_socket() => Err(FileError::Kind("a socket")),
        () => Err(FileError::Kind("a device")),
    }
}

fn read_all(file: &File, most: u64) -> Result<Vec<u8>, FileError> {
    let too_large = |bytes| Err(FileError::TooLarge { bytes, most });
    let bytes = file.metadata()?.len();
    if bytes > most {
        return too_large(bytes);
    }
    let mut content = Vec::new();
    // The file may grow while it is read.
    file.take(most + 1).read_to_end(&mut content)?;
    match content.len() as u64 {
        read if read > most => too_large(read),
        _ => Ok(content),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn only_a_regular_file_of_a_sane_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "12345").unwrap();
        mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        let refused = |read: Result<Vec<u8>, FileError>| read.unwrap_err().to_string();

        assert_eq!(read(&path("file"), 5).unwrap(), b"12345");
        assert_eq!(read(&path("link"), 5).unwrap(), b"12345");
        assert_eq!(read_own(&path("file"), 5).unwrap(), b"12345");
        assert_eq!(refused(read(&path("file"), 4)), "it has 5 bytes; at most 4 are read");
        assert_eq!(refused(read(&path("fifo"), 5)), "it is a FIFO, not a regular file");
        assert_eq!(refused(read(folder.path(), 5)), "it is a folder, not a regular file");
        assert_eq!(refused(read(&path("socket"), 5)), "it is a socket, not a regular file");
        assert_eq!(
            refused(read(Path::new("/dev/zero"), 5)),
            "it is a device, not a regular file"
        );
        assert_eq!(
            refused(read_own(&path("link"), 5)),
            "it is a symbolic link, not a regular file"
        );
        assert!(matches!(read(&path("none"), 5), Err(FileError::Io(error)) if error.kind() == io::ErrorKind::NotFound));
    }

    #[test]
    fn what_claims_to_be_empty_and_is_endless_is_cut_off() {
        // Files under /proc have no size.
        let read = read(Path::new("/proc/self/status"), 10);
        assert!(
            matches!(read, Err(FileError::TooLarge { bytes: 11, most: 10 })),
            "{read:?}"
        );
    }
}
