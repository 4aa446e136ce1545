//! The params of one gateway as they were read, and where each is.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::shown;
use crate::language::{Message, Text, message, text};

/// The params of a gateway as they were read.
#[derive(Default)]
pub(super) struct Params {
    pub(super) set: BTreeMap<String, Param>,
    /// Params with a value that can't be passed on. That has been reported.
    pub(super) refused: BTreeSet<String>,
    /// Whether there may be more that could not be read.
    pub(super) incomplete: bool,
}

/// A param that is set, and under which spelling of `param`.
pub(super) struct Param {
    pub(super) value: String,
    pub(super) key: &'static str,
}

impl Params {
    /// The place of a param, for messages.
    pub(super) fn place(&self, name: &str) -> String {
        place(self.set.get(name).map_or("param", |param| param.key), name)
    }
}

/// The place of a member of `param` or `variables`, for messages.
pub(super) fn place(key: &str, name: &str) -> String {
    format!("{key}.{}", shown(name))
}

/// The fix for a character that nobody sees.
pub(super) const TYPE_AGAIN: Text = text("remove it, or type the value again", "请删除该字符，或重新输入此值");

pub(super) const DIGITS_ONLY: Text = text("write digits only", "请只填写数字");

/// Of a number that FreeSWITCH reads differently.
pub(super) fn not_plain(read: i32) -> Message {
    message!(
        "is not a plain number; FreeSWITCH reads it as {read}",
        "不是纯数字，FreeSWITCH 会读作 {read}"
    )
}

pub(super) fn is_plain_number(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit())
}

/// A character, in words if it could be overlooked.
pub(super) fn named(c: char) -> Message {
    match c {
        ' ' => text("space", "空格").into(),
        '"' => text("quotation mark", "双引号").into(),
        c => message!("'{c}'", " '{c}'"),
    }
}

/// Characters that the user part of a SIP URI can't hold unescaped.
pub(super) const USER_ENDS: [char; 5] = ['@', ' ', '<', '>', '"'];

/// The first of these characters in a text that goes into a SIP URI, or a `%` that begins no escape.
pub(super) fn first_of(text: &str, wrong: &[char]) -> Option<char> {
    text.char_indices()
        .find(|(at, c)| wrong.contains(c) || (*c == '%' && !begins_escape(&text[*at..])))
        .map(|(_, c)| c)
}

fn begins_escape(text: &str) -> bool {
    text.as_bytes()
        .get(1..3)
        .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}
