//! The folder that an import may read, and nothing outside of it: `..`, absolute paths and symbolic
//! links that lead elsewhere are refused.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, Pattern};

use super::super::words::foreign;
use crate::files;
use crate::language::{Message, message, text};
use crate::shown::shown;

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The most names that one pattern looks at.
const MAX_ENTRIES: usize = 100_000;

/// As glob(3) matches: a name that begins with a dot must be asked for.
const MATCH: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The folder that was given, or the one around a file that was given.
pub(super) struct Folder {
    /// Without symbolic links.
    base: PathBuf,
    /// As it was given, for messages.
    given: PathBuf,
}

/// Why a path is not read.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: Message,
    pub(super) fix: Message,
}

impl Folder {
    pub(super) fn open(given: &Path) -> io::Result<Self> {
        Ok(Self {
            base: given.canonicalize()?,
            given: given.to_owned(),
        })
    }

    /// The folder of a file without symbolic links; `given` is how the messages call it.
    pub(super) fn around(file: &Path, given: &Path) -> Self {
        Self {
            base: file.parent().unwrap_or(file).to_owned(),
            given: given.to_owned(),
        }
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// The path for messages: as the folder was given.
    pub(super) fn shown(&self, path: &Path) -> Arc<str> {
        let inside = path.strip_prefix(&self.base);
        let shown = inside.map_or_else(|_| path.to_owned(), |inside| self.given.join(inside));
        shown.display().to_string().into()
    }

    /// The files of a pattern such as `external/*.xml`, seen from a folder inside, sorted.
    pub(super) fn matching(&self, from: &Path, pattern: &str) -> Result<Vec<PathBuf>, Refusal> {
        let pattern_path = Path::new(pattern);
        let mut found = vec![match pattern_path.is_absolute() {
            true => PathBuf::from("/"),
            false => from.to_owned(),
        }];
        let mut left = MAX_ENTRIES;
        for component in pattern_path.components() {
            match component {
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
                Component::ParentDir => found.iter_mut().for_each(|path| {
                    path.pop();
                }),
                Component::Normal(name) => match pattern_of(&name.to_string_lossy())? {
                    None => found.iter_mut().for_each(|path| path.push(name)),
                    Some(pattern) => found = self.children(&found, &pattern, &mut left)?,
                },
            }
        }
        found.retain(|path| path.symlink_metadata().is_ok());
        found.sort();
        found.dedup();
        match found.iter().all(|path| self.real(path).is_some()) {
            true => Ok(found),
            false => Err(outside(pattern)),
        }
    }

    fn children(&self, folders: &[PathBuf], pattern: &Pattern, left: &mut usize) -> Result<Vec<PathBuf>, Refusal> {
        let mut found = Vec::new();
        for folder in folders {
            if folder.exists() && self.real(folder).is_none() {
                return Err(outside(&folder.display().to_string()));
            }
            // FreeSWITCH goes on without a folder that it can't read.
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for entry in entries.flatten() {
                *left = left.checked_sub(1).ok_or_else(too_many)?;
                if pattern.matches_with(&entry.file_name().to_string_lossy(), MATCH) {
                    found.push(entry.path());
                }
            }
        }
        Ok(found)
    }

    /// Where a path really leads, if that is inside. A link that leads nowhere counts as outside.
    pub(super) fn real(&self, path: &Path) -> Option<PathBuf> {
        let real = path.canonicalize().ok()?;
        real.starts_with(&self.base).then_some(real)
    }

    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>, Refusal> {
        let real = self.real(path).ok_or_else(|| outside(&path.display().to_string()))?;
        files::read(&real, MAX_FILE_BYTES).map_err(|error| {
            let error = foreign(error);
            Refusal {
                reason: message!("the file can't be read: {error}", "无法读取该文件：{error}"),
                fix: text(
                    "make it a readable file, or remove it",
                    "请改为可读取的文件，或将其删除",
                )
                .into(),
            }
        })
    }
}

/// `None` for a name that is meant literally.
fn pattern_of(name: &str) -> Result<Option<Pattern>, Refusal> {
    if !name.contains(['*', '?', '[']) {
        return Ok(None);
    }
    Pattern::new(name).map(Some).map_err(|error| {
        let error = foreign(error);
        Refusal {
            reason: message!("the pattern makes no sense: {error}", "通配符有误：{error}"),
            fix: text("correct it", "请更正").into(),
        }
    })
}

fn outside(path: &str) -> Refusal {
    let path = shown(path);
    Refusal {
        reason: message!(
            "{path} is outside of the folder that was given, and is not read",
            "{path} 位于所给文件夹之外，不会读取"
        ),
        fix: text(
            "import the folder that has it all, such as conf/",
            "请导入包含全部文件的文件夹，例如 conf/",
        )
        .into(),
    }
}

fn too_many() -> Refusal {
    Refusal {
        reason: message!(
            "the pattern looks at more than {MAX_ENTRIES} files",
            "通配符涉及的文件超过 {MAX_ENTRIES} 个"
        ),
        fix: text("name a smaller folder", "请指定更小的文件夹").into(),
    }
}
