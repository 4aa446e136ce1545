//! Secrets that trunkd makes, and the hash that is stored in their place.
//!
//! They have 256 random bits, so a plain SHA-256 is enough: there is nothing to guess. Looking one
//! up by its hash also compares it without telling how much of it was right.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

/// 43 characters that need no escaping in a URL, a cookie or a header, from the operating system.
///
/// # Panics
/// The operating system has no random numbers.
pub(super) fn new_secret(prefix: &str) -> SecretString {
    let bytes: [u8; 32] = UnwrapErr(SysRng).random();
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)).into()
}

/// The SHA-256 of a secret, in hexadecimal.
pub(super) fn hash_of(secret: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(secret).into();
    HEXLOWER.encode(&hash)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_is_new_each_time_and_needs_no_escaping() {
        let secrets = [new_secret("trk_"), new_secret("trk_")];
        for secret in &secrets {
            let random = secret.expose_secret().strip_prefix("trk_").unwrap();
            assert_eq!(random.len(), 43);
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            assert!(random.chars().all(is_plain));
        }
        assert_ne!(secrets[0].expose_secret(), secrets[1].expose_secret());
    }

    #[test]
    fn the_hash_is_sha_256_in_hexadecimal() {
        assert_eq!(
            hash_of("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
