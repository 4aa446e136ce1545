//! The revision of a gateway identifies a version on a switch and in Redis without revealing it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Gateway;
use super::canonical::canonical;

/// Hexadecimal digits of the HMAC in a revision, before the [`KEY_ID_DIGITS`] that identify the key.
/// The first are what people see.
const MAC_DIGITS: usize = 24;
/// Enough to tell that a revision was made with another key: that is looked at over all gateways of a switch.
const KEY_ID_DIGITS: usize = 8;

/// The key of the revisions: a gateway's form holds its password, so a plain hash of it would let one be
/// guessed.
///
/// It also knows the keys that were replaced by it: what still runs with a revision made with one of
/// those is not restarted for that.
#[derive(Clone, PartialEq, Eq)]
pub struct RevisionKey {
    secret: Secret,
    /// Sorted, each once.
    former: Vec<Secret>,
}

type Secret = [u8; 32];

/// A text that is no revision key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a revision key is 64 hexadecimal digits")]
pub struct KeyError;

impl RevisionKey {
    pub const fn new(secret: [u8; 32]) -> Self {
        Self {
            secret,
            former: Vec::new(),
        }
    }

    /// The same key, after those. Which ones those knew doesn't matter.
    #[must_use]
    pub fn after(&self, former: &[Self]) -> Self {
        let mut secrets: Vec<_> = former.iter().map(|key| key.secret).collect();
        secrets.retain(|secret| *secret != self.secret);
        secrets.sort_unstable();
        secrets.dedup();
        Self {
            secret: self.secret,
            former: secrets,
        }
    }

    /// The keys that it replaced.
    pub fn former(&self) -> Vec<Self> {
        self.former.iter().map(|secret| Self::new(*secret)).collect()
    }

    /// Reads 64 hexadecimal digits, in either case.
    ///
    /// # Errors
    /// [`KeyError`].
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
        let mut secret = [0; 32];
        for (byte, pair) in secret.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self::new(secret))
    }

    /// Without the former keys.
    pub fn to_hex(&self) -> String {
        hex(&self.secret)
    }

    /// The first 128 bits of HMAC-SHA256 under the key, in hexadecimal: identifies a text without revealing it.
    pub fn digest(&self, text: &str) -> String {
        digest(&self.secret, text)
    }

    /// Whether a revision was made with this key or one of the former ones. With any other, nothing can
    /// be said of the gateway that has it.
    pub fn can_tell(&self, revision: &str) -> bool {
        let mut secrets = std::iter::once(&self.secret).chain(&self.former);
        secrets.any(|secret| revision.ends_with(&key_id(secret)))
    }
}

impl fmt::Debug for RevisionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevisionKey(redacted)")
    }
}

/// The revision of a gateway: 32 hexadecimal digits. Gateways that mean the same to FreeSWITCH have the
/// same one under the same key, in every release.
pub fn revision(gateway: &Gateway, key: &RevisionKey) -> String {
    made_with(&key.secret, &canonical(gateway))
}

/// The revisions that the same version of the gateway had under the former keys.
pub fn former_revisions(gateway: &Gateway, key: &RevisionKey) -> Box<[String]> {
    if key.former.is_empty() {
        return Box::default();
    }
    let form = canonical(gateway);
    key.former.iter().map(|secret| made_with(secret, &form)).collect()
}

fn made_with(secret: &Secret, form: &str) -> String {
    let mut revision = digest(secret, form);
    revision.truncate(MAC_DIGITS);
    revision.push_str(&key_id(secret));
    revision
}

/// Tells keys apart without giving them away.
fn key_id(secret: &Secret) -> String {
    let mut id = digest(secret, "trunkd key");
    id.truncate(KEY_ID_DIGITS);
    id
}

fn digest(secret: &Secret, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes()[..16])
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_can_tell_the_revisions_that_it_or_a_former_one_made() {
        let [a, b, c] = [1, 2, 3].map(|byte| RevisionKey::new([byte; 32]));
        let by = |key: &RevisionKey| made_with(&key.secret, "form");
        assert_eq!(by(&a).len(), MAC_DIGITS + KEY_ID_DIGITS);
        let key = b.after(&[a.clone(), b.clone(), a.clone()]);
        assert!(key.can_tell(&by(&a)) && key.can_tell(&by(&b)) && !key.can_tell(&by(&c)));
        assert!(!a.can_tell(&by(&b)) && !a.can_tell("") && !a.can_tell("made by hand"));
        assert_eq!(key.former(), std::slice::from_ref(&a));
        assert_ne!(key, b);
        assert_eq!(key.to_hex(), b.to_hex());
        assert_ne!(by(&a)[..MAC_DIGITS], by(&b)[..MAC_DIGITS]);
    }
}
