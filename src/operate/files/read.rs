//! Reads documents, and the secrets that they refer to.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::find::{Found, find};
use super::{FilesError, MAX_BYTES, format_of_text};
use crate::documents::{self, DocumentError, Format, Record, Reference, SecretText};
use crate::files;
use crate::operate::transfer::Wanted;
use crate::settings::secret_variable;

/// The longest secret in a file of its own.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Where the secrets are that documents refer to.
pub enum SecretSource<'a> {
    /// Nowhere: the documents came over the network.
    None,
    /// In the environment, and in files below this folder.
    Machine(&'a Path),
}

/// The gateways in these files and folders; `-` is standard input. `secrets` is where `${file:…}` are, if
/// not beside the documents.
///
/// # Errors
/// [`FilesError`], with file and line.
pub fn read_paths(paths: &[PathBuf], secrets: Option<&Path>) -> Result<Vec<Wanted>, FilesError> {
    let mut wanted = Vec::new();
    let mut bytes_left = MAX_BYTES;
    for path in paths {
        if path.as_os_str() == "-" {
            let text = read_stdin(&mut bytes_left)?;
            let source = SecretSource::Machine(secrets.unwrap_or(Path::new(".")));
            wanted.extend(read_text(&text, format_of_text(&text), "stdin", &source)?);
            continue;
        }
        for Found { path, format, root } in find(path)? {
            let read = files::read(&path, bytes_left);
            let text = read.map_err(|source| match source {
                files::FileError::TooLarge { .. } => FilesError::TooLarge,
                source => FilesError::Read {
                    path: path.clone(),
                    source,
                },
            })?;
            bytes_left -= text.len() as u64;
            let source = SecretSource::Machine(secrets.unwrap_or(&root));
            let place = path.display().to_string();
            let base = path.parent().unwrap_or(&root);
            wanted.extend(read_in(&text, format, &place, &source, base)?);
        }
    }
    Ok(wanted)
}

/// The gateways in a text. `place` names it in errors.
///
/// # Errors
/// [`FilesError`], with place and line.
pub fn read_text(
    text: &[u8],
    format: Format,
    place: &str,
    secrets: &SecretSource<'_>,
) -> Result<Vec<Wanted>, FilesError> {
    read_in(text, format, place, secrets, Path::new("."))
}

fn read_in(
    text: &[u8],
    format: Format,
    place: &str,
    secrets: &SecretSource<'_>,
    base: &Path,
) -> Result<Vec<Wanted>, FilesError> {
    let in_document = |error| FilesError::Document {
        place: place.to_owned(),
        error,
    };
    let records = documents::read(text, format).map_err(in_document)?;
    let wanted = records.into_iter().map(|mut record: Record| {
        let at = format!("{place}:{}", record.line);
        if let Some(value) = &mut record.value {
            value.change_secrets(|_, text| {
                let text = SecretText::parse(text).map_err(|problem| {
                    in_document(DocumentError {
                        line: record.line,
                        problem,
                    })
                })?;
                resolve(text, &at, secrets, base)
            })?;
        }
        Ok(Wanted {
            domain: record.domain,
            name: record.name,
            value: record.value,
            at: at.into(),
        })
    });
    wanted.collect()
}

fn resolve(text: SecretText, at: &str, secrets: &SecretSource<'_>, base: &Path) -> Result<String, FilesError> {
    let (reference, root) = match (text, secrets) {
        (SecretText::Plain(text), _) => return Ok(text),
        (SecretText::Reference(_), SecretSource::None) => return Err(FilesError::NoReferences(at.to_owned())),
        (SecretText::Reference(reference), SecretSource::Machine(root)) => (reference, root),
    };
    match reference {
        Reference::Env(name) => secret_variable(&name).ok_or_else(|| FilesError::NoVariable {
            at: at.to_owned(),
            name,
        }),
        Reference::File(path) => {
            let read = read_secret(&path, root, base);
            read.map_err(|reason| FilesError::SecretFile {
                at: at.to_owned(),
                path,
                reason,
            })
        }
    }
}

/// Relative to the folder of the document, or to the one for secrets if that is another; below the latter.
fn read_secret(path: &str, root: &Path, base: &Path) -> Result<String, String> {
    let root = root.canonicalize().map_err(|error| error.to_string())?;
    let base = base.canonicalize().map_err(|error| error.to_string())?;
    let base = if base.starts_with(&root) { &base } else { &root };
    let file = base.join(path).canonicalize().map_err(|error| error.to_string())?;
    if !file.starts_with(&root) {
        return Err(format!(
            "it is not below {}: put it there, or name another folder with --secret-files",
            root.display()
        ));
    }
    let bytes = files::read(&file, MAX_SECRET_BYTES).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn read_stdin(bytes_left: &mut u64) -> Result<Vec<u8>, FilesError> {
    let mut text = Vec::new();
    let stdin = std::io::stdin().lock();
    stdin
        .take(*bytes_left + 1)
        .read_to_end(&mut text)
        .map_err(|source| FilesError::Read {
            path: "standard input".into(),
            source: source.into(),
        })?;
    *bytes_left = bytes_left.checked_sub(text.len() as u64).ok_or(FilesError::TooLarge)?;
    Ok(text)
}
