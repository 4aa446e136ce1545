//! Which domains somebody may use.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::language::Bilingual;

/// Stands for all domains.
const ALL: &str = "*";

/// In JSON `"*"` or a list of names; as text `*` or `a,b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domains {
    All,
    Some(BTreeSet<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainsError {
    #[error("a domain has no name: write them as `a,b`, or `*` for all")]
    Empty,
    #[error("`*` stands for all domains and can't be one of several: write only `*`, or only names")]
    AllAndMore,
}

impl Bilingual for DomainsError {
    fn chinese(&self) -> String {
        match self {
            Self::Empty => "有一个域没有名称：请写成 `a,b`，或者用 `*` 表示所有域".to_owned(),
            Self::AllAndMore => "`*` 表示所有域，不能与其他域并列：请只写 `*`，或者只写名称".to_owned(),
        }
    }
}

impl Domains {
    pub fn allows(&self, domain: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.contains(domain),
        }
    }
}

impl FromStr for Domains {
    type Err = DomainsError;

    fn from_str(text: &str) -> Result<Self, DomainsError> {
        if text.trim() == ALL {
            return Ok(Self::All);
        }
        let names: BTreeSet<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if names.contains("") {
            return Err(DomainsError::Empty);
        }
        if names.contains(ALL) {
            return Err(DomainsError::AllAndMore);
        }
        Ok(Self::Some(names))
    }
}

impl fmt::Display for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str(ALL),
            Self::Some(names) => f.write_str(&names.iter().map(String::as_str).collect::<Vec<_>>().join(",")),
        }
    }
}

impl Serialize for Domains {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str(ALL),
            Self::Some(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Domains {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "`\"*\"` or a list of domains")]
        enum Written {
            Word(String),
            Names(BTreeSet<String>),
        }
        match Written::deserialize(deserializer)? {
            Written::Word(word) if word == ALL => Ok(Self::All),
            Written::Word(_) => Err(D::Error::custom("domains are `\"*\"` or a list of names")),
            Written::Names(names) if names.contains(ALL) => Err(D::Error::custom(DomainsError::AllAndMore)),
            Written::Names(names) => Ok(Self::Some(names)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(names: &[&str]) -> Domains {
        Domains::Some(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn domains_are_a_list_or_all() {
        assert_eq!("*".parse(), Ok(Domains::All));
        assert_eq!("b, a".parse(), Ok(some(&["a", "b"])));
        assert_eq!(some(&["a", "b"]).to_string(), "a,b");
        for text in ["", "a,", ",", " "] {
            assert_eq!(text.parse::<Domains>(), Err(DomainsError::Empty), "{text:?}");
        }
        assert_eq!("a,*".parse::<Domains>(), Err(DomainsError::AllAndMore));
    }

    #[test]
    fn only_the_names_in_the_list_are_allowed() {
        assert!(Domains::All.allows("any"));
        assert!(some(&["a"]).allows("a") && !some(&["a"]).allows("A") && !some(&["a"]).allows("*"));
        assert!(!some(&[]).allows(""));
    }

    #[test]
    fn json_has_a_star_or_a_list() {
        for (json, domains) in [
            (r#""*""#, Domains::All),
            (r#"["a","b"]"#, some(&["a", "b"])),
            ("[]", some(&[])),
        ] {
            assert_eq!(serde_json::to_string(&domains).unwrap(), json);
            assert_eq!(serde_json::from_str::<Domains>(json).unwrap(), domains);
        }
        for json in [r#""a""#, r#"["*"]"#, r#"["a","*"]"#, "null", "{}", "[1]"] {
            assert!(serde_json::from_str::<Domains>(json).is_err(), "{json}");
        }
    }
}
