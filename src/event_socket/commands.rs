//! Typed commands: [`Commands`] are questions, [`Changes`] change the switch. Only parsed names enter one (FACTS 27).

use std::time::Duration;

use bytes::Bytes;

use super::client::{Client, Permit};
use super::error::CommandError;
use super::xmlstatus::{GatewayStatus, StatusError, parse_gateway, parse_gateways, parse_profiles, parse_sip_address};
use crate::gateway::{GatewayName, ProfileName, REVISION_VARIABLE};
use crate::settings::HostPort;
use crate::shown::shown;

/// For questions that FreeSWITCH answers from memory.
const QUICK_LIMIT: Duration = Duration::from_secs(5);
/// `sofia xmlstatus gateway` takes 0.1 s at 10,000 gateways (FACTS 21), and waits for a lock that
/// call set-up also takes.
const LIST_LIMIT: Duration = Duration::from_secs(30);
/// The longest name or UUID of a switch: each becomes part of a Redis key.
const MAX_WORD_BYTES: usize = 255;
/// Gateways in one `eval`: 1,000 take 92 ms (FACTS 26), so a chunk does not block the connection for long.
pub const SNAPSHOT_CHUNK: usize = 1000;
/// The longest such `eval`. FreeSWITCH reads commands byte by byte; 1,000 names of usual length fit.
const EVAL_BYTES: usize = 64 * 1024;

/// `startgw` reloads all of FreeSWITCH's XML, and waits for our HTTP answer (FACTS 20, 21).
const START_LIMIT: Duration = Duration::from_secs(30);

/// Questions to one switch.
#[derive(Debug, Clone)]
pub struct Commands {
    client: Client,
}

/// Why a question has no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Status(#[from] StatusError),
    #[error("`{command}` was answered with \"{}\"", shown(reply))]
    Reply { command: &'static str, reply: String },
    #[error("mod_sofia is not loaded on the switch: `load mod_sofia` loads it, unless FreeSWITCH is shutting down")]
    NoSofia,
    #[error(
        "FreeSWITCH takes the name \"{0}\" to mean every gateway of the profile: rename the gateway, or restart it"
    )]
    MeansAll(GatewayName),
}

impl Commands {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The name that xml_curl requests carry as `hostname` and events as `FreeSWITCH-Switchname` (FACTS 37).
    pub async fn switchname(&self) -> Result<String, QueryError> {
        self.word("switchname").await
    }

    /// Changes at each start of FreeSWITCH (FACTS 32).
    pub async fn core_uuid(&self) -> Result<String, QueryError> {
        self.word("global_getvar core_uuid").await
    }

    /// How many calls are up, over any gateway or none.
    pub async fn calls_up(&self) -> Result<u64, QueryError> {
        let command = "show calls count";
        let reply = self.word(command).await?;
        let count = reply.strip_suffix(" total.").and_then(|count| count.parse().ok());
        count.ok_or(QueryError::Reply { command, reply })
    }

    /// What events carry as `FreeSWITCH-Hostname`.
    pub async fn hostname(&self) -> Result<String, QueryError> {
        self.word("hostname").await
    }

    /// Every gateway of every profile, including those pending deletion (FACTS 25). FreeSWITCH
    /// takes a lock that call set-up needs, so do not call this often.
    pub async fn gateways(&self) -> Result<Vec<GatewayStatus>, QueryError> {
        Ok(parse_gateways(&self.sofia("xmlstatus gateway", LIST_LIMIT).await?)?)
    }

    /// One live gateway; `None` when there is none of that name, or it is being deleted. Takes no such lock.
    pub async fn gateway(&self, name: &GatewayName) -> Result<Option<GatewayStatus>, QueryError> {
        let command = format!("xmlstatus gateway {name}");
        Ok(parse_gateway(&self.sofia(&command, QUICK_LIMIT).await?)?)
    }

    /// The profiles that run.
    pub async fn profiles(&self) -> Result<Vec<String>, QueryError> {
        Ok(parse_profiles(&self.sofia("xmlstatus", LIST_LIMIT).await?)?)
    }

    /// Where a profile answers SIP over UDP, as it says itself. `None` if it doesn't run, or only over TLS.
    pub async fn sip_address(&self, profile: &str) -> Result<Option<HostPort>, QueryError> {
        let Some(profile) = ProfileName::parse(profile).ok() else {
            return Ok(None);
        };
        let command = format!("xmlstatus profile {profile}");
        Ok(parse_sip_address(&self.sofia(&command, QUICK_LIMIT).await?)?)
    }

    /// The whole configuration of mod_sofia, with gateways and **passwords**: never log it (FACTS 43). `None` if
    /// the switch has none.
    pub async fn sofia_conf(&self) -> Result<Option<Bytes>, QueryError> {
        self.xml("configuration configuration name sofia.conf").await
    }

