//! One gateway as XML, and the revision that tells its versions apart.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::escape::push_attribute;
use crate::gateway::{Direction, Gateway, REVISION_VARIABLE};

/// The key of the revisions: a rendered gateway holds its password, so a plain hash of it would let one be guessed.
#[derive(Clone, PartialEq, Eq)]
pub struct RevisionKey([u8; 32]);

/// A text that is no revision key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a revision key is 64 hexadecimal digits")]
pub struct KeyError;

impl RevisionKey {
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Reads 64 hexadecimal digits, in either case.
    pub fn from_hex(hex: &str) -> Result<Self, KeyError> {
        let hex = hex.as_bytes();
        if hex.len() != 64 {
            return Err(KeyError);
        }
        let digit = |c: u8| {
            char::from(c)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
                .ok_or(KeyError)
        };
        let mut key = [0; 32];
        for (byte, pair) in key.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(key))
    }

    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// The first 128 bits of HMAC-SHA256 under the key, in hexadecimal: tells texts apart without giving them away.
    pub fn digest(&self, text: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes()[..16])
    }
}

impl fmt::Debug for RevisionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevisionKey(redacted)")
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

/// A gateway as FreeSWITCH reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct RenderedGateway {
    /// The `<gateway>` element with its revision in it: one element a line, the last line ended.
    pub xml: String,
    /// 32 hexadecimal digits.
    pub revision: String,
}

impl fmt::Debug for RenderedGateway {
    /// Without the XML, which holds the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderedGateway")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// Renders one gateway. The same gateway under the same key has the same revision, in whatever order its JSON was
/// written.
pub fn render_gateway(gateway: &Gateway, key: &RevisionKey) -> RenderedGateway {
    let mut xml = String::new();
    let revision = push_gateway(&mut xml, gateway, key, "");
    RenderedGateway { xml, revision }
}

/// The revision of a gateway, without rendering more than it needs.
pub fn revision(gateway: &Gateway, key: &RevisionKey) -> String {
    let mut bare = String::with_capacity(1024);
    write_gateway(&mut bare, gateway, None, "");
    key.digest(&bare)
}

/// Appends the `<gateway>` element, each line behind `indent`, and returns the revision.
pub(super) fn push_gateway(out: &mut String, gateway: &Gateway, key: &RevisionKey, indent: &str) -> String {
    let revision = revision(gateway, key);
    write_gateway(out, gateway, Some(&revision), indent);
    revision
}

/// The one form a gateway is written in. What `revision` is an HMAC of is this, without it and not indented.
fn write_gateway(out: &mut String, gateway: &Gateway, revision: Option<&str>, indent: &str) {
    let line = |out: &mut String, parts: &[Part<'_>]| {
        out.push_str(indent);
        for part in parts {
            match part {
                Part::Plain(text) => out.push_str(text),
                Part::Value(text) => push_attribute(out, text),
            }
        }
        out.push('\n');
    };
    use Part::{Plain, Value};
    line(
        out,
        &[Plain("<gateway name=\""), Value(gateway.name.as_str()), Plain("\">")],
    );
    for (name, value) in gateway.params.iter() {
        line(
            out,
            &[
                Plain("  <param name=\""),
                Value(name),
                Plain("\" value=\""),
                Value(value),
                Plain("\"/>"),
            ],
        );
    }
    if revision.is_some() || !gateway.variables.is_empty() {
        line(out, &[Plain("  <variables>")]);
        let variable = |out: &mut String, name: &str, value: &str, direction: Direction| {
            let end = match direction {
                Direction::Both => "\"/>",
                Direction::Inbound => "\" direction=\"inbound\"/>",
                Direction::Outbound => "\" direction=\"outbound\"/>",
            };
            line(
                out,
                &[
                    Plain("    <variable name=\""),
                    Value(name),
                    Plain("\" value=\""),
                    Value(value),
                    Plain(end),
                ],
            );
        };
        for v in gateway.variables.iter() {
            variable(out, v.name, v.value, v.direction);
        }
        if let Some(revision) = revision {
            // One direction is enough to read it back (FACTS 26), and keeps it out of outbound calls.
            variable(out, REVISION_VARIABLE, revision, Direction::Inbound);
        }
        line(out, &[Plain("  </variables>")]);
    }
    line(out, &[Plain("</gateway>")]);
}

enum Part<'a> {
    Plain(&'a str),
    Value(&'a str),
}
