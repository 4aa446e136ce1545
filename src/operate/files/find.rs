//! Which files are meant by a path.

use std::fs;
use std::path::{Path, PathBuf};

use super::{FilesError, MAX_FILES, MAX_FOLDERS, format_of};
use crate::documents::Format;

/// A file of documents.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) format: Format,
    /// What is named: the folder, or that of the file.
    pub(super) root: PathBuf,
}

/// The file, or the documents below the folder, by name.
pub(super) fn find(path: &Path) -> Result<Vec<Found>, FilesError> {
    let unreadable = |source: std::io::Error| FilesError::Read {
        path: path.to_owned(),
        source: source.into(),
    };
    if !path.metadata().map_err(unreadable)?.is_dir() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let root = folder.unwrap_or(Path::new(".")).canonicalize().map_err(unreadable)?;
        return Ok(vec![Found {
            path: path.to_owned(),
            format: format_by_name(path).unwrap_or(Format::Yaml),
            root,
        }]);
    }
    let root = path.canonicalize().map_err(unreadable)?;
    let mut found = Vec::new();
    walk(path, &root, 0, &mut found)?;
    Ok(found)
}

fn walk(folder: &Path, root: &Path, depth: usize, found: &mut Vec<Found>) -> Result<(), FilesError> {
    if depth > MAX_FOLDERS {
        return Err(FilesError::TooDeep(folder.to_owned()));
    }
    let unreadable = |source: std::io::Error| FilesError::Read {
        path: folder.to_owned(),
        source: source.into(),
    };
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?);
        if entries.len() > MAX_FILES {
            return Err(FilesError::TooManyFiles(root.to_owned()));
        }
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let (path, kind) = (entry.path(), entry.file_type().map_err(unreadable)?);
        if kind.is_dir() {
            walk(&path, root, depth + 1, found)?;
            continue;
        }
        let Some(format) = format_by_name(&path) else { continue };
        // A link to a folder is not followed.
        if kind.is_symlink() {
            let target = path.canonicalize().map_err(unreadable)?;
            if !target.starts_with(root) {
                return Err(FilesError::Outside(path));
            }
            if target.is_dir() {
                continue;
            }
        }
        if found.len() >= MAX_FILES {
            return Err(FilesError::TooManyFiles(root.to_owned()));
        }
        let root = root.to_owned();
        found.push(Found { path, format, root });
    }
    Ok(())
}

fn format_by_name(path: &Path) -> Option<Format> {
    format_of(&path.extension()?.to_str()?.to_ascii_lowercase())
}