    /// The directory, whose users may have gateways. It has **passwords** as well.
    pub async fn directory(&self) -> Result<Option<Bytes>, QueryError> {
        self.xml("directory").await
    }

    async fn xml(&self, of: &str) -> Result<Option<Bytes>, QueryError> {
        let reply = self.client.api(&format!("xml_locate {of}"), LIST_LIMIT).await?;
        match reply.trim_ascii_start().first() {
            Some(b'<') => Ok(Some(reply)),
            _ if reply.trim_ascii().is_empty() || reply.starts_with(NOT_FOUND) => Ok(None),
            _ => Err(QueryError::Reply {
                command: "xml_locate",
                reply: String::from_utf8_lossy(&reply).trim().to_owned(),
            }),
        }
    }

    /// Whether the connection is over, so that nothing will be answered.
    pub fn is_over(&self) -> bool {
        self.client.is_over()
    }

    /// The `trunkd_revision` of each of these live gateways, in their order; `None` where there is none. Sends several
    /// commands, one after the other, for more than [`SNAPSHOT_CHUNK`] or very long names.
    pub async fn revisions(&self, names: &[GatewayName]) -> Result<Vec<Option<String>>, QueryError> {
        let mut found = Vec::with_capacity(names.len());
        for command in revision_questions(names) {
            let reply = self.client.api(&command.text, LIST_LIMIT).await?;
            let reply = String::from_utf8_lossy(&reply);
            let before = found.len();
            found.extend(reply.trim_end_matches('\n').split('|').map(revision));
            let answered = found.len() - before;
            if answered != command.gateways {
                return Err(QueryError::Reply {
                    command: "eval ${sofia_gateway_data(… ivar trunkd_revision)}",
                    reply: format!("{answered} fields, asked for {}", command.gateways),
                });
            }
        }
        Ok(found)
    }

    async fn sofia(&self, command: &str, limit: Duration) -> Result<Bytes, QueryError> {
        unless_gone(self.client.api(&format!("sofia {command}"), limit).await?)
    }

    async fn word(&self, command: &'static str) -> Result<String, QueryError> {
        let reply = self.client.api(command, QUICK_LIMIT).await?;
        let reply = String::from_utf8_lossy(&reply).trim().to_owned();
        let is_word = (1..=MAX_WORD_BYTES).contains(&reply.len()) && !reply.contains(char::is_control);
        if !is_word || reply.starts_with("-ERR") {
            return Err(QueryError::Reply { command, reply });
        }
        Ok(reply)
    }
}

/// What changes the gateways of one switch.
#[derive(Debug, Clone)]
pub struct Changes {
    client: Client,
}

/// What `killgw` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Killed {
    /// FreeSWITCH deletes it at one of the next ticks, with a `gateway_delete` event (FACTS 22).
    Marked,
    /// There is none of that name.
    NoSuchGateway,
}

/// What `register` or `unregister` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationReply {
    /// FreeSWITCH does it at its next tick.
    Accepted,
    /// It has no gateway of that name.
    NoSuchGateway,
    /// The gateway doesn't register.
    NeverRegisters,
}

impl Changes {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Marks a gateway for deletion. FreeSWITCH finds it by its name, whatever the profile (FACTS 18).
    pub async fn kill(
        &self,
        profile: &ProfileName,
        gateway: &GatewayName,
        permit: Permit,
    ) -> Result<Killed, QueryError> {
        let command = format!("sofia profile {profile} killgw {gateway}");
        let reply = self.change(&command, "killgw", permit).await?;
        match reply.trim() {
            text if text.starts_with("+OK") => Ok(Killed::Marked),
            "-ERR no such gateway." => Ok(Killed::NoSuchGateway),
            _ => Err(QueryError::Reply {
                command: "killgw",
                reply,
            }),
        }
    }

    /// Makes FreeSWITCH fetch one gateway and add it. Its +OK does not mean that the gateway is there (FACTS 20).
    pub async fn start(&self, profile: &ProfileName, gateway: &GatewayName, permit: Permit) -> Result<(), QueryError> {
        self.startgw(profile, gateway.as_str(), permit).await
    }

    /// Makes FreeSWITCH fetch all gateways of a profile and add those that it lacks.
    pub async fn start_all(&self, profile: &ProfileName, permit: Permit) -> Result<(), QueryError> {
        self.startgw(profile, "_all_", permit).await
    }

    /// Makes a gateway register at the next tick, whatever it waits for (FACTS 38).
    pub async fn register(
        &self,
        profile: &ProfileName,
        gateway: &GatewayName,
        permit: Permit,
    ) -> Result<RegistrationReply, QueryError> {
        self.registration("register", profile, gateway, permit).await
    }

