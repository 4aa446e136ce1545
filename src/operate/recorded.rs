//! Sentences that Redis keeps in English, in every language: reports, jobs, the history and the state of
//! switches hold them, some from older trunkd. [`KNOWN`] is their dictionary.

use crate::control::trouble;
use crate::language::{Language, Message, Text, text};
use crate::observed::reason;

/// English sentences with `{}` where a value stands, and Chinese ones in which `{0}` is the first value.
const KNOWN: &[Text] = &[
    // Why an action failed.
    trouble::NOT_THERE,
    trouble::NEVER_REGISTERS,
    trouble::NOT_PARKED,
    trouble::STARTED_BY_OTHERS,
    trouble::REFUSED,
    trouble::SERVED_OTHER,
    trouble::NOT_ASKED,
    trouble::NOT_WANTED,
    trouble::CHANGED_SINCE_SHOWN,
    trouble::ON_ITS_WAY,
    trouble::NOT_DONE,
    trouble::NO_PROFILE,
    trouble::NOT_GONE,
    trouble::OTHER_VERSION,
    // Why a command has no answer, or none that helps.
    text("`{}` had no answer within {}", "`{0}` 在 {1} 内没有应答"),
    text("`{}` was refused: {}", "`{0}` 被拒绝：{1}"),
    text("`{}` had an unexpected answer: {}", "`{0}` 的应答不符合预期：{1}"),
    text("`{}` was answered with {}", "`{0}` 的应答为 {1}"),
    text(
        "the connection ended before `{}` was answered",
        "在 `{0}` 得到应答之前，连接已断开",
    ),
    text(
        "`{}` was not sent: this trunkd lost the right to change the switch while the command waited",
        "`{0}` 没有发出：命令等待期间，此 trunkd 失去了改动该 FreeSWITCH 的权利",
    ),
    text(
        "mod_sofia is not loaded on the switch: `load mod_sofia` loads it, unless FreeSWITCH is shutting down",
        "该 FreeSWITCH 没有加载 mod_sofia：可用 `load mod_sofia` 加载，除非 FreeSWITCH 正在关闭",
    ),
    text(
        "FreeSWITCH does not know the command `sofia`: mod_sofia is not loaded; load it with `fs_cli -x 'load \
         mod_sofia'`",
        "FreeSWITCH 没有 `sofia` 命令：未加载 mod_sofia；请用 `fs_cli -x 'load mod_sofia'` 加载",
    ),
    text(
        "the reply is not a complete list of {}; it begins with {}",
        "应答不是完整的 {0} 列表；其开头为 {1}",
    ),
    text(
        "`sofia xmlstatus gateway` lists a gateway without its {}",
        "`sofia xmlstatus gateway` 列出的一个网关缺少 {0}",
    ),
    text(
        "FreeSWITCH takes the name \"{}\" to mean every gateway of the profile: rename the gateway, or restart it",
        "FreeSWITCH 会把名称 \"{0}\" 理解为 profile 的所有网关：请为网关改名，或者用重启代替",
    ),
    // Why a switch can't be reached, or was lost.
    text("no connection: {}", "无法连接：{0}"),
    text("no answer within {} while connecting", "连接时 {0} 内没有应答"),
    text("no answer within {} while authenticating", "验证密码时 {0} 内没有应答"),
    text(
        "the peer closed the connection while authenticating",
        "验证密码时对方关闭了连接",
    ),
    text(
        "no answer within {} while waiting for the greeting",
        "{0} 内没有收到问候",
    ),
    text(
        "the peer closed the connection while waiting for the greeting",
        "等待问候时对方关闭了连接",
    ),
    text(
        "FreeSWITCH refused the event-socket password: make `password` of this [[switch]] the one in FreeSWITCH's \
         event_socket.conf.xml",
        "FreeSWITCH 拒绝了 event-socket 密码：请把此 [[switch]] 的 `password` 设为 FreeSWITCH 的 \
         event_socket.conf.xml 中的密码",
    ),
    text(
        "FreeSWITCH turned us away by its access list: out of the box its event socket lets in loopback only; set \
         `apply-inbound-acl` in event_socket.conf.xml to a list that contains this host, and reload mod_event_socket",
        "FreeSWITCH 的访问列表拒绝了连接：其 event socket 默认只允许本机；请把 event_socket.conf.xml 的 \
         `apply-inbound-acl` 设为包含此主机的列表，并重新加载 mod_event_socket",
    ),
    text(
        "the peer is not a FreeSWITCH event socket: {}",
        "对方不是 FreeSWITCH 的 event socket：{0}",
    ),
    text("the subscription failed: {}", "订阅事件失败：{0}"),
    text(
        "it answers `switchname` with \"{}\", but this [[switch]] is named \"{}\": set `name = \"{}\"`, or give \
         FreeSWITCH the name \"{}\" (`switchname` in switch.conf.xml). Cloned hosts may share a switchname",
        "它对 `switchname` 的应答为 \"{0}\"，而此 [[switch]] 名为 \"{1}\"：请设 `name = \"{2}\"`，或者把 FreeSWITCH 的名称\
         设为 \"{3}\"（switch.conf.xml 中的 `switchname`）。克隆的主机可能有相同的 switchname",
    ),
    text("FreeSWITCH closed the connection: {}", "FreeSWITCH 关闭了连接：{0}"),
    text("the connection was closed", "连接被关闭"),
    text("the connection broke: {}", "连接中断：{0}"),
    text(
        "no sign of life for {}, although asked",
        "{0} 内没有任何响应，尽管已经询问",
    ),
    text("unreadable: {}", "无法解读：{0}"),
    text("a reply to no command", "没有对应命令的应答"),
    text(
        "the headers of a frame are longer than {} bytes: this is not a FreeSWITCH event socket",
        "数据帧的头部超过 {0} 字节：对方不是 FreeSWITCH 的 event socket",
    ),
    text(
        "a frame ({}) announces {} bytes, more than the {} that are read",
        "数据帧（{0}）声明了 {1} 字节，超过可读取的 {2} 字节",
    ),
    text(
        "a frame has the Content-Length \"{}\", which is not a number",
        "数据帧的 Content-Length 为 \"{0}\"，不是数字",
    ),
    text("it greeted with {}", "其问候为 {0}"),
    text("it answered the password with {}", "它对密码的应答为 {0}"),
    text("FreeSWITCH was restarted", "FreeSWITCH 已重启"),
    text("its switchname is now \"{}\"", "它的 switchname 现为 \"{0}\""),
    text(
        "{} events in a row could not be read: {}",
        "连续 {0} 个事件无法解读：{1}",
    ),
    text("out of reach", "无法连接"),
    text("trunkd was stopped", "trunkd 已停止"),
    // Why calls can't use a gateway.
    text(reason::PING_LOST, "心跳丢失"),
    text(reason::PING_STUCK, "心跳停滞"),
    text(reason::CHALLENGE_NOT_ANSWERED, "质询未得到应答"),
    text(reason::NO_ANSWER, "没有应答"),
    text(reason::UNREGISTERED, "已注销"),
];

