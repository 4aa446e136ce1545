//! JSON as it was written: repeated keys are noticed, numbers keep their digits, and no error repeats what was
//! written.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::language::{Message, Text, message, text};

/// Members that are looked through one by one.
const FEW: usize = 32;

/// One level of a JSON value. Nested values stay text until they are needed, so depth costs nothing.
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    String(String),
    /// Its digits as written.
    Number(&'a str),
    Array(&'a RawValue),
    Object(&'a RawValue),
    /// A string with an escape like `\ud800`, which is not a character.
    BadString,
}

/// The members of an object, in the order written; of a repeated key, the last.
#[derive(Default)]
pub(super) struct Object<'a> {
    pub(super) members: Vec<(String, Json<'a>)>,
    pub(super) repeated: BTreeSet<String>,
}

impl<'a> Json<'a> {
    /// Reads a text. The error is a sentence with line and column, that repeats nothing of the text.
    pub(super) fn read(text: &'a str) -> Result<Self, Message> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            match error.classify() {
                // These messages are fixed texts, such as "expected `:` at line 1 column 9".
                Category::Syntax | Category::Eof => {
                    let said = error.to_string();
                    let chinese = in_chinese(said.split(" at line ").next().unwrap_or_default());
                    Message::new(said, format!("{chinese}（第 {line} 行第 {column} 列）"))
                }
                Category::Data | Category::Io => {
                    message!("at line {line} column {column}", "第 {line} 行第 {column} 列")
                }
            }
        })?;
        Ok(Self::one_level(raw))
    }

    pub(super) fn one_level(raw: &'a RawValue) -> Self {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => serde_json::from_str(text).map_or(Self::BadString, Self::String),
            Some(b'[') => Self::Array(raw),
            Some(b'{') => Self::Object(raw),
            _ => Self::Number(text),
        }
    }

    /// What it is, in words for a person.
    pub(super) fn kind(&self) -> Text {
        match self {
            Self::Null => text("null", " null"),
            Self::Bool(_) => text("true or false", "布尔值"),
            Self::String(_) => text("a string", "字符串"),
            Self::Number(_) => text("a number", "数字"),
            Self::Array(_) => text("a list", "列表"),
            Self::Object(_) => text("an object", "对象"),
            Self::BadString => text(
                "a string with an escape that stands for no character",
                "含有无效转义的字符串",
            ),
        }
    }
}

/// serde_json's texts for what is no JSON.
fn in_chinese(syntax_error: &str) -> &'static str {
    match syntax_error {
        "EOF while parsing a list" => "列表没有结束",
        "EOF while parsing an object" => "对象没有结束",
        "EOF while parsing a string" => "字符串没有结束",
        "EOF while parsing a value" => "缺少值",
        "expected `:`" => "此处应为 `:`",
        "expected `,` or `]`" => "此处应为 `,` 或 `]`",
        "expected `,` or `}`" => "此处应为 `,` 或 `}`",
        "expected ident" => "此处应为 true、false 或 null",
        "expected value" => "此处应为一个值",
        "invalid escape" | "unexpected end of hex escape" | "lone leading surrogate in hex escape" => "转义无效",
        "invalid number" => "数字格式有误",
        "number out of range" => "数字超出范围",
        "invalid unicode code point" => "Unicode 码点无效",
        "control character (\\u0000-\\u001F) found while parsing a string" => "字符串中含有控制字符（\\u0000-\\u001F）",
        "key must be a string" => "键必须是字符串",
        "trailing comma" => "末尾多了一个逗号",
        "trailing characters" => "末尾有多余的字符",
        "recursion limit exceeded" => "嵌套过深",
        _ => "语法有误",
    }
}

/// The members of an object; `None` if a key has an escape that is not a character.
pub(super) fn members(raw: &RawValue) -> Option<Object<'_>> {
    let pairs: Pairs<'_> = serde_json::from_str(raw.get()).ok()?;
    let mut object = Object {
        members: Vec::with_capacity(pairs.0.len()),
        repeated: BTreeSet::new(),
    };
    // A gateway's objects have a handful of members: looking at each is cheaper than hashing, up to
    // where it would be squared.
    let mut places: Option<HashMap<String, usize>> = (pairs.0.len() > FEW).then(HashMap::new);
    for (key, raw) in pairs.0 {
        let value = Json::one_level(raw);
        let known = match &places {
            Some(places) => places.get(&key).copied(),
            None => object.members.iter().position(|(known, _)| *known == key),
        };
        if let Some(at) = known {
            object.members[at].1 = value;
            object.repeated.insert(key);
        } else {
            if let Some(places) = &mut places {
                places.insert(key.clone(), object.members.len());
            }
            object.members.push((key, value));
        }
    }
    Some(object)
}

/// The items of an array.
pub(super) fn items(raw: &RawValue) -> Vec<Json<'_>> {
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    items.into_iter().map(Json::one_level).collect()
}

struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::with_capacity(8);
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let Ok(Json::Number(digits)) = Json::read(" 123456789012345678901234567890.50 ") else {
            panic!("no number")
        };
        assert_eq!(digits, "123456789012345678901234567890.50");
    }

    #[test]
    fn of_a_repeated_key_the_last_counts_and_it_is_noticed() {
        let Ok(Json::Object(raw)) = Json::read(r#"{"a":1,"b":2,"\u0061":3}"#) else {
            panic!("no object")
        };
        let object = members(raw).unwrap();
        assert_eq!(object.repeated, BTreeSet::from(["a".to_owned()]));
        assert_eq!(object.members.len(), 2);
        assert!(matches!(object.members[0], (ref key, Json::Number("3")) if key == "a"));
    }

    #[test]
    fn an_error_has_a_place_and_no_content() {
        for (text, expected) in [
            (
                "{\"password\":\n \"hunter2\",}",
                "key must be a string at line 2 column 12",
            ),
            ("hunter2", "expected value at line 1 column 1"),
            ("{\"a\" \"hunter2\"}", "expected `:` at line 1 column 6"),
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{} hunter2", "trailing characters at line 1 column 4"),
        ] {
            let error = Json::read(text).err().unwrap();
            assert_eq!(error.en(), expected);
            let chinese = error.in_language(crate::language::Language::Zh);
            assert!(
                !chinese.contains("语法有误") && !chinese.contains("hunter2"),
                "{chinese}"
            );
        }
    }

    #[test]
    fn depth_does_not_exhaust_the_stack() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(matches!(Json::read(&deep), Ok(Json::Array(_))));
    }
}