    /// Makes a gateway un-REGISTER and stay DOWN until it is registered or started again (FACTS 38).
    pub async fn unregister(
        &self,
        profile: &ProfileName,
        gateway: &GatewayName,
        permit: Permit,
    ) -> Result<RegistrationReply, QueryError> {
        self.registration("unregister", profile, gateway, permit).await
    }

    async fn registration(
        &self,
        verb: &'static str,
        profile: &ProfileName,
        gateway: &GatewayName,
        permit: Permit,
    ) -> Result<RegistrationReply, QueryError> {
        if gateway.means_all() {
            return Err(QueryError::MeansAll(gateway.clone()));
        }
        let command = format!("sofia profile {profile} {verb} {gateway}");
        let reply = self.change(&command, verb, permit).await?;
        match reply.as_str() {
            "+OK" => Ok(RegistrationReply::Accepted),
            "Invalid gateway!" => Ok(RegistrationReply::NoSuchGateway),
            text if text.starts_with("-ERR NOREG gateway") => Ok(RegistrationReply::NeverRegisters),
            _ => Err(QueryError::Reply { command: verb, reply }),
        }
    }

    async fn startgw(&self, profile: &ProfileName, what: &str, permit: Permit) -> Result<(), QueryError> {
        let command = format!("sofia profile {profile} startgw {what}");
        let reply = self.change(&command, "startgw", permit).await?;
        match reply.lines().any(|line| line.starts_with("+OK start gateway")) {
            true => Ok(()),
            false => Err(QueryError::Reply {
                command: "startgw",
                reply,
            }),
        }
    }

    async fn change(&self, command: &str, word: &'static str, permit: Permit) -> Result<String, QueryError> {
        let reply = unless_gone(self.client.api_if(command, START_LIMIT, permit).await?)?;
        let reply = String::from_utf8_lossy(&reply).trim().to_owned();
        if reply.starts_with("Invalid Profile") {
            return Err(QueryError::Reply { command: word, reply });
        }
        Ok(reply)
    }
}

/// An `eval` for the revisions of some gateways.
#[derive(Debug, PartialEq, Eq)]
struct RevisionQuestion {
    text: String,
    gateways: usize,
}

/// At most [`SNAPSHOT_CHUNK`] gateways and [`EVAL_BYTES`] in each.
fn revision_questions(names: &[GatewayName]) -> Vec<RevisionQuestion> {
    let mut questions: Vec<RevisionQuestion> = Vec::new();
    for name in names {
        let one = format!("${{sofia_gateway_data({name} ivar {REVISION_VARIABLE})}}");
        match questions.last_mut() {
            Some(last) if last.gateways < SNAPSHOT_CHUNK && last.text.len() + 1 + one.len() <= EVAL_BYTES => {
                last.text.push('|');
                last.text.push_str(&one);
                last.gateways += 1;
            }
            _ => questions.push(RevisionQuestion {
                text: format!("eval {one}"),
                gateways: 1,
            }),
        }
    }
    questions
}

/// The reply of `xml_locate` about what is not there.
const NOT_FOUND: &[u8] = b"can't find anything";

/// The reply while mod_sofia is not loaded. FreeSWITCH unloads it early in a shutdown, while the event socket still
/// answers.
const NO_SOFIA: &[u8] = b"-ERR sofia Command not found!";

fn unless_gone(reply: Bytes) -> Result<Bytes, QueryError> {
    match reply.starts_with(NO_SOFIA) {
        true => Err(QueryError::NoSofia),
        false => Ok(reply),
    }
}

/// An empty field where there is no such gateway or variable; some versions answer `-ERR no reply` there.
fn revision(field: &str) -> Option<String> {
    let field = field.trim();
    (!field.is_empty() && !field.starts_with("-ERR")).then(|| field.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize, length: usize) -> Vec<GatewayName> {
        (0..count)
            .map(|number| GatewayName::parse(&format!("{number:0>length$}")).unwrap())
            .collect()
    }

    #[test]
    fn no_question_for_revisions_is_too_long_and_every_gateway_is_asked_for_once_in_order() {
        for (count, length, commands) in [(0, 1, 0), (1, 255, 1), (1000, 12, 1), (1001, 12, 2), (1000, 255, 5)] {
            let names = names(count, length);
            let questions = revision_questions(&names);
            assert_eq!(questions.len(), commands, "{count} names of {length} bytes");
            let mut asked = Vec::new();
            for question in &questions {
                assert!(question.text.len() <= EVAL_BYTES && question.gateways <= SNAPSHOT_CHUNK);
                let fields: Vec<_> = question.text.strip_prefix("eval ").unwrap().split('|').collect();
                assert_eq!(fields.len(), question.gateways);
                asked.extend(fields.into_iter().map(str::to_owned));
            }
            let expected = names
                .iter()
                .map(|name| format!("${{sofia_gateway_data({name} ivar trunkd_revision)}}"));
            assert!(asked.into_iter().eq(expected));
        }
    }
}
