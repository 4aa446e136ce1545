//! Why nothing could be imported.

use std::fmt;

use super::words::foreign;
use super::{MAX_BYTES, MAX_GATEWAYS};
use crate::language::{Bilingual, Message, message, text};

/// The whole import failed: where, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportError {
    /// `file` or `file:line`.
    pub place: String,
    pub reason: Message,
    pub fix: Message,
}

impl ImportError {
    pub(super) fn new(place: impl fmt::Display, reason: impl Into<Message>, fix: impl Into<Message>) -> Self {
        Self {
            place: place.to_string(),
            reason: reason.into(),
            fix: fix.into(),
        }
    }

    pub(super) fn too_many_gateways(place: impl fmt::Display) -> Self {
        let reason = message!(
            "there are more than {MAX_GATEWAYS} gateways",
            "网关超过 {MAX_GATEWAYS} 个"
        );
        Self::new(place, reason, text("import fewer at once", "请减少一次导入的数量"))
    }

    /// There is more than [`MAX_BYTES`].
    pub fn too_large(place: impl fmt::Display) -> Self {
        let reason = message!("there are more than {MAX_BYTES} bytes", "内容超过 {MAX_BYTES} 字节");
        Self::new(place, reason, text("import less at once", "请减少一次导入的内容"))
    }

    /// A file with nothing in it.
    pub fn empty(place: impl fmt::Display) -> Self {
        Self::new(
            place,
            text("the file is empty", "文件是空的"),
            text("choose another one", "请选择其他文件"),
        )
    }

    /// A file or folder that the system doesn't let be read.
    pub fn unreadable(place: impl fmt::Display, error: impl fmt::Display) -> Self {
        let error = foreign(error);
        let reason = message!("it can't be read: {error}", "无法读取：{error}");
        Self::new(place, reason, text("name another one", "请指定其他路径"))
    }

    pub(super) fn not_utf8(place: impl fmt::Display) -> Self {
        let reason = text("the file is not UTF-8", "文件不是 UTF-8 编码");
        Self::new(place, reason, text("save it as UTF-8", "请另存为 UTF-8"))
    }
}

impl std::error::Error for ImportError {}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.reason.en(), self.fix.en())
    }
}

impl Bilingual for ImportError {
    fn chinese(&self) -> String {
        use crate::language::Language::Zh;
        format!(
            "{}：{}；{}",
            self.place,
            self.reason.in_language(Zh),
            self.fix.in_language(Zh)
        )
    }
}
