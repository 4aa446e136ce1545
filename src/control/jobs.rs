//! Jobs: what an operator asks to be done with gateways of one switch, now. The lease holder of the
//! switch carries them out, also while it is paused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gateway::GatewayName;
use crate::keys;
use crate::redis::{Store, StoreError};

/// The head of a job, in the hash `trunkd:control`. The gateways are in a hash of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub id: String,
    pub action: JobAction,
    pub at: Timestamp,
    /// Who asked for it, as in the history.
    pub by: String,
    /// How many gateways are left. `None` until a trunkd takes it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<usize>,
    /// When the last gateway was done. The job then stays for a moment, so that its outcome can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}

/// What to do with each gateway of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobAction {
    /// Stop it and start it with the value that Redis has. A gateway that doesn't run is started.
    Restart,
    /// Register now, whatever it waits for.
    Register,
    /// Unregister, and stay down until it is registered or restarted.
    Unregister,
    /// Unregister, and stay like that when FreeSWITCH restarts, until it is unparked or edited.
    Park,
    /// Register a parked gateway now.
    Unpark,
}

/// What became of one gateway of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    Pending,
    Done,
    Failed(String),
}

/// The fields of `trunkd:control` at which no more jobs are taken. Reads are bounded at twice as many.
const MAX_FIELDS: usize = 2048;
/// The outcome is deleted with its job. This is the expiry if nobody deletes it.
const OUTCOME_LASTS: Duration = Duration::from_secs(60 * 60);
/// A job that nobody took up is dropped after this time: nobody expects it any more. Long enough for
/// clocks that differ.
const JOB_LASTS: SignedDuration = SignedDuration::from_mins(2);
/// A job that was taken up is dropped after this time, even if it is not finished.
const BEGUN_JOB_LASTS: SignedDuration = SignedDuration::from_mins(60);
/// How long a finished job is kept.
const DONE_JOB_LASTS: SignedDuration = SignedDuration::from_mins(1);

const JOB: &str = "job:";
const PENDING: &str = "pending";
const DONE: &str = "done";
const FAILED: &str = "failed: ";

impl Job {
    pub fn new(action: JobAction, by: impl ToString) -> Self {
        Self {
            id: format!("{:016x}", rand::random::<u64>()),
            action,
            at: Timestamp::now(),
            by: by.to_string(),
            left: None,
            done_at: None,
        }
    }

    /// The switch and the job of a field of `trunkd:control`.
    pub(super) fn parse<'a>(field: &'a str, value: &str) -> Option<(&'a str, Self)> {
        let (switch, id) = field.strip_prefix(JOB)?.rsplit_once(':')?;
        let job: Self = serde_json::from_str(value).ok()?;
        (job.id == id).then_some((switch, job))
    }

    /// Whether it is finished, or was never.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let (since, lasts) = match (self.done_at, self.left) {
            (Some(done_at), _) => (done_at, DONE_JOB_LASTS),
            (None, Some(_)) => (self.at, BEGUN_JOB_LASTS),
            (None, None) => (self.at, JOB_LASTS),
        };
        now.duration_since(since) > lasts
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl JobAction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Register => "register",
            Self::Unregister => "unregister",
            Self::Park => "park",
            Self::Unpark => "unpark",
        }
    }

    /// The past participle.
    pub fn done(self) -> &'static str {
        match self {
            Self::Restart => "restarted",
            Self::Register => "registered",
            Self::Unregister => "unregistered",
            Self::Park => "parked",
            Self::Unpark => "unparked",
        }
    }
}

impl JobOutcome {
    /// Anything else than what was written here is pending.
    fn parse(text: &str) -> Self {
        match text.strip_prefix(FAILED) {
            Some(reason) => Self::Failed(reason.to_owned()),
            None if text == DONE => Self::Done,
            None => Self::Pending,
        }
    }
}

impl fmt::Display for JobOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str(PENDING),
            Self::Done => f.write_str(DONE),
            Self::Failed(reason) => write!(f, "{FAILED}{reason}"),
        }
    }
}

