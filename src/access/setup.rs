//! The first admin, made with a one-time code while there is no user.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use secrecy::{ExposeSecret, SecretString};

use super::Access;
use super::attempts::of_address;
use super::domains::Domains;
use super::error::AccessError;
use super::role::Role;
use super::secret::{hash_of, new_secret};
use super::sessions::SignedIn;
use super::users::{NewUser, UserRecord, check_new};
use crate::keys;
use crate::redis::StoreError;

pub const SETUP_CODE_LASTS: Duration = Duration::from_secs(15 * 60);

static NEW_CODE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
         redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
         return 1",
    )
});

static USE_CODE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
         redis.call('DEL', KEYS[2])
         redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
         return 1",
    )
});

impl Access {
    /// A code that makes the first admin, valid once and for [`SETUP_CODE_LASTS`]. It replaces an
    /// earlier one. `None` if there are users.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn new_setup_code(&self) -> Result<Option<SecretString>, StoreError> {
        let code = new_secret("");
        let call = &mut NEW_CODE.key(keys::USERS);
        call.key(keys::SETUP)
            .arg(hash_of(code.expose_secret()))
            .arg(SETUP_CODE_LASTS.as_secs());
        let made: bool = self.run("make setup code", call).await?;
        Ok(made.then_some(code))
    }

    /// Makes the first admin, and opens his session.
    ///
    /// # Errors
    /// [`AccessError::WrongSetupCode`], also if there are users; the name or the password is bad;
    /// [`AccessError::TooMany`] or [`AccessError::Busy`].
    pub async fn use_setup_code(
        &self,
        code: &str,
        name: &str,
        password: SecretString,
        peer: IpAddr,
    ) -> Result<SignedIn, AccessError> {
        let new = NewUser {
            name: name.to_owned(),
            role: Role::Admin,
            domains: Domains::All,
            password,
        };
        check_new(&new)?;
        let place = self.passwords.place()?;
        let attempt = self.begin_attempt(vec![of_address(peer)]).await?;
        let record = UserRecord::new(&new, place).await?;
        let call = &mut USE_CODE.key(keys::USERS);
        call.key(keys::SETUP).arg(hash_of(code)).arg(name).arg(record.json());
        match self.run::<bool>("use setup code", call).await? {
            true => {
                self.attempt_succeeded(attempt, name).await?;
                Ok(self.open_session(name, record).await?)
            }
            false => {
                self.attempt_failed(attempt).await?;
                Err(AccessError::WrongSetupCode)
            }
        }
    }
}
