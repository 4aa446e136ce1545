use std::time::Duration;

use super::*;
use crate::event_socket::{CommandError, ConnectError, Lost, OpenError, QueryError, StatusError};
use crate::gateway::{GatewayName, ProfileName};

const LIMIT: Duration = Duration::from_secs(5);

fn chinese(sentence: &str) -> String {
    recorded(sentence).in_language(Language::Zh).to_owned()
}

#[track_caller]
fn is_known(sentence: impl ToString) {
    let sentence = sentence.to_string();
    let found = find(&sentence).unwrap_or_else(|| panic!("not in the dictionary: {sentence}"));
    assert_eq!(found.en(), sentence);
    found.check();
}

#[test]
fn every_failure_of_an_action_is_known() {
    for known in KNOWN.iter().filter(|known| !known.en.contains("{}")) {
        is_known(known.en);
    }
    is_known(trouble::not_gone(LIMIT));
    is_known(trouble::other_version("0a1b"));
    is_known(trouble::no_profile(&ProfileName::parse("external-7").unwrap()));
}

#[test]
fn every_error_of_a_command_is_known() {
    let command = || "sofia profile external startgw gw1".to_owned();
    let reply = || "-ERR no reply 7".to_owned();
    is_known(CommandError::Timeout {
        command: command(),
        limit: LIMIT,
    });
    is_known(CommandError::Lost { command: command() });
    is_known(CommandError::NotPermitted { command: command() });
    is_known(CommandError::Refused {
        command: command(),
        reply: reply(),
    });
    is_known(CommandError::Unexpected {
        command: command(),
        reply: reply(),
    });
    is_known(QueryError::Reply {
        command: "sofia xmlstatus",
        reply: reply(),
    });
    is_known(QueryError::NoSofia);
    is_known(QueryError::MeansAll(GatewayName::parse("all").unwrap()));
    is_known(StatusError::NoModSofia);
    is_known(StatusError::NotAList("gateways", "-ERR 7".to_owned()));
    is_known(StatusError::Incomplete("state"));
}

#[test]
fn why_a_switch_is_away_is_known() {
    let io = || std::io::Error::from_raw_os_error(111);
    is_known(ConnectError::Io(io()));
    is_known(ConnectError::Timeout(LIMIT, "connecting"));
    is_known(ConnectError::Timeout(LIMIT, "authenticating"));
    is_known(ConnectError::Timeout(LIMIT, "waiting for the greeting"));
    is_known(ConnectError::Closed("authenticating"));
    is_known(ConnectError::Closed("waiting for the greeting"));
    is_known(ConnectError::BadPassword);
    is_known(ConnectError::AccessDenied);
    is_known(ConnectError::Protocol("it greeted with \"SSH-2.0\"".to_owned()));
    is_known(OpenError::OtherName {
        name: "fs1".to_owned(),
        answered: "pbx-2".to_owned(),
    });
    is_known(Lost::Notice("Disconnected, goodbye.".to_owned()));
    is_known(Lost::Closed);
    is_known(Lost::Io("Broken pipe (os error 32)".to_owned()));
    is_known(Lost::Silent(LIMIT));
    is_known(Lost::Protocol("a reply to no command".to_owned()));
    let nested = OpenError::Subscribe(CommandError::Timeout {
        command: "event json".to_owned(),
        limit: LIMIT,
    });
    is_known(&nested);
    assert_eq!(
        chinese(&nested.to_string()),
        "订阅事件失败：`event json` 在 5s 内没有应答"
    );
}

#[test]
fn what_others_said_stays_as_it_is() {
    assert_eq!(chinese("403 Forbidden"), "403 Forbidden");
    assert_eq!(chinese("`{1}` was refused: -ERR"), "`{1}` 被拒绝：-ERR");
    assert_eq!(failure("it broke").in_language(Language::Zh), "操作没有成功：it broke");
}
