//! Seals a secret that a person typed, so that a page can carry it from one request to the next.
//!
//! Pages are made anew by each request, perhaps by another trunkd. A password that was typed goes into
//! the page encrypted, and only the same person can send it back, for a few hours.

use jiff::{SignedDuration, Timestamp};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{ExposeSecret, SecretString};

use super::super::service::Service;
use super::super::{Caller, OperateError};
use crate::gateway::RevisionKey;

/// No value of a gateway has a NUL, so its digest is never shown.
const LABEL: &str = "sealed\0form";
/// As long as a session without a request.
const VALID_FOR: SignedDuration = SignedDuration::from_hours(12);
const TIME_BYTES: usize = size_of::<i64>();

impl Service {
    /// Encrypts a secret for this caller's next request.
    ///
    /// # Errors
    /// The key in Redis was never read.
    pub async fn seal(&self, caller: &Caller, secret: &SecretString) -> Result<Option<String>, OperateError> {
        let current = self.catalog.all().await;
        let current = current.map_err(OperateError::unavailable(&self.settings))?;
        Ok(seal(&current.key, caller, secret, Timestamp::now()))
    }

    /// Decrypts what [`Service::seal`] made for this caller. `None`: it is another caller's, or too old.
    ///
    /// # Errors
    /// The key in Redis was never read.
    pub async fn unseal(&self, caller: &Caller, sealed: &str) -> Result<Option<SecretString>, OperateError> {
        let current = self.catalog.all().await;
        let current = current.map_err(OperateError::unavailable(&self.settings))?;
        Ok(unseal(&current.key, caller, sealed, Timestamp::now()))
    }
}

fn key(key: &RevisionKey) -> Option<LessSafeKey> {
    let bytes = data_encoding::HEXLOWER.decode(key.digest(LABEL).as_bytes()).ok()?;
    UnboundKey::new(&AES_128_GCM, &bytes).ok().map(LessSafeKey::new)
}

fn owner(caller: &Caller) -> Aad<String> {
    Aad::from(caller.identity.to_string())
}

fn seal(of: &RevisionKey, caller: &Caller, secret: &SecretString, now: Timestamp) -> Option<String> {
    let nonce: [u8; NONCE_LEN] = rand::random();
    let mut bytes = now.as_second().to_be_bytes().to_vec();
    bytes.extend_from_slice(secret.expose_secret().as_bytes());
    let key = key(of)?;
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), owner(caller), &mut bytes)
        .ok()?;
    Some(data_encoding::BASE64URL_NOPAD.encode(&[&nonce[..], &bytes].concat()))
}

fn unseal(of: &RevisionKey, caller: &Caller, sealed: &str, now: Timestamp) -> Option<SecretString> {
    let mut sealed = data_encoding::BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
    let (nonce, bytes) = sealed.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let opened = key(of)?.open_in_place(nonce, owner(caller), bytes).ok()?;
    let (time, secret) = opened.split_at_checked(TIME_BYTES)?;
    let at = Timestamp::from_second(i64::from_be_bytes(time.try_into().ok()?)).ok()?;
    let is_fresh = now.duration_since(at) <= VALID_FOR;
    let secret = String::from_utf8(secret.to_vec()).ok()?;
    is_fresh.then(|| SecretString::from(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Domains, Identity, Role};

    fn caller(name: &str) -> Caller {
        Caller {
            identity: Identity::User(name.to_owned()),
            role: Role::Operator,
            domains: Domains::All,
        }
    }

    #[test]
    fn only_the_same_person_opens_a_sealed_secret_and_not_for_ever() {
        let (ours, other) = (RevisionKey::new([7; 32]), RevisionKey::new([8; 32]));
        let (alice, bob) = (caller("alice"), caller("bob"));
        let now: Timestamp = "2026-11-26T10:00:00Z".parse().unwrap();
        let secret = SecretString::from("pass wörd".to_owned());
        let sealed = seal(&ours, &alice, &secret, now).unwrap();
        let open = |key, caller, sealed: &str, at| unseal(key, caller, sealed, at);
        let opened = open(&ours, &alice, &sealed, now).unwrap();
        assert_eq!(opened.expose_secret(), "pass wörd");
        assert!(open(&ours, &bob, &sealed, now).is_none());
        assert!(open(&other, &alice, &sealed, now).is_none());
        assert!(open(&ours, &alice, &sealed, now + SignedDuration::from_hours(13)).is_none());
        for broken in ["", "AAAA", "!", &sealed[1..]] {
            assert!(open(&ours, &alice, broken, now).is_none(), "{broken}");
        }
        assert_ne!(seal(&ours, &alice, &secret, now), Some(sealed));
    }
}
