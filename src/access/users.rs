//! Users and their passwords.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use redis::Script;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Access;
use super::attempts::possible_name;
use super::domains::Domains;
use super::error::AccessError;
use super::grant::{check_domains, check_name};
use super::password::{Place, check_password};
use super::role::Role;
use crate::keys;
use crate::language::text;
use crate::redis::StoreError;
use crate::shown::shown;

/// The list is read whole, and stays a list that a person can read.
const MAX_USERS: usize = 1_000;

/// A person who signs in with a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct User {
    pub name: String,
    /// `viewer`, `operator` or `admin`.
    #[schema(value_type = String)]
    pub role: Role,
    /// `"*"`, or a list of names.
    #[schema(value_type = serde_json::Value)]
    pub domains: Domains,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct NewUser {
    pub name: String,
    pub role: Role,
    pub domains: Domains,
    pub password: SecretString,
}

/// A value of the hash `trunkd:users`. No `Debug`: it holds the hash of a password.
#[derive(Serialize, Deserialize)]
pub(super) struct UserRecord {
    pub(super) role: Role,
    pub(super) domains: Domains,
    /// A PHC string.
    pub(super) password: String,
    /// A session is valid while it carries the same. Random, so that it is another for a user who
    /// is removed and made again.
    pub(super) epoch: String,
    created_at: Timestamp,
}

/// A user added while there was none makes the setup code useless, so that it is no way back in.
static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 'taken' end
         if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 'full' end
         redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
         redis.call('DEL', KEYS[2])
         return 'added'",
    )
});

static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
         redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
         return 1",
    )
});

static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local function is_admin(text)
           local is_json, user = pcall(cjson.decode, text)
           return is_json and type(user) == 'table' and user.role == 'admin'
         end
         local record = redis.call('HGET', KEYS[1], ARGV[1])
         if not record then return 'unknown' end
         if is_admin(record) then
           local admins = 0
           for _, text in ipairs(redis.call('HVALS', KEYS[1])) do
             if is_admin(text) then admins = admins + 1 end
           end
           if admins == 1 then return 'last' end
         end
         redis.call('HDEL', KEYS[1], ARGV[1])
         return 'removed'",
    )
});

