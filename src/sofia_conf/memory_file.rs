//! Long texts in files of the memory (`memfd_create`): from there Linux sends them without copying them, and without them in this process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A file that is written once, and gone with the last who uses some of it.
pub(super) struct MemoryFile {
    file: Arc<File>,
    len: u64,
}

/// Some of a file.
#[derive(Debug, Clone)]
pub struct Stretch {
    file: Arc<File>,
    start: u64,
    len: usize,
}

impl MemoryFile {
    /// # Errors
    /// The system has none, or gives none now: a text is as good elsewhere.
    #[cfg(target_os = "linux")]
    pub(super) fn create() -> io::Result<Self> {
        use nix::sys::memfd::{MFdFlags, memfd_create};

        let file = memfd_create("sofia.conf", MFdFlags::MFD_CLOEXEC)?;
        Ok(Self {
            file: Arc::new(file.into()),
            len: 0,
        })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn create() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<Stretch> {
        self.file.write_all_at(bytes, self.len)?;
        let stretch = Stretch {
            file: Arc::clone(&self.file),
            start: self.len,
            len: bytes.len(),
        };
        self.len += bytes.len() as u64;
        Ok(stretch)
    }
}

impl Stretch {
    /// In bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where in the file it begins.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Fills `bytes` with what stands `from` bytes after the beginning.
    ///
    /// # Errors
    /// There is not so much, or the system's.
    pub fn read_at(&self, bytes: &mut [u8], from: usize) -> io::Result<()> {
        self.file.read_exact_at(bytes, self.start + from as u64)
    }

    pub(super) fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len];
        self.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// The two as one, where `next` goes on right after.
    pub(super) fn join(&self, next: &Self) -> Option<Self> {
        let is_next = Arc::ptr_eq(&self.file, &next.file) && self.start + self.len as u64 == next.start;
        is_next.then(|| Self {
            len: self.len + next.len,
            ..self.clone()
        })
    }
}