/// In both languages. What a carrier, FreeSWITCH or another version of trunkd said stays as it is.
pub(crate) fn recorded(sentence: &str) -> Message {
    find(sentence).unwrap_or_else(|| Message::same(sentence))
}

/// The same for why an action failed: the Chinese text says at least that it did.
pub(in crate::operate) fn failure(reason: &str) -> Message {
    find(reason).unwrap_or_else(|| Message::new(reason, format!("操作没有成功：{reason}")))
}

fn find(sentence: &str) -> Option<Message> {
    let mut found = KNOWN
        .iter()
        .filter_map(|known| Some((known, values(known.en, sentence)?)));
    let (known, values) = found.next()?;
    let mut parts = known.zh.split('{');
    let mut chinese = parts.next()?.to_owned();
    for part in parts {
        let (place, words) = part.split_once('}')?;
        let value = recorded(values.get(place.parse::<usize>().ok()?)?);
        chinese.push_str(value.in_language(Language::Zh));
        chinese.push_str(words);
    }
    Some(Message::new(sentence, chinese))
}

/// What stands in the holes of a pattern. `None` if the sentence is another one.
fn values<'a>(pattern: &str, sentence: &'a str) -> Option<Vec<&'a str>> {
    let Some((first, behind)) = pattern.split_once("{}") else {
        return (pattern == sentence).then(Vec::new);
    };
    let mut rest = sentence.strip_prefix(first)?;
    let mut values = Vec::new();
    let mut words = behind.split("{}").peekable();
    while let Some(word) = words.next() {
        let (value, left) = match words.peek() {
            Some(_) => rest.split_once(word)?,
            None => (rest.strip_suffix(word)?, ""),
        };
        values.push(value);
        rest = left;
    }
    Some(values)
}

#[cfg(test)]
mod tests;
