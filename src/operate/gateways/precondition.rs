//! Versions of stored values, and the conditions of a write.

use data_encoding::HEXLOWER;

use crate::gateway::RevisionKey;

/// A version of a stored value, as it stands in an `ETag` header, without the quotes. Made with a key,
/// so that it reveals nothing of the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

/// What must be true of the stored value for a write to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    #[default]
    None,
    /// It is one of these versions: `If-Match: "…"`.
    Version(Vec<ETag>),
    /// There is one: `If-Match: *`.
    Exists,
    /// There is none: `If-None-Match: *`.
    Absent,
}

impl ETag {
    pub(super) fn of(key: &RevisionKey, value: &[u8]) -> Self {
        // A digest of the bytes, also of those that are no text.
        let hex = HEXLOWER.encode(value);
        Self(key.digest(&hex))
    }

    /// Without its quotes.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Precondition {
    pub(super) fn holds(&self, stored: Option<&[u8]>, key: &RevisionKey) -> bool {
        match (self, stored) {
            (Self::None, _) | (Self::Exists, Some(_)) | (Self::Absent, None) => true,
            (Self::Version(wanted), Some(stored)) => wanted.contains(&ETag::of(key, stored)),
            (Self::Version(_) | Self::Exists, None) | (Self::Absent, Some(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_happens_only_if_its_condition_holds() {
        let key = RevisionKey::new([7; 32]);
        let (old, new) = (b"old".as_slice(), b"new".as_slice());
        let version = Precondition::Version(vec![ETag::of(&key, old)]);
        assert!(version.holds(Some(old), &key));
        assert!(!version.holds(Some(new), &key) && !version.holds(None, &key));
        assert!(Precondition::Exists.holds(Some(old), &key) && !Precondition::Exists.holds(None, &key));
        assert!(Precondition::Absent.holds(None, &key) && !Precondition::Absent.holds(Some(old), &key));
        assert!(Precondition::None.holds(None, &key) && Precondition::None.holds(Some(old), &key));
    }

    #[test]
    fn a_version_reveals_nothing_without_the_key() {
        let of = |key: u8| ETag::of(&RevisionKey::new([key; 32]), b"secret");
        assert_ne!(of(1), of(2));
        assert_eq!(of(1), of(1));
    }
}
