//! The languages that trunkd speaks to people, and texts that exist in each of them.

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};

/// A language of texts for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

impl Language {
    pub const ALL: [Self; 2] = [Self::En, Self::Zh];

    /// The language of a [`tag`](Self::tag).
    pub fn parse(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// As in `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }
}

/// One text in every language. Words between backticks are code, and the same in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    pub en: &'static str,
    pub zh: &'static str,
}

/// A text in English and Chinese.
pub const fn text(en: &'static str, zh: &'static str) -> Text {
    Text { en, zh }
}

impl Text {
    pub const EMPTY: Self = text("", "");

    pub fn in_language(self, language: Language) -> &'static str {
        match language {
            Language::En => self.en,
            Language::Zh => self.zh,
        }
    }
}

/// A text in every language that may hold values, such as names and numbers: [`text`] makes a fixed
/// one, `message!` one with values. Logs have the English one, JSON too unless [`serialize_in`] says otherwise.
#[derive(Clone)]
pub enum Message {
    Fixed(Text),
    /// The English text and then the Chinese one, which begins at `zh`. In one allocation, because
    /// there may be findings by the hundred thousand.
    Made {
        both: Box<str>,
        zh: usize,
    },
}

impl Message {
    pub fn new(en: impl AsRef<str>, zh: impl AsRef<str>) -> Self {
        let (en, zh) = (en.as_ref(), zh.as_ref());
        Self::Made {
            both: [en, zh].concat().into(),
            zh: en.len(),
        }
    }

    /// A text of somebody else, such as the answer of a carrier. It stays as it is.
    pub fn same(text: impl AsRef<str>) -> Self {
        Self::new(&text, &text)
    }

    pub fn en(&self) -> &str {
        self.in_language(Language::En)
    }

    pub fn in_language(&self, language: Language) -> &str {
        match self {
            Self::Fixed(text) => text.in_language(language),
            Self::Made { both, zh } => {
                let (en, zh) = both.split_at(*zh);
                match language {
                    Language::En => en,
                    Language::Zh => zh,
                }
            }
        }
    }

    fn texts(&self) -> [&str; 2] {
        Language::ALL.map(|language| self.in_language(language))
    }
}

/// A [`Message`] with values. Names in braces are variables; `name = text` behind the texts puts in
/// another text in the same language, and doesn't compile unless both use it.
macro_rules! message {
    ($en:literal, $zh:literal $(, $name:ident = $text:expr)* $(,)?) => {
        $crate::language::Message::new(
            format!($en $(, $name = $text.in_language($crate::language::Language::En))*),
            format!($zh $(, $name = $text.in_language($crate::language::Language::Zh))*),
        )
    };
}

pub(crate) use message;

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        Self::Fixed(text)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.en().fmt(f)
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.texts() == other.texts()
    }
}

impl Eq for Message {}

impl PartialOrd for Message {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Message {
    fn cmp(&self, other: &Self) -> Ordering {
        self.texts().cmp(&other.texts())
    }
}

impl Hash for Message {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.texts().hash(state);
    }
}

impl utoipa::PartialSchema for Message {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .description(Some("For people"))
            .into()
    }
}

impl ToSchema for Message {}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.in_language(SERIALIZED.get()))
    }
}

thread_local! {
    /// The language of serialized messages: serde passes no context along.
    static SERIALIZED: Cell<Language> = const { Cell::new(Language::En) };
}

/// Runs `serialize` with each [`Message`] in this language. Otherwise JSON has the English ones.
pub fn serialize_in<T>(language: Language, serialize: impl FnOnce() -> T) -> T {
    /// After a panic too, the thread goes on in English.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            SERIALIZED.set(Language::En);
        }
    }
    let _reset = Reset;
    SERIALIZED.set(language);
    serialize()
}

/// Something whose `Display` is its English text.
pub trait Bilingual: fmt::Display {
    fn chinese(&self) -> String;

    fn text(&self, language: Language) -> String {
        match language {
            Language::En => self.to_string(),
            Language::Zh => self.chinese(),
        }
    }

    fn message(&self) -> Message {
        Message::new(self.to_string(), self.chinese())
    }
}

#[cfg(test)]
#[path = "../tests/support/bilingual.rs"]
#[allow(unreachable_pub)]
mod bilingual;

#[cfg(test)]
impl Message {
    /// Both texts exist and say the same.
    #[track_caller]
    pub(crate) fn check(&self) {
        bilingual::check(self.en(), self.in_language(Language::Zh));
    }
}

#[cfg(test)]
mod tests;
