//! Writes what is exported: into one file, or a file for each gateway. Readable by their owner alone.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::FilesError;
use crate::documents::Format;
use crate::operate::export::ExportedDocument;

/// What a file's name may have beside letters and digits.
const IN_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// A longer name of a file is cut.
const MAX_NAME_BYTES: usize = 200;

/// Where an export goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    File(PathBuf),
    /// New or empty. Each domain is a folder in it, and each gateway a file.
    Folder(PathBuf),
}

impl Target {
    /// A folder if it is one, or if the path ends with a slash.
    pub fn of(path: &Path) -> Self {
        match path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            true => Self::Folder(path.to_owned()),
            false => Self::File(path.to_owned()),
        }
    }
}

/// # Errors
/// [`FilesError`]. A file is then as it was before.
pub fn write_documents(target: &Target, documents: &[ExportedDocument], format: Format) -> Result<(), FilesError> {
    match target {
        Target::File(path) => write_file(path, documents),
        Target::Folder(folder) => write_folder(folder, documents, format),
    }
}

fn write_file(path: &Path, documents: &[ExportedDocument]) -> Result<(), FilesError> {
    let failed = |source| FilesError::Write {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".trunkd-export.")
        .tempfile_in(folder)
        .map_err(failed)?;
    let mut out = BufWriter::new(&mut file);
    for document in documents {
        out.write_all(document.text.as_bytes()).map_err(failed)?;
    }
    out.flush().map_err(failed)?;
    drop(out);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn write_folder(folder: &Path, documents: &[ExportedDocument], format: Format) -> Result<(), FilesError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| FilesError::Write { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let name = entry.map_err(failed(folder))?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            return Err(FilesError::NotEmpty(folder.to_owned()));
        }
    }
    let extension = match format {
        Format::Yaml => "yaml",
        Format::Json => "json",
    };
    for document in documents {
        let of_domain = folder.join(file_name(document.domain.text()));
        fs::create_dir_all(&of_domain).map_err(failed(&of_domain))?;
        let path = of_domain.join(format!("{}.{extension}", file_name(&document.name)));
        let mut options = fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.write(true).create_new(true).open(&path);
        let mut file = file.map_err(failed(&path))?;
        file.write_all(document.text.as_bytes()).map_err(failed(&path))?;
    }
    Ok(())
}

/// The name as that of a file, never hidden. A long one is cut, and kept apart from others by a digest.
fn file_name(name: &str) -> String {
    let mut encoded = utf8_percent_encode(name, IN_NAMES).to_string();
    if encoded.starts_with('.') {
        encoded.replace_range(..1, "%2E");
    }
    if encoded.len() > MAX_NAME_BYTES {
        let digest = HEXLOWER.encode(&Sha256::digest(name));
        encoded.truncate(MAX_NAME_BYTES);
        encoded.push_str(&format!("-{}", &digest[..16]));
    }
    encoded
}