impl Store {
    /// Adds a job for a switch. False if too many are waiting.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_job(&self, switch: &str, job: &Job, gateways: &BTreeSet<GatewayName>) -> Result<bool, StoreError> {
        static ADD: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(
                "if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
                 for at = 5, #ARGV do redis.call('HSET', KEYS[2], ARGV[at], 'pending') end
                 redis.call('EXPIRE', KEYS[2], ARGV[3])
                 redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
                 return 1",
            )
        });
        let mut call = ADD.key(keys::CONTROL);
        call.key(keys::job(&job.id))
            .arg(field(switch, &job.id))
            .arg(job.to_json())
            .arg(OUTCOME_LASTS.as_secs())
            .arg(MAX_FIELDS);
        for gateway in gateways {
            call.arg(gateway.as_str());
        }
        self.write("add job", self.timeout(), async |connection| {
            call.invoke_async::<bool>(connection).await
        })
        .await
    }

    /// A job as it stands. `None` if it is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_job(&self, switch: &str, id: &str) -> Result<Option<Job>, StoreError> {
        let field = field(switch, id);
        let value: Option<String> = self
            .read("read job", self.timeout(), async |connection| {
                redis::cmd("HGET")
                    .arg(keys::CONTROL)
                    .arg(&field)
                    .query_async(connection)
                    .await
            })
            .await?;
        Ok(value.and_then(|value| Some(Job::parse(&field, &value)?.1)))
    }

    /// What became of each gateway of a job. Empty if it is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_job_outcomes(&self, id: &str) -> Result<BTreeMap<String, JobOutcome>, StoreError> {
        let fields: BTreeMap<String, String> = self
            .read("read job", self.timeout(), async |connection| {
                redis::cmd("HGETALL").arg(keys::job(id)).query_async(connection).await
            })
            .await?;
        let outcomes = fields.into_iter();
        Ok(outcomes
            .map(|(gateway, text)| (gateway, JobOutcome::parse(&text)))
            .collect())
    }

    /// Writes progress. False if the job is gone, for it may have been taken back.
    pub(crate) async fn save_job(
        &self,
        switch: &str,
        job: &Job,
        outcomes: &[(GatewayName, JobOutcome)],
    ) -> Result<bool, StoreError> {
        static SAVE: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(
                "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
                 for at = 3, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1]) end
                 redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
                 return 1",
            )
        });
        let mut call = SAVE.key(keys::CONTROL);
        call.key(keys::job(&job.id))
            .arg(field(switch, &job.id))
            .arg(job.to_json());
        for (gateway, outcome) in outcomes {
            call.arg(gateway.as_str()).arg(outcome.to_string());
        }
        self.write("save job", self.timeout(), async |connection| {
            call.invoke_async::<bool>(connection).await
        })
        .await
    }

    /// Takes a job back that no trunkd has taken up. False if one has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn withdraw_job(&self, switch: &str, id: &str) -> Result<bool, StoreError> {
        self.delete_job("withdraw job", switch, id, true).await
    }

    /// Deletes a job.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_job(&self, switch: &str, id: &str) -> Result<(), StoreError> {
        self.delete_job("drop job", switch, id, false).await.map(drop)
    }

    async fn delete_job(
        &self,
        operation: &'static str,
        switch: &str,
        id: &str,
        unless_begun: bool,
    ) -> Result<bool, StoreError> {
        static DELETE: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(
                "local job = redis.call('HGET', KEYS[1], ARGV[1])
                 if job and ARGV[2] == '1' and cjson.decode(job).left then return 0 end
                 redis.call('HDEL', KEYS[1], ARGV[1])
                 redis.call('DEL', KEYS[2])
                 return 1",
            )
        });
        let mut call = DELETE.key(keys::CONTROL);
        call.key(keys::job(id))
            .arg(field(switch, id))
            .arg(u8::from(unless_begun));
        self.write(operation, self.timeout(), async |connection| {
            call.invoke_async::<bool>(connection).await
        })
        .await
    }
}

fn field(switch: &str, id: &str) -> String {
    format!("{JOB}{switch}:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_found_in_its_field_whatever_the_name_of_the_switch() {
        let job = Job::new(JobAction::Restart, "user:alice");
        let name = "fs1:eu west";
        let field = field(name, &job.id);
        assert_eq!(Job::parse(&field, &job.to_json()), Some((name, job.clone())));
        assert_eq!(Job::parse("job:fs1:other", &job.to_json()), None);
        assert_eq!(Job::parse(&field, "{}"), None);
        assert_eq!(Job::parse("paused:fs1", &job.to_json()), None);
    }

    #[test]
    fn a_job_is_over_when_it_is_done_or_was_not_taken_up() {
        let now = Timestamp::now();
        let ago = |minutes| now - SignedDuration::from_mins(minutes);
        let job = |at, left, done_at| Job {
            at,
            left,
            done_at,
            ..Job::new(JobAction::Register, "cli:root@test")
        };
        assert!(!job(ago(1), None, None).is_over(now));
        assert!(job(ago(3), None, None).is_over(now));
        assert!(!job(ago(11), Some(3), None).is_over(now));
        assert!(job(ago(61), Some(3), None).is_over(now));
        assert!(!job(ago(61), Some(0), Some(ago(0))).is_over(now));
        assert!(job(ago(5), Some(0), Some(ago(2))).is_over(now));
    }

    #[test]
    fn an_outcome_is_read_back_as_it_was_written() {
        for outcome in [
            JobOutcome::Pending,
            JobOutcome::Done,
            JobOutcome::Failed("failed: twice".to_owned()),
        ] {
            assert_eq!(JobOutcome::parse(&outcome.to_string()), outcome);
        }
        assert_eq!(JobOutcome::parse("anything"), JobOutcome::Pending);
    }
}