impl Access {
    /// # Errors
    /// [`StoreError`].
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        self.store
            .read("count users", self.store.timeout(), async |connection| {
                redis::cmd("EXISTS").arg(keys::USERS).query_async(connection).await
            })
            .await
    }

    /// All users, by name. A record that can't be read is left out and logged.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        let records: BTreeMap<String, String> = self
            .store
            .read("read users", self.store.timeout(), async |connection| {
                redis::cmd("HGETALL").arg(keys::USERS).query_async(connection).await
            })
            .await?;
        let read = |(name, text): (String, String)| Some(parse(&name, &text)?.user(name));
        Ok(records.into_iter().filter_map(read).collect())
    }

    /// # Errors
    /// The name is taken or bad, the password too short or too long, or the domains don't fit the
    /// role.
    pub async fn add_user(&self, new: NewUser) -> Result<User, AccessError> {
        check_new(&new)?;
        let record = UserRecord::new(&new, self.passwords.place()?).await?;
        let call = &mut ADD.key(keys::USERS);
        call.key(keys::SETUP).arg(&new.name).arg(record.json()).arg(MAX_USERS);
        let answer: String = self.run("add user", call).await?;
        match answer.as_str() {
            "added" => Ok(record.user(new.name)),
            "taken" => Err(AccessError::UserExists(new.name)),
            _ => Err(AccessError::Full {
                what: text("users", "用户"),
                max: MAX_USERS,
            }),
        }
    }

    /// Sets a password, and ends every session of the user, on every trunkd.
    ///
    /// # Errors
    /// There is no such user, or the password is too short or too long.
    pub async fn set_password(&self, name: &str, password: &SecretString) -> Result<(), AccessError> {
        check_password(password)?;
        let unknown = || AccessError::UnknownUser(name.to_owned());
        let stored = self.user_text(name).await?.ok_or_else(unknown)?;
        let before = parse(name, &stored).ok_or_else(unknown)?;
        let record = UserRecord {
            password: self.passwords.place()?.hash(password).await?,
            epoch: new_epoch(),
            ..before
        };
        // A user who was removed and made again meanwhile must not get his former role back.
        let call = &mut REPLACE.key(keys::USERS);
        call.arg(name).arg(&stored).arg(record.json());
        match self.run::<bool>("set password", call).await? {
            true => {
                self.remembered.forget_user(name);
                Ok(())
            }
            false => Err(AccessError::UserChanged(name.to_owned())),
        }
    }

    /// Whether it is the user's password. Wrong ones are slowed down like sign-ins.
    ///
    /// # Errors
    /// [`AccessError::TooMany`] or [`AccessError::Busy`].
    pub async fn check_password(&self, name: &str, password: &SecretString) -> Result<bool, AccessError> {
        let name = possible_name(name);
        let counters = vec![keys::sign_ins_of_name(name)];
        Ok(self.verified(name, password, counters).await?.is_some())
    }

    /// Ends every session of the user, too.
    ///
    /// # Errors
    /// [`AccessError::LastAdmin`] or [`AccessError::UnknownUser`].
    pub async fn remove_user(&self, name: &str) -> Result<(), AccessError> {
        let answer: String = self.run("remove user", REMOVE.key(keys::USERS).arg(name)).await?;
        match answer.as_str() {
            "removed" => {
                self.remembered.forget_user(name);
                Ok(())
            }
            "last" => Err(AccessError::LastAdmin(name.to_owned())),
            _ => Err(AccessError::UnknownUser(name.to_owned())),
        }
    }

    /// The user's record, if this is his password. A name that nobody has takes the same steps.
    pub(super) async fn verified(
        &self,
        name: &str,
        password: &SecretString,
        counters: Vec<String>,
    ) -> Result<Option<UserRecord>, AccessError> {
        let place = self.passwords.place()?;
        let attempt = self.begin_attempt(counters).await?;
        let record = self.user_text(name).await?;
        let record = record.and_then(|text| parse(name, &text));
        let hash = record.as_ref().map(|record| record.password.as_str());
        if place.verify(password, hash).await? {
            self.attempt_succeeded(attempt, name).await?;
            return Ok(record);
        }
        self.attempt_failed(attempt).await?;
        Ok(None)
    }

    async fn user_text(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.store
            .read("read user", self.store.timeout(), async |connection| {
                redis::cmd("HGET")
                    .arg(keys::USERS)
                    .arg(name)
                    .query_async(connection)
                    .await
            })
            .await
    }
}

impl UserRecord {
    pub(super) async fn new(new: &NewUser, place: Place) -> Result<Self, AccessError> {
        Ok(Self {
            role: new.role,
            domains: new.domains.clone(),
            password: place.hash(&new.password).await?,
            epoch: new_epoch(),
            created_at: Timestamp::now(),
        })
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn user(self, name: String) -> User {
        User {
            name,
            role: self.role,
            domains: self.domains,
            created_at: self.created_at,
        }
    }
}

pub(super) fn check_new(new: &NewUser) -> Result<(), AccessError> {
    check_name(&new.name)?;
    check_domains(new.role, &new.domains)?;
    check_password(&new.password)
}

/// `None` if it is not of this version's making: such a user can't sign in.
pub(super) fn parse(name: &str, text: &str) -> Option<UserRecord> {
    let record = serde_json::from_str(text);
    record
        // The error of serde_json quotes values.
        .inspect_err(|_| tracing::warn!("the user {} in {} can't be read", shown(name), keys::USERS))
        .ok()
}

fn new_epoch() -> String {
    format!("{:032x}", rand::random::<u128>())
}
