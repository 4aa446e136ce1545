//! Why a text is not read.

use std::fmt;

use super::{MAX_DEPTH, MAX_DOCUMENTS, MAX_KEY_BYTES};
use crate::gateway::{MAX_DOMAIN_BYTES, NameError};
use crate::language::{Bilingual, Language, Message};
use crate::shown::shown;

/// What is wrong, and in which line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {problem}")]
pub struct DocumentError {
    /// From 1.
    pub line: usize,
    pub problem: DocumentProblem,
}

/// What is wrong and what to do. Repeats no values, because they may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentProblem {
    NotUtf8,
    /// What the parser says.
    Syntax(Message),
    NotAnObject,
    Alias,
    Tag,
    Key,
    RepeatedKey(String),
    TooDeep,
    TooMany,
    Missing(&'static str),
    NotText(&'static str),
    Domain,
    Name(NameError),
    State,
    /// `value` is no object, or there are other keys beside it.
    Value,
    Reference,
}

impl DocumentError {
    pub(super) fn new(line: usize, problem: DocumentProblem) -> Self {
        Self { line, problem }
    }
}

impl std::error::Error for DocumentProblem {}

impl fmt::Display for DocumentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("this is not UTF-8: save the file as UTF-8"),
            Self::Syntax(said) => write!(f, "this can't be read: {}", shown(said.en())),
            Self::NotAnObject => f.write_str(
                "this is not a gateway: write an object with domain, name and the keys of the gateway's value",
            ),
            Self::Alias => f.write_str("aliases (*name) are not taken: write the value out"),
            Self::Tag => f.write_str("tags (!name) are not taken: leave the tag out"),
            Self::Key => write!(
                f,
                "a key is not a text of at most {MAX_KEY_BYTES} bytes: write it as one"
            ),
            Self::RepeatedKey(key) => write!(f, "the key {:?} is there twice: remove one", shown(key).to_string()),
            Self::TooDeep => write!(
                f,
                "more than {MAX_DEPTH} lists and objects in each other: write it flatter"
            ),
            Self::TooMany => write!(f, "more than {MAX_DOCUMENTS} gateways: use fewer files at once"),
            Self::Missing(key) => write!(f, "the document has no {key}: add {key}: …"),
            Self::NotText(key) => write!(f, "{key} is not a text: put it in quotes"),
            Self::Domain => write!(
                f,
                "the domain is not a text of 1 to {MAX_DOMAIN_BYTES} bytes without control characters: correct it"
            ),
            Self::Name(error) => write!(f, "{error}: {}", error.fix().en),
            Self::State => f.write_str("state is neither present nor absent: write one of them, or leave it out"),
            Self::Value => f.write_str(
                "value is not an object, or has other keys beside it: put all keys of the gateway inside of value",
            ),
            Self::Reference => f.write_str(
                "a secret begins like a reference and is none: write ${env:NAME} or ${file:PATH}, or $$ for a $",
            ),
        }
    }
}

impl Bilingual for DocumentProblem {
    fn chinese(&self) -> String {
        match self {
            Self::NotUtf8 => "不是 UTF-8：请将文件保存为 UTF-8".to_owned(),
            Self::Syntax(said) => format!("无法读取：{}", shown(said.in_language(Language::Zh))),
            Self::NotAnObject => "这不是网关：请写一个含有 domain、name 和网关各键的对象".to_owned(),
            Self::Alias => "不接受别名（*name）：请写出完整的值".to_owned(),
            Self::Tag => "不接受标签（!name）：请去掉标签".to_owned(),
            Self::Key => format!("有一个键不是最多 {MAX_KEY_BYTES} 字节的文本：请改为文本"),
            Self::RepeatedKey(key) => format!("键 {:?} 出现了两次：请去掉一个", shown(key).to_string()),
            Self::TooDeep => format!("嵌套超过 {MAX_DEPTH} 层：请减少嵌套"),
            Self::TooMany => format!("超过 {MAX_DOCUMENTS} 个网关：请减少一次处理的文件"),
            Self::Missing(key) => format!("文档缺少 {key}：请加上 {key}: …"),
            Self::NotText(key) => format!("{key} 不是文本：请加上引号"),
            Self::Domain => format!("domain 不是 1 到 {MAX_DOMAIN_BYTES} 字节、不含控制字符的文本：请改正"),
            Self::Name(error) => format!("{}：{}", error.chinese(), error.fix().zh),
            Self::State => "state 既不是 present 也不是 absent：请写其中之一，或去掉".to_owned(),
            Self::Value => "value 不是对象，或旁边还有其他键：请把网关的所有键都放进 value".to_owned(),
            Self::Reference => {
                "密文的开头像引用却不是引用：请写 ${env:NAME} 或 ${file:PATH}，或用 $$ 表示 $".to_owned()
            }
        }
    }
}
