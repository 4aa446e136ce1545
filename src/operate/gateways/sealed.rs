//! Seals a secret that a person typed, so that a page can carry it from one request to the next.

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use super::super::sealed::Seal;
use super::super::service::Service;
use super::super::{Caller, OperateError};

const FORM: Seal = Seal {
    label: "sealed\0form",
    // As long as a session without a request.
    lasts: SignedDuration::from_hours(12),
};

impl Service {
    /// Encrypts a secret for this caller's next request.
    ///
    /// # Errors
    /// The key in Redis was never read.
    pub async fn seal(&self, caller: &Caller, secret: &SecretString) -> Result<Option<String>, OperateError> {
        let key = self.secret_key().await?;
        let sealed = FORM.seal(&key, caller, &[secret.expose_secret().as_bytes()], Timestamp::now());
        Ok(sealed.map(|sealed| data_encoding::BASE64URL_NOPAD.encode(&sealed)))
    }

    /// Decrypts what [`Service::seal`] made for this caller. `None`: it is another caller's, or too old.
    ///
    /// # Errors
    /// The key in Redis was never read.
    pub async fn unseal(&self, caller: &Caller, sealed: &str) -> Result<Option<SecretString>, OperateError> {
        let key = self.secret_key().await?;
        let sealed = data_encoding::BASE64URL_NOPAD.decode(sealed.as_bytes()).ok();
        let opened = sealed.and_then(|sealed| FORM.open(&key, caller, sealed, Timestamp::now()));
        Ok(opened.and_then(|secret| Some(SecretString::from(String::from_utf8(secret).ok()?))))
    }
}
