//! Why somebody could not be let in, or a user or token could not be changed. No error holds a
//! secret.

use std::time::Duration;

use crate::redis::StoreError;
use crate::shown::shown;

#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{} is not a name: use 1 to 64 of A-Z, a-z, 0-9 and ._@-", shown(.0))]
    BadName(String),
    #[error("the password is too short: use at least {min} characters")]
    PasswordTooShort { min: usize },
    #[error("the password is too long: use at most {max_bytes} bytes")]
    PasswordTooLong { max_bytes: usize },
    #[error("an admin has all domains: leave the domains out, or make it an operator")]
    AdminOfSomeDomains,
    #[error("no domain is given: name some, or `*` for all")]
    NoDomains,
    #[error("there is a user {0} already")]
    UserExists(String),
    #[error("there is no user {}", shown(.0))]
    UnknownUser(String),
    #[error("{0} is the last admin: make another one first")]
    LastAdmin(String),
    #[error("user {0} was changed by somebody else at the same moment: try again")]
    UserChanged(String),
    #[error("there is a token {0} already: revoke it first, or choose another name")]
    TokenExists(String),
    #[error("there is no token {}", shown(.0))]
    UnknownToken(String),
    /// Doesn't say which of the two is wrong.
    #[error("the name or the password is wrong")]
    WrongCredentials,
    #[error(
        "the setup code is wrong, expired, or was used: a restart of trunkd prints a new one while there is no user"
    )]
    WrongSetupCode,
    #[error("too many failed attempts: try again in {} s", .retry_after.as_millis().div_ceil(1000))]
    TooMany { retry_after: Duration },
    #[error("too many people sign in at this moment: try again")]
    Busy,
    #[error("there are {max} {what} already, the most that there can be: remove one first")]
    Full { what: &'static str, max: usize },
    #[error("the password can't be hashed: {0}")]
    Hash(String),
}
