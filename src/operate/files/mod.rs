//! Files and folders of documents: reads them with their secrets, and writes what is exported.
//!
//! Reads nothing outside of what is named: in a folder, links count only if they lead to a file inside of
//! it, names with a dot in front are left alone, and `${file:…}` must lead to a file below the folder of
//! the documents, or below the folder that is named for secrets.

mod error;
mod find;
mod read;
mod write;

pub use error::FilesError;
pub use read::{SecretSource, read_paths, read_text};
pub use write::{Target, write_documents};

use crate::documents::Format;

/// The longest file, and all files together, in bytes: 100,000 gateways take some 70 MB.
pub const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// The most files in a folder.
const MAX_FILES: usize = 100_000;
/// Folders in each other.
const MAX_FOLDERS: usize = 16;

/// By the end of a file's name. `None`: it is no document.
fn format_of(extension: &str) -> Option<Format> {
    match extension {
        "yaml" | "yml" => Some(Format::Yaml),
        "json" | "jsonl" | "ndjson" => Some(Format::Json),
        _ => None,
    }
}

/// By what is in it: JSON begins with a bracket.
pub fn format_of_text(text: &[u8]) -> Format {
    let first = text.trim_ascii_start().first();
    match first {
        Some(b'{' | b'[') => Format::Json,
        _ => Format::Yaml,
    }
}
