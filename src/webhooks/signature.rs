//! Signs a post, so that its receiver knows who sent it and when.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of `X-Trunkd-Signature`: `sha256=` and the HMAC-SHA256 of `<timestamp>.<body>` in
/// hexadecimal.
pub(super) fn signature(secret: &str, timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    for part in [timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("sha256={}", HEXLOWER.encode(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '%s.%s' 1764151200 '{"id":"1-0"}' | openssl dgst -sha256 -hmac secret`
    #[test]
    fn the_signature_is_what_openssl_computes() {
        assert_eq!(
            signature("secret", "1764151200", r#"{"id":"1-0"}"#),
            "sha256=2c2c0433e27482ecb1f144732f76ea7375334d168a9c1faddf67b3159cd7134a"
        );
    }

    #[test]
    fn another_secret_time_or_body_gives_another_signature() {
        let signed = signature("secret", "1", "body");
        for other in [
            signature("Secret", "1", "body"),
            signature("secret", "2", "body"),
            signature("secret", "1", "Body"),
        ] {
            assert_ne!(signed, other);
        }
    }
}
