//! Why an action on a gateway failed. Reports and jobs carry these texts in English, so the Chinese
//! ones are found by them.

use std::time::Duration;

use crate::gateway::ProfileName;
use crate::language::{Message, Text, text};

pub(crate) const NOT_THERE: Text = text(
    "FreeSWITCH does not have it: restart it to start it",
    "FreeSWITCH 上没有它：请用重启来启动它",
);
pub(crate) const NEVER_REGISTERS: Text = text(
    "it does not register: its `register` is false",
    "它不注册：其 `register` 为 false",
);
pub(crate) const STARTED_BY_OTHERS: Text = text(
    "a gateway of this name runs that trunkd has not started, so it is left alone",
    "有一个同名网关正在运行，但不是由 trunkd 启动的，因此保持不动",
);
pub(crate) const REFUSED: Text = text(
    "FreeSWITCH does not have it after startgw, though it asked: either its log says why it was refused, or a gateway \
     of this name that is not ours, on its disk or in the template, came first",
    "FreeSWITCH 在 startgw 之后取过配置，但仍没有它：要么 FreeSWITCH 的日志中有拒绝的原因，要么其磁盘上或模板中有一个\
     不归 trunkd 管理的同名网关占先",
);
pub(crate) const SERVED_OTHER: Text = text(
    "FreeSWITCH asked for it when this trunkd served another version of it, or none: an edit came between",
    "FreeSWITCH 取配置时，此 trunkd 下发的是它的另一个版本或没有下发：其间有过修改",
);
pub(crate) const NOT_ASKED: Text = text(
    "FreeSWITCH did not ask this trunkd for it: see its log, and the gateway-url, the credentials and the time-out of \
     its xml_curl binding",
    "FreeSWITCH 没有向此 trunkd 取它的配置：请查看 FreeSWITCH 的日志，以及其 xml_curl binding 中的 gateway-url、\
     凭据和超时",
);

pub(crate) const NOT_WANTED: Text = text(
    "Redis does not want it on this switch",
    "按 Redis 的内容，该 FreeSWITCH 上不应有它",
);

const FIXED: [Text; 7] = [
    NOT_THERE,
    NEVER_REGISTERS,
    STARTED_BY_OTHERS,
    REFUSED,
    SERVED_OTHER,
    NOT_ASKED,
    NOT_WANTED,
];

const KILLED: &str = "it was killed, and is not gone after ";
const OTHER_VERSION: &str = "FreeSWITCH was served another version of it, revision ";

const PROFILE: [&str; 2] = ["its profile ", " does not run on this switch"];

pub(crate) fn no_profile(profile: &ProfileName) -> String {
    let [before, behind] = PROFILE;
    format!("{before}{profile}{behind}")
}

pub(crate) fn not_gone(limit: Duration) -> String {
    format!("{KILLED}{limit:?}")
}

pub(crate) fn other_version(revision: &str) -> String {
    format!("{OTHER_VERSION}{revision}: an edit came between, or its xml_curl binding asks another trunkd")
}

/// In both languages. Texts of FreeSWITCH and of other versions of trunkd stay as they are.
pub(crate) fn trouble(reason: &str) -> Message {
    let fixed = FIXED.into_iter().find(|known| known.en == reason);
    let found = fixed
        .map(Message::from)
        .or_else(|| with_value(reason))
        .or_else(|| of_command(reason));
    found.unwrap_or_else(|| Message::new(reason, format!("操作没有成功：{reason}")))
}

fn with_value(reason: &str) -> Option<Message> {
    if let Some(limit) = reason.strip_prefix(KILLED) {
        return Some(Message::new(reason, format!("已停止它，但 {limit} 之后仍然存在")));
    }
    let [before, behind] = PROFILE;
    if let Some(profile) = reason.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind)) {
        let chinese = format!("它的 profile {profile} 没有在该 FreeSWITCH 上运行");
        return Some(Message::new(reason, chinese));
    }
    let (revision, _) = reason.strip_prefix(OTHER_VERSION)?.split_once(':')?;
    let chinese = format!(
        "FreeSWITCH 得到的是它的另一个版本，revision 为 {revision}：其间有过修改，或者其 xml_curl binding \
         指向另一个 trunkd"
    );
    Some(Message::new(reason, chinese))
}

/// An error of the event socket: `` `command` was refused: -ERR … ``.
fn of_command(reason: &str) -> Option<Message> {
    let (command, rest) = reason.strip_prefix('`')?.split_once("` ")?;
    let chinese = if let Some(limit) = rest.strip_prefix("had no answer within ") {
        format!("`{command}` 在 {limit} 内没有应答")
    } else if let Some(reply) = rest.strip_prefix("was refused: ") {
        format!("`{command}` 被拒绝：{reply}")
    } else {
        let answers = ["had an unexpected answer: ", "was answered with "];
        let reply = answers.iter().find_map(|words| rest.strip_prefix(words))?;
        format!("`{command}` 的应答为 {reply}")
    };
    Some(Message::new(reason, chinese))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_socket::{CommandError, QueryError};

    #[test]
    fn every_failure_of_ours_has_both_languages() {
        let command = || "sofia profile external startgw gw1".to_owned();
        let limit = Duration::from_secs(5);
        let fixed = FIXED.map(|text| text.en.to_owned());
        let reply = || "-ERR no reply 7".to_owned();
        let others = [
            not_gone(limit),
            other_version("0a1b"),
            no_profile(&ProfileName::parse("external").unwrap()),
            CommandError::Timeout {
                command: command(),
                limit,
            }
            .to_string(),
            CommandError::Refused {
                command: command(),
                reply: reply(),
            }
            .to_string(),
            CommandError::Unexpected {
                command: command(),
                reply: reply(),
            }
            .to_string(),
            QueryError::Reply {
                command: "sofia xmlstatus",
                reply: reply(),
            }
            .to_string(),
        ];
        for reason in fixed.into_iter().chain(others) {
            let said = trouble(&reason);
            assert_eq!(said.en(), reason);
            said.check();
            assert!(
                !said.in_language(crate::language::Language::Zh).contains("没有成功"),
                "{reason}"
            );
        }
        assert!(
            trouble("it broke")
                .in_language(crate::language::Language::Zh)
                .ends_with("it broke")
        );
    }
}
