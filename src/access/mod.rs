//! Who may do what: users with passwords, tokens of programs, sessions, and the pace of sign-ins.
//!
//! All state is in Redis, so that every trunkd knows it immediately: a token that was revoked, or a
//! session whose password was changed, is refused by each of them. Secrets are stored as hashes
//! only. What a caller may do with gateways is asked by `operate`. No HTTP, no terminal.

mod attempts;
mod caller;
mod domains;
mod error;
mod grant;
mod password;
mod remembered;
mod role;
mod secret;
mod sessions;
mod setup;
mod tokens;
mod users;

use std::sync::Arc;

use redis::{FromRedisValue, ScriptInvocation};

pub use caller::{Caller, Forbidden, Identity};
pub use domains::{Domains, DomainsError};
pub use error::AccessError;
pub use password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS};
pub use role::{Role, UnknownRole};
pub use sessions::{SESSION_LASTS, SignedIn};
pub use setup::SETUP_CODE_LASTS;
pub use tokens::{NewToken, Token};
pub use users::{NewUser, User};

use crate::redis::{Store, StoreError};
use password::Passwords;
use remembered::Remembered;

/// Users, tokens and sessions. Clones share the limit on passwords that are computed at a time, and the
/// sessions that were valid lately.
#[derive(Clone)]
pub struct Access {
    store: Store,
    passwords: Passwords,
    remembered: Arc<Remembered>,
}

impl Access {
    pub fn new(store: Store) -> Self {
        Self {
            store,
            passwords: Passwords::new(),
            remembered: Arc::default(),
        }
    }

    async fn run<T: FromRedisValue>(
        &self,
        operation: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.store
            .write(operation, self.store.timeout(), async |connection| {
                script.invoke_async(connection).await
            })
            .await
    }
}
