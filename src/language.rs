//! The languages that trunkd speaks to people, and texts that exist in each of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
