//! Seals what a person sent, so that it can be kept outside of trunkd's memory: his next request may come
//! to another trunkd.
//!
//! It is encrypted with a key made from `trunkd:key`. Only the same person can open it, for a while.

use jiff::{SignedDuration, Timestamp};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::service::Service;
use super::{Caller, OperateError};
use crate::gateway::RevisionKey;

const TIME_BYTES: usize = size_of::<i64>();

/// What is sealed. One purpose can't open what another one sealed.
pub(super) struct Seal {
    /// It has a NUL, as no value of a gateway has: its digest is a key, and must never be shown.
    pub(super) label: &'static str,
    pub(super) lasts: SignedDuration,
}

impl Service {
    /// The key behind revisions and seals.
    pub(super) async fn secret_key(&self) -> Result<RevisionKey, OperateError> {
        let current = self.catalog.all().await;
        Ok(current.map_err(OperateError::unavailable(&self.settings))?.key)
    }
}

impl Seal {
    /// Encrypts parts of a content, one after the other.
    pub(super) fn seal(&self, of: &RevisionKey, by: &Caller, parts: &[&[u8]], now: Timestamp) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let time = now.as_second().to_be_bytes();
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut sealed = Vec::with_capacity(NONCE_LEN + TIME_BYTES + length + AES_128_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&time);
        parts.iter().for_each(|part| sealed.extend_from_slice(part));
        let nonce = Nonce::assume_unique_for_key(nonce);
        let content = &mut sealed[NONCE_LEN..];
        let tag = self
            .key(of)?
            .seal_in_place_separate_tag(nonce, owner(by), content)
            .ok()?;
        sealed.extend_from_slice(tag.as_ref());
        Some(sealed)
    }

    /// Decrypts it. `None`: it is another person's, too old, or broken.
    pub(super) fn open(&self, of: &RevisionKey, by: &Caller, mut sealed: Vec<u8>, now: Timestamp) -> Option<Vec<u8>> {
        let (nonce, bytes) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.key(of)?.open_in_place(nonce, owner(by), bytes).ok()?;
        let (time, content) = opened.split_at_checked(TIME_BYTES)?;
        let at = Timestamp::from_second(i64::from_be_bytes(time.try_into().ok()?)).ok()?;
        let length = content.len();
        if now.duration_since(at) > self.lasts {
            return None;
        }
        sealed.drain(..NONCE_LEN + TIME_BYTES);
        sealed.truncate(length);
        Some(sealed)
    }

    fn key(&self, of: &RevisionKey) -> Option<LessSafeKey> {
        let bytes = data_encoding::HEXLOWER.decode(of.digest(self.label).as_bytes()).ok()?;
        UnboundKey::new(&AES_128_GCM, &bytes).ok().map(LessSafeKey::new)
    }
}

fn owner(caller: &Caller) -> Aad<String> {
    Aad::from(caller.identity.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Domains, Identity, Role};

    const SEAL: Seal = Seal {
        label: "sealed\0test",
        lasts: SignedDuration::from_hours(12),
    };
    const OTHER: Seal = Seal {
        label: "sealed\0other",
        ..SEAL
    };

    fn caller(name: &str) -> Caller {
        Caller {
            identity: Identity::User(name.to_owned()),
            role: Role::Operator,
            domains: Domains::All,
        }
    }

    #[test]
    fn only_the_same_person_opens_what_is_sealed_and_not_for_ever() {
        let (ours, other) = (RevisionKey::new([7; 32]), RevisionKey::new([8; 32]));
        let (alice, bob) = (caller("alice"), caller("bob"));
        let now: Timestamp = "2026-11-26T10:00:00Z".parse().unwrap();
        let seal = || SEAL.seal(&ours, &alice, &[b"one ", b"two"], now).unwrap();
        let sealed = seal();
        assert_eq!(SEAL.open(&ours, &alice, sealed.clone(), now), Some(b"one two".to_vec()));
        assert_eq!(SEAL.open(&ours, &bob, sealed.clone(), now), None);
        assert_eq!(SEAL.open(&other, &alice, sealed.clone(), now), None);
        assert_eq!(OTHER.open(&ours, &alice, sealed.clone(), now), None);
        let later = now + SignedDuration::from_hours(13);
        assert_eq!(SEAL.open(&ours, &alice, sealed.clone(), later), None);
        for broken in [&b""[..], b"short", &sealed[1..], &sealed[..sealed.len() - 1]] {
            assert_eq!(SEAL.open(&ours, &alice, broken.to_vec(), now), None);
        }
        assert_ne!(seal(), sealed);
    }
}
