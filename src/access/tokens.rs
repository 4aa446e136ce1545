//! Tokens of programs.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use redis::Script;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::Access;
use super::caller::{Caller, Identity};
use super::domains::Domains;
use super::error::AccessError;
use super::grant::{check_domains, check_name};
use super::role::Role;
use super::secret::{hash_of, new_secret};
use crate::keys;
use crate::language::text;
use crate::redis::{StoreError, script_with_now};

/// Tells people and scanners for leaked secrets what it is.
const PREFIX: &str = "trk_";
/// The list is read whole, and stays a list that a person can read.
const MAX_TOKENS: usize = 1_000;
/// A use is written this often: programs may ask many times a second.
const USE_WRITTEN_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// A program's key to the API, without its secret. Also a value of the hash `trunkd:tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Token {
    pub name: String,
    #[schema(value_type = String)]
    pub role: Role,
    #[schema(value_type = serde_json::Value)]
    pub domains: Domains,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// An [`Identity`] as text.
    pub created_by: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Exact to a minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub struct NewToken {
    pub name: String,
    pub role: Role,
    pub domains: Domains,
    pub created_by: Identity,
    pub expires_at: Option<Timestamp>,
}

static CREATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "for _, text in ipairs(redis.call('HVALS', KEYS[1])) do
           local is_json, token = pcall(cjson.decode, text)
           if is_json and type(token) == 'table' and token.name == ARGV[1] then return 'taken' end
         end
         if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 'full' end
         redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
         return 'created'",
    )
});

static REVOKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local removed = 0
         local fields = redis.call('HGETALL', KEYS[1])
         for at = 1, #fields, 2 do
           local is_json, token = pcall(cjson.decode, fields[at + 1])
           if is_json and type(token) == 'table' and token.name == ARGV[1] then
             removed = removed + redis.call('HDEL', KEYS[1], fields[at])
           end
         end
         return removed",
    )
});

/// With Redis's clock: it decides for every trunkd whether the token expired.
static FIND: LazyLock<Script> = LazyLock::new(|| script_with_now("return {redis.call('HGET', KEYS[1], ARGV[1]), now}"));

/// A token that was revoked meanwhile stays revoked.
static WRITE_USE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
           redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
         end",
    )
});

impl Access {
    /// All tokens, by name. A record that can't be read is left out and logged.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let records: BTreeMap<String, String> = self
            .store
            .read("read tokens", self.store.timeout(), async |connection| {
                redis::cmd("HGETALL").arg(keys::TOKENS).query_async(connection).await
            })
            .await?;
        let mut tokens: Vec<_> = records.values().filter_map(|text| parse(text)).collect();
        tokens.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(tokens)
    }

    /// Makes a token and returns its secret, which nobody can read again.
    ///
    /// # Errors
    /// The name is taken or bad, or the domains don't fit the role.
    pub async fn create_token(&self, new: NewToken) -> Result<(Token, SecretString), AccessError> {
        check_name(&new.name)?;
        check_domains(new.role, &new.domains)?;
        let secret = new_secret(PREFIX);
        let token = Token {
            name: new.name,
            role: new.role,
            domains: new.domains,
            created_at: Timestamp::now(),
            created_by: new.created_by.to_string(),
            expires_at: new.expires_at,
            last_used_at: None,
        };
        let call = &mut CREATE.key(keys::TOKENS);
        call.arg(&token.name)
            .arg(hash_of(secret.expose_secret()))
            .arg(json(&token))
            .arg(MAX_TOKENS);
        let answer: String = self.run("create token", call).await?;
        match answer.as_str() {
            "created" => Ok((token, secret)),
            "taken" => Err(AccessError::TokenExists(token.name)),
            _ => Err(AccessError::Full {
                what: text("tokens", "令牌"),
                max: MAX_TOKENS,
            }),
        }
    }

    /// Ends a token, immediately and on every trunkd.
    ///
    /// # Errors
    /// [`AccessError::UnknownToken`].
    pub async fn revoke_token(&self, name: &str) -> Result<(), AccessError> {
        let removed: u64 = self.run("revoke token", REVOKE.key(keys::TOKENS).arg(name)).await?;
        match removed {
            0 => Err(AccessError::UnknownToken(name.to_owned())),
            _ => Ok(()),
        }
    }

    /// Whose secret it is. `None` if nobody's, or the token expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn by_token(&self, secret: &str) -> Result<Option<Caller>, StoreError> {
        if !secret.starts_with(PREFIX) {
            return Ok(None);
        }
        let hash = hash_of(secret);
        let find = &mut FIND.key(keys::TOKENS);
        let (text, now_ms): (Option<String>, i64) = self.run("find token", find.arg(&hash)).await?;
        let now = Timestamp::from_millisecond(now_ms).unwrap_or_else(|_| Timestamp::now());
        let Some((token, text)) = text.and_then(|text| Some((parse(&text)?, text))) else {
            return Ok(None);
        };
        if token.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Ok(None);
        }
        if is_use_to_write(&token, now) {
            let used = Token {
                last_used_at: Some(now),
                ..token.clone()
            };
            let call = &mut WRITE_USE.key(keys::TOKENS);
            call.arg(&hash).arg(&text).arg(json(&used));
            // A Redis that is full can still be read. The store reports what failed.
            let _ = self.run::<()>("write use of token", call).await;
        }
        Ok(Some(Caller {
            identity: Identity::Token(token.name),
            role: token.role,
            domains: token.domains,
        }))
    }
}

fn is_use_to_write(token: &Token, now: Timestamp) -> bool {
    let is_recent = |at: Timestamp| now.duration_since(at) < USE_WRITTEN_EVERY;
    !token.last_used_at.is_some_and(is_recent)
}

fn json(token: &Token) -> String {
    serde_json::to_string(token).unwrap_or_default()
}

/// `None` if it is not of this version's making: such a token is refused.
fn parse(text: &str) -> Option<Token> {
    let token = serde_json::from_str(text);
    token
        .inspect_err(|error| tracing::warn!("a token in {} can't be read: {error}", keys::TOKENS))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_at_most_once_a_minute() {
        let now: Timestamp = "2026-11-26T10:00:00Z".parse().unwrap();
        let used = |ago: Option<i64>| Token {
            name: "ci".to_owned(),
            role: Role::Viewer,
            domains: Domains::All,
            created_at: now,
            created_by: String::new(),
            expires_at: None,
            last_used_at: ago.map(|ago| now - SignedDuration::from_secs(ago)),
        };
        assert!(is_use_to_write(&used(None), now));
        assert!(!is_use_to_write(&used(Some(59)), now));
        assert!(is_use_to_write(&used(Some(60)), now));
    }
}
