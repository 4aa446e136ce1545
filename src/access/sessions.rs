//! Signing in, and the sessions behind the cookies of the pages.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use redis::Script;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::Access;
use super::attempts::{of_address, possible_name};
use super::caller::{Caller, Identity};
use super::error::AccessError;
use super::secret::{hash_of, new_secret};
use super::users::{UserRecord, parse};
use crate::keys;
use crate::redis::StoreError;

/// A session ends when it was not used for this long.
pub const SESSION_LASTS: Duration = Duration::from_secs(12 * 3600);
/// A use is written this often. The expiry need not be exact.
const RENEW_EVERY: Duration = Duration::from_secs(60);

/// A new session.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The value of the cookie, which only the browser keeps.
    pub cookie: SecretString,
    pub caller: Caller,
}

/// The value of a key `trunkd:session:*`. The role is the user's own, so that a change counts at
/// once.
#[derive(Serialize)]
struct SessionRecord<'a> {
    user: &'a str,
    epoch: &'a str,
}

/// Answers with the name and the record of the user, if the session is valid.
static USE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local function decode(text)
           local is_json, value = pcall(cjson.decode, text)
           return is_json and type(value) == 'table' and value or {}
         end
         local text = redis.call('GET', KEYS[1])
         if not text then return false end
         local session = decode(text)
         local record = session.user and redis.call('HGET', KEYS[2], session.user)
         if not record or not session.epoch or decode(record).epoch ~= session.epoch then
           redis.call('DEL', KEYS[1])
           return false
         end
         if redis.call('PTTL', KEYS[1]) < ARGV[1] - ARGV[2] then
           redis.call('PEXPIRE', KEYS[1], ARGV[1])
         end
         return {session.user, record}",
    )
});

impl Access {
    /// Opens a session.
    ///
    /// # Errors
    /// [`AccessError::WrongCredentials`], whichever of the two is wrong; [`AccessError::TooMany`]
    /// after several of these; [`AccessError::Busy`].
    pub async fn sign_in(&self, name: &str, password: &SecretString, peer: IpAddr) -> Result<SignedIn, AccessError> {
        let name = possible_name(name);
        let counters = vec![keys::sign_ins_of_name(name), of_address(peer)];
        let record = self.verified(name, password, counters).await?;
        let record = record.ok_or(AccessError::WrongCredentials)?;
        Ok(self.open_session(name, record).await?)
    }

    /// Who has this session. `None` if it ended: its time was over, or its user signed out, was
    /// removed, or got another password.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn by_session(&self, cookie: &str) -> Result<Option<Caller>, StoreError> {
        let hash = hash_of(cookie);
        let forgotten = self.remembered.forgotten();
        let call = &mut USE.key(keys::session(&hash));
        call.key(keys::USERS)
            .arg(SESSION_LASTS.as_millis())
            .arg(RENEW_EVERY.as_millis());
        let found: Option<(String, String)> = self.run("use session", call).await?;
        let found = found.and_then(|(name, text)| {
            let record = parse(&name, &text)?;
            Some(caller(name, record))
        });
        match &found {
            Some(caller) => self.remembered.remember(&hash, caller, forgotten, Instant::now()),
            None => self.remembered.forget(&hash),
        }
        Ok(found)
    }

    /// Who had this session when Redis was asked last, if that was in the last minutes: for reads while
    /// Redis can't be asked.
    pub fn lately_by_session(&self, cookie: &str) -> Option<Caller> {
        self.remembered.find(&hash_of(cookie), Instant::now())
    }

    /// Ends this session alone.
    ///
    /// # Errors
    /// [`StoreError`]: it ended for this trunkd alone, and only until Redis can be asked again.
    pub async fn sign_out(&self, cookie: &str) -> Result<(), StoreError> {
        let hash = hash_of(cookie);
        self.remembered.forget(&hash);
        let key = keys::session(&hash);
        self.store
            .write("sign out", self.store.timeout(), async |connection| {
                redis::cmd("DEL").arg(key).exec_async(connection).await
            })
            .await
    }

    /// With the epoch of the password that was checked: if it was changed since, the session is
    /// ended before it begins.
    pub(super) async fn open_session(&self, name: &str, record: UserRecord) -> Result<SignedIn, StoreError> {
        let cookie = new_secret("");
        let epoch = &record.epoch;
        let session = serde_json::to_string(&SessionRecord { user: name, epoch }).unwrap_or_default();
        self.store
            .write("open session", self.store.timeout(), async |connection| {
                redis::cmd("SET")
                    .arg(keys::session(&hash_of(cookie.expose_secret())))
                    .arg(session)
                    .arg("PX")
                    .arg(SESSION_LASTS.as_millis())
                    .exec_async(connection)
                    .await
            })
            .await?;
        let caller = caller(name.to_owned(), record);
        Ok(SignedIn { cookie, caller })
    }
}

fn caller(name: String, record: UserRecord) -> Caller {
    Caller {
        identity: Identity::User(name),
        role: record.role,
        domains: record.domains,
    }
}
