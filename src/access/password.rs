//! Passwords: their limits, and their argon2id hashes, computed a few at a time and away from the
//! threads that answer requests.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::AccessError;
use crate::keys;

pub const MIN_PASSWORD_CHARS: usize = 8;
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// One takes 19 MiB and tens of milliseconds of a core. More at a time would slow down the requests
/// of FreeSWITCH on a small machine.
const MAX_RUNNING: usize = 2;
/// Half a second's work. With this many waiting, the next one is refused immediately.
const MAX_WAITING: usize = 16;

/// A hash of no password, with the parameters of the real ones: a name that nobody has must take as
/// long as a wrong password.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$dHJ1bmtkLW5vYm9keSE$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Clones share the limits.
#[derive(Clone)]
pub(super) struct Passwords {
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// A place among those that compute or wait.
pub(super) struct Place {
    place: OwnedSemaphorePermit,
    running: Arc<Semaphore>,
}

pub(super) fn check_password(password: &SecretString) -> Result<(), AccessError> {
    let password = password.expose_secret();
    if password.chars().count() < MIN_PASSWORD_CHARS {
        return Err(AccessError::PasswordTooShort {
            min: MIN_PASSWORD_CHARS,
        });
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(AccessError::PasswordTooLong {
            max_bytes: MAX_PASSWORD_BYTES,
        });
    }
    Ok(())
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MAX_RUNNING + MAX_WAITING)),
            running: Arc::new(Semaphore::new(MAX_RUNNING)),
        }
    }

    /// # Errors
    /// [`AccessError::Busy`], if too many wait.
    pub(super) fn place(&self) -> Result<Place, AccessError> {
        let place = self.places.clone().try_acquire_owned();
        Ok(Place {
            place: place.map_err(|_| AccessError::Busy)?,
            running: self.running.clone(),
        })
    }
}

impl Place {
    /// The hash to store, a PHC string with a salt of its own.
    pub(super) async fn hash(self, password: &SecretString) -> Result<String, AccessError> {
        let password = password.clone();
        let hash = self.compute(move || {
            let hash = Argon2::default().hash_password(password.expose_secret().as_bytes());
            hash.map(|hash| hash.to_string())
        });
        hash.await?.map_err(|error| AccessError::Hash(error.to_string()))
    }

    /// Whether `hash` is of this password. Takes as long without a hash, and answers no.
    pub(super) async fn verify(self, password: &SecretString, hash: Option<&str>) -> Result<bool, AccessError> {
        let password = password.clone();
        let is_somebodys = hash.is_some();
        let hash = hash.unwrap_or(NOBODYS_HASH).to_owned();
        let verified =
            self.compute(move || Argon2::default().verify_password(password.expose_secret().as_bytes(), hash.as_str()));
        match verified.await? {
            Ok(()) => Ok(is_somebodys),
            Err(Error::PasswordInvalid) => Ok(false),
            // Not one of ours. A person must not be able to tell it from a wrong password.
            Err(error) => {
                tracing::warn!("the password hash of a user in {} can't be used: {error}", keys::USERS);
                Ok(false)
            }
        }
    }

    /// Waits for its turn. The caller may go away meanwhile: the place is free only when the
    /// work is done.
    async fn compute<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AccessError> {
        let turn = self.running.acquire_owned().await;
        let turn = turn.map_err(|_| AccessError::Busy)?;
        let place = self.place;
        let work = move || {
            let done = work();
            drop((turn, place));
            done
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| AccessError::Hash("the computation ended early".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    #[test]
    fn a_password_has_limits() {
        let length = |text: &str| check_password(&secret(text));
        assert!(length("12345678").is_ok());
        assert!(length("顶顶通密码密码").is_err(), "7 characters in 21 bytes");
        assert!(length("顶顶通密码密码一").is_ok());
        assert!(length(&"x".repeat(MAX_PASSWORD_BYTES)).is_ok());
        let long = length(&"x".repeat(MAX_PASSWORD_BYTES + 1));
        assert!(matches!(long, Err(AccessError::PasswordTooLong { .. })));
    }

    #[tokio::test]
    async fn only_the_right_password_matches_its_hash() {
        let passwords = Passwords::new();
        let hash = async |text: &str| passwords.place().unwrap().hash(&secret(text)).await.unwrap();
        let (one, other) = (hash("correct horse").await, hash("correct horse").await);
        assert_ne!(one, other, "each has a salt of its own");
        // The dummy takes as long as these.
        let parameters = NOBODYS_HASH.rsplitn(3, '$').last().unwrap();
        assert!(one.starts_with(parameters), "{one} is not of {parameters}");

        let verify = async |text: &str, hash: Option<&str>| {
            let place = passwords.place().unwrap();
            place.verify(&secret(text), hash).await.unwrap()
        };
        assert!(verify("correct horse", Some(&one)).await);
        assert!(!verify("Correct horse", Some(&one)).await);
        assert!(!verify("correct horse", None).await);
        assert!(!verify("correct horse", Some("no hash")).await);
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let passwords = Passwords::new();
        let mut places: Vec<_> = (0..MAX_RUNNING + MAX_WAITING)
            .map(|_| passwords.place().unwrap())
            .collect();
        assert!(matches!(passwords.place(), Err(AccessError::Busy)));
        let place = places.pop().unwrap();
        place.hash(&secret("correct horse")).await.unwrap();
        assert!(passwords.place().is_ok(), "a place is free when its work is done");
    }
}
