//! Names. Nothing else may enter a FreeSWITCH command.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::language::{Bilingual, Text, text};

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// Why a text is not a name, and the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("the name is empty")]
    Empty,
    #[error("the name is {bytes} bytes long; at most {MAX_NAME_BYTES} are taken")]
    TooLong { bytes: usize },
    #[error(
        "character {position} of the name is not one of A-Z, a-z, 0-9, '_', '.' and '-', which is all that \
         FreeSWITCH accepts"
    )]
    Character { position: usize },
    #[error("'_all_' is FreeSWITCH's word for every gateway of a profile")]
    All,
}

impl NameError {
    /// What to do about it.
    pub fn fix(&self) -> Text {
        match self {
            Self::Empty => text(
                "give it a name of letters, digits, '_', '.' and '-'",
                "请用字母、数字、'_'、'.' 和 '-' 命名",
            ),
            Self::TooLong { .. } => text("shorten the name", "请缩短名称"),
            Self::Character { .. } | Self::All => text("rename it", "请改名"),
        }
    }
}

impl Bilingual for NameError {
    fn chinese(&self) -> String {
        match self {
            Self::Empty => "名称为空".to_owned(),
            Self::TooLong { bytes } => format!("名称长 {bytes} 字节，最多 {MAX_NAME_BYTES} 字节"),
            Self::Character { position } => {
                format!("名称的第 {position} 个字符不是 A-Z、a-z、0-9、'_'、'.' 或 '-'，FreeSWITCH 只接受这些字符")
            }
            Self::All => "'_all_' 在 FreeSWITCH 中表示 profile 的所有网关".to_owned(),
        }
    }
}

fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if let Some(at) = name
        .chars()
        .position(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')))
    {
        return Err(NameError::Character { position: at + 1 });
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong { bytes: name.len() });
    }
    if name.eq_ignore_ascii_case("_all_") {
        return Err(NameError::All);
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks the rule. A parsed name is trusted.
            pub fn parse(name: &str) -> Result<Self, NameError> {
                check(name)?;
                Ok(Self(Arc::from(name)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::parse(name)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = Cow::<str>::deserialize(deserializer)?;
                Self::parse(&name).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type! {
    /// A gateway's name, checked: `^[A-Za-z0-9_.-]+$` and not `_all_` in any case (FACTS 11), at most 255 bytes.
    /// Nothing else may enter a FreeSWITCH command.
    GatewayName
}

impl GatewayName {
    /// `register` and `unregister` take this name to mean every gateway of the profile (FACTS 38).
    pub fn means_all(&self) -> bool {
        self.as_str().eq_ignore_ascii_case("all")
    }
}

name_type! {
    /// A SIP profile's name, under the same rule.
    ProfileName
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Message;

    #[test]
    fn a_name_of_the_allowed_characters_is_taken_as_it_is() {
        for name in [
            "a",
            "gw_ok",
            "carrier-1.example.net",
            "__",
            "-",
            "0",
            "x-pre-process",
            "all",
            "_all",
            "all_",
        ] {
            assert_eq!(GatewayName::parse(name).unwrap().as_str(), name);
            assert_eq!(ProfileName::parse(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn the_word_for_every_gateway_is_refused_in_any_case() {
        for name in ["_all_", "_ALL_", "_aLl_"] {
            assert_eq!(GatewayName::parse(name), Err(NameError::All));
        }
    }

    #[test]
    fn other_characters_are_refused_by_position() {
        for (name, position) in [
            ("a b", 2),
            ("a\n", 2),
            ("顶", 1),
            ("gw\u{0}", 3),
            ("a/b", 2),
            (" ", 1),
            ("gwé", 3),
            ("٣", 1),
        ] {
            assert_eq!(
                GatewayName::parse(name),
                Err(NameError::Character { position }),
                "{name:?}"
            );
        }
        assert_eq!(GatewayName::parse(""), Err(NameError::Empty));
    }

    #[test]
    fn every_error_has_both_languages() {
        for name in ["", "a b", "_all_", &"a".repeat(256)] {
            let error = GatewayName::parse(name).unwrap_err();
            error.message().check();
            Message::from(error.fix()).check();
        }
    }

    #[test]
    fn the_length_is_bounded() {
        assert!(GatewayName::parse(&"a".repeat(255)).is_ok());
        assert_eq!(
            GatewayName::parse(&"a".repeat(256)),
            Err(NameError::TooLong { bytes: 256 })
        );
    }

    #[test]
    fn a_map_by_name_is_asked_with_a_plain_text() {
        let map = std::collections::BTreeMap::from([(GatewayName::parse("a").unwrap(), 1)]);
        assert_eq!(map.get("a"), Some(&1));
        assert_eq!(
            serde_json::to_string(&GatewayName::parse("a").unwrap()).unwrap(),
            "\"a\""
        );
    }
}
