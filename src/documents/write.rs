//! Writes documents.

use std::convert::Infallible;
use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::record::{DOMAIN, NAME, VALUE, needs_own_key};
use super::secret::SecretText;
use super::{Format, MAX_DEPTH, MAX_KEY_BYTES, json, yaml};
use crate::gateway::{Document, DomainName, GatewayName, Member, Members, NameError};
use crate::language::{Message, text};

/// What becomes of secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secrets {
    /// They are left out. Reading the file keeps what is stored.
    #[default]
    Omit,
    /// References to environment variables, one for each.
    Env,
    Plain,
}

/// Why a stored gateway can't be a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwritable {
    /// Only the whole key has a name that can't be written.
    Domain,
    Name(NameError),
    /// The sentence says why.
    Value(Message),
    TooDeep,
    Key,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain => f.write_str("its domain is empty, longer than 255 bytes or has control characters"),
            Self::Name(error) => write!(f, "{error}"),
            Self::Value(said) => f.write_str(said.en()),
            Self::TooDeep => write!(f, "its value has more than {MAX_DEPTH} lists and objects in each other"),
            Self::Key => write!(f, "a key of its value is longer than {MAX_KEY_BYTES} bytes"),
        }
    }
}

/// Appends the document of a stored gateway.
///
/// # Errors
/// [`Unwritable`]: reading it back would not give the same.
pub fn write(
    out: &mut String,
    domain: &DomainName,
    name: &[u8],
    value: &[u8],
    secrets: Secrets,
    format: Format,
) -> Result<(), Unwritable> {
    if !domain.is_writable() {
        return Err(Unwritable::Domain);
    }
    let name = GatewayName::parse(&String::from_utf8_lossy(name)).map_err(Unwritable::Name)?;
    let value = Document::parse(value).map_err(Unwritable::Value)?;
    let bad_text = || {
        let said = text(
            "it has an escape that stands for no character, or is too deep",
            "它含有不对应任何字符的转义，或者嵌套过深",
        );
        Unwritable::Value(said.into())
    };
    let value = with_secrets(value.to_plain().ok_or_else(bad_text)?, domain, &name, secrets);
    if has_long_key(value.members()) {
        return Err(Unwritable::Key);
    }
    let mut document = Document::empty();
    document.set(DOMAIN, &(&**domain.text()).into());
    document.set(NAME, &name.as_str().into());
    match needs_own_key(&value) {
        true => document.put_object(VALUE, value),
        false => document.append(value),
    }
    let text = document.to_json();
    if json::depth(&text) > MAX_DEPTH {
        return Err(Unwritable::TooDeep);
    }
    match format {
        Format::Json => {
            out.push_str(&text);
            out.push('\n');
        }
        Format::Yaml => {
            out.push_str("---\n");
            block(out, document.members(), 0);
        }
    }
    Ok(())
}

fn with_secrets(mut value: Document, domain: &DomainName, name: &GatewayName, secrets: Secrets) -> Document {
    let changed: Result<(), Infallible> = match secrets {
        Secrets::Omit => return value.without_secrets(),
        Secrets::Env => {
            value.drop_odd_secrets();
            value.change_secrets(|param, _| Ok(format!("${{env:{}}}", variable(domain, name, param))))
        }
        Secrets::Plain => value.change_secrets(|_, text| Ok(SecretText::escape(text))),
    };
    match changed {
        Ok(()) => value,
    }
}

/// The environment variable of a secret: `TRUNKD_SECRET_default_carrier1_password`. If a name has other
/// characters, a digest behind it keeps it apart from others.
fn variable(domain: &DomainName, name: &GatewayName, param: &str) -> String {
    let parts = [domain.text(), name.as_str(), param];
    let plain = |part: &str| -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        part.chars().map(plain).collect()
    };
    let variable = format!("TRUNKD_SECRET_{}", parts.map(plain).join("_"));
    match parts.iter().all(|part| part.chars().all(|c| c.is_ascii_alphanumeric())) {
        true => variable,
        false => {
            let digest = HEXLOWER.encode(&Sha256::digest(parts.join("/")));
            format!("{variable}_{}", &digest[..8])
        }
    }
}

fn has_long_key(members: Members<'_>) -> bool {
    members.iter().any(|(key, member)| {
        key.len() > MAX_KEY_BYTES || matches!(member, Member::Object(members) if has_long_key(members))
    })
}

/// A line for each member.
fn block(out: &mut String, members: Members<'_>, indent: usize) {
    for (key, member) in members.iter() {
        out.extend(std::iter::repeat_n(' ', indent));
        let key = serde_json::Value::from(key).to_string();
        out.push_str(&scalar(&key));
        out.push(':');
        match member {
            Member::Object(members) if !members.is_empty() => {
                out.push('\n');
                block(out, members, indent + 2);
            }
            Member::Object(_) => out.push_str(" {}\n"),
            Member::Json(json) => {
                out.push(' ');
                out.push_str(&scalar(json));
                out.push('\n');
            }
        }
    }
}

/// JSON is YAML. Short words are written without quotes.
fn scalar(json: &str) -> String {
    let word = json.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
    match word.filter(|word| is_plain_word(word)) {
        Some(word) => word.to_owned(),
        None => escaped(json),
    }
}

/// Nothing that any parser of YAML takes for something else than a text.
fn is_plain_word(word: &str) -> bool {
    const OTHER: [&str; 12] = [
        "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity",
    ];
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '@');
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(is_good)
        && !OTHER.iter().any(|other| word.eq_ignore_ascii_case(other))
        && yaml::plain(word).is_none()
}

/// With the characters that YAML doesn't print, or takes for line ends, as escapes. Beyond ASCII they are
/// inside of strings.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}
