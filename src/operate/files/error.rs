//! Why files are not read or written.

use std::path::PathBuf;

use super::{MAX_BYTES, MAX_FILES, MAX_FOLDERS};
use crate::documents::DocumentError;
use crate::files::FileError;
use crate::language::Bilingual;
use crate::shown::shown;

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("{} cannot be read: {source}", shown(&path.display().to_string()))]
    Read { path: PathBuf, source: FileError },
    #[error("{} cannot be written: {source}", shown(&path.display().to_string()))]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{}:{}: {}", shown(place), error.line, error.problem)]
    Document { place: String, error: DocumentError },
    #[error(
        "{} is a link to a file outside of the folder: name that file, or copy it into the folder",
        shown(&.0.display().to_string())
    )]
    Outside(PathBuf),
    #[error("{} has more than {MAX_FILES} files: name a smaller folder", shown(&.0.display().to_string()))]
    TooManyFiles(PathBuf),
    #[error(
        "{} has more than {MAX_FOLDERS} folders in each other: name a deeper one",
        shown(&.0.display().to_string())
    )]
    TooDeep(PathBuf),
    #[error("the files have more than {MAX_BYTES} bytes together: use fewer at once")]
    TooLarge,
    #[error("{}: the environment has no variable {}: set it", shown(at), shown(name))]
    NoVariable { at: String, name: String },
    #[error("{}: the secret in {} cannot be read: {reason}", shown(at), shown(path))]
    SecretFile { at: String, path: String, reason: String },
    #[error("{}: references to secrets are read by `trunkd sync` alone: send the secret, or leave it out", shown(.0))]
    NoReferences(String),
    #[error("{} is not empty: name a new folder, or an empty one", shown(&.0.display().to_string()))]
    NotEmpty(PathBuf),
}

impl Bilingual for FilesError {
    fn chinese(&self) -> String {
        match self {
            Self::Document { place, error } => {
                format!("{} 第 {} 行：{}", shown(place), error.line, error.problem.chinese())
            }
            Self::NoVariable { at, name } => format!("{}：没有环境变量 {}，请先设置", shown(at), shown(name)),
            Self::NoReferences(at) => {
                format!(
                    "{}：只有 `trunkd sync` 会读取密文引用：请直接发送密文，或将其省略",
                    shown(at)
                )
            }
            Self::TooLarge => format!("文件合计超过 {MAX_BYTES} 字节：请减少一次处理的文件"),
            other => format!("文件有问题：{other}"),
        }
    }
}
