//! Suggestions for names that FreeSWITCH or trunkd don't know.

use super::params::{PARAMS, param};
use super::profile_params::is_profile_param;
use super::value_keys;
use super::variables::is_variable;
use crate::language::{Message, message, text};

/// The param that a name is another spelling of: `auth_username`, `Realm`.
pub(crate) fn param_spelt(name: &str) -> Option<&'static str> {
    same_but_for_spelling(&plain(name))
}

/// How to fix a param that FreeSWITCH does not know.
pub(crate) fn fix_for_param(name: &str) -> Message {
    let plain = plain(name);
    if let Some(known) = same_but_for_spelling(&plain) {
        return did_you_mean(known);
    }
    if let Some((_, meant)) = OTHER_NAMES.iter().find(|(other, _)| *other == plain) {
        return meant.fix();
    }
    if is_variable(name) {
        return Meant::Variable(name).fix();
    }
    if is_profile_param(&name.to_ascii_lowercase()) {
        return text(
            "it is a setting of the profile: set it in the profile's template",
            "这是 profile 的设置：请在 profile 的模板中设置",
        )
        .into();
    }
    match nearest(name, PARAMS.iter().map(|spec| spec.name)) {
        Some(known) => did_you_mean(known),
        None => text("correct the name, or leave it out", "请更正名称，或删除此参数").into(),
    }
}

pub(super) fn did_you_mean(known: &str) -> Message {
    message!("did you mean {known}?", "是否应为 {known}？")
}

/// How to fix a key of the value that trunkd does not know.
pub(super) fn fix_for_key(key: &str) -> Message {
    if let Some(known) = nearest(key, value_keys::spellings()) {
        return did_you_mean(known);
    }
    let plain = plain(key);
    if let Some((_, Meant::Key(known))) = OTHER_NAMES.iter().find(|(other, _)| *other == plain) {
        return did_you_mean(known);
    }
    if param(key).is_some() {
        return text("put it under param", "请放到 param 下").into();
    }
    fix_for_member("", &value_keys::KEYS.map(|key| key.name))
}

/// How to fix a key that is none of these.
pub(super) fn fix_for_member(key: &str, known: &[&'static str]) -> Message {
    if let Some(meant) = nearest(key, known.iter().copied()) {
        return did_you_mean(meant);
    }
    let (en, zh) = (known.join(", "), known.join("、"));
    message!("known are {en}", "可用的键为 {zh}")
}

/// The known name that was probably meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// One wrong letter per this many is a typo; more is another word.
    const LETTERS_PER_TYPO: usize = 4;
    const MOST_TYPOS: usize = 2;
    let most = (name.chars().count() / LETTERS_PER_TYPO).min(MOST_TYPOS);
    if most == 0 || name.len() > LONGEST_NAME {
        return None;
    }
    known
        .into_iter()
        // A cheap lower bound of the distance.
        .filter(|known| known.len().abs_diff(name.len()) <= most)
        .map(|known| (strsim::osa_distance(known, name), known))
        .filter(|(distance, _)| (1..=most).contains(distance))
        .min()
        .map(|(_, known)| known)
}

/// No known name is longer, in bytes. Comparing costs the product of two lengths, and names come from outside.
const LONGEST_NAME: usize = 64;

/// The param with this name apart from case, '-', '_' and spaces.
fn same_but_for_spelling(plain_name: &str) -> Option<&'static str> {
    let is_same = |known: &&str| known.bytes().filter(u8::is_ascii_alphanumeric).eq(plain_name.bytes());
    PARAMS.iter().map(|spec| spec.name).find(is_same)
}

/// Only letters and digits, in lower case.
fn plain(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .take(LONGEST_NAME)
        .collect()
}

/// What a wrong name was meant to be.
#[derive(Debug, Clone, Copy)]
enum Meant<'a> {
    Param(&'a str),
    Variable(&'a str),
    /// A key beside `param`.
    Key(&'a str),
    /// The port of a host.
    Port,
    CallLimit,
}

impl Meant<'_> {
    fn fix(self) -> Message {
        match self {
            Self::Param(name) => did_you_mean(name),
            Self::Variable(name) => {
                let name = super::shown(name);
                message!(
                    "it is a channel variable: write it as variables.{name}",
                    "这是通道变量：请写成 variables.{name}"
                )
            }
            Self::Key(name) => message!(
                "did you mean {name}? It stands beside param, not in it",
                "是否应为 {name}？它与 param 并列，不在 param 之内"
            ),
            Self::Port => text(
                "write the port behind the host, as in sip.example.net:5070",
                "端口请写在主机后面，例如 sip.example.net:5070",
            )
            .into(),
            Self::CallLimit => text(
                "a gateway has no limit of calls: use the application `limit` in the dialplan",
                "网关没有并发呼叫数限制：请在拨号计划中使用应用 `limit`",
            )
            .into(),
        }
    }
}

/// Names of other programs, of profiles and of guides, as [`plain`] makes them.
const OTHER_NAMES: &[(&str, Meant<'_>)] = &[
    ("account", Meant::Param("username")),
    ("allow", Meant::Variable("absolute_codec_string")),
    ("authid", Meant::Param("auth-username")),
    ("authname", Meant::Param("auth-username")),
    ("authuser", Meant::Param("auth-username")),
    ("calllimit", Meant::CallLimit),
    ("callerid", Meant::Variable("p:caller_id_number")),
    ("calleridnumber", Meant::Variable("p:caller_id_number")),
    ("calleridtype", Meant::Variable("sip_cid_type")),
    ("channels", Meant::CallLimit),
    ("cidtype", Meant::Variable("sip_cid_type")),
    ("codec", Meant::Variable("absolute_codec_string")),
    ("codecprefs", Meant::Variable("absolute_codec_string")),
    ("codecs", Meant::Variable("absolute_codec_string")),
    ("defaultuser", Meant::Param("username")),
    ("enabled", Meant::Key("enabled")),
    ("expires", Meant::Param("expire-seconds")),
    ("expiry", Meant::Param("expire-seconds")),
    ("host", Meant::Param("proxy")),
    ("hostname", Meant::Key("nodes")),
    ("limit", Meant::CallLimit),
    ("login", Meant::Param("username")),
    ("maxcalls", Meant::CallLimit),
    ("maxchannels", Meant::CallLimit),
    ("node", Meant::Key("nodes")),
    ("nodes", Meant::Key("nodes")),
    ("optionsping", Meant::Param("ping")),
    ("pass", Meant::Param("password")),
    ("passwd", Meant::Param("password")),
    ("pinginterval", Meant::Param("ping")),
    ("port", Meant::Port),
    ("prefix", Meant::Param("destination-prefix")),
    ("profile", Meant::Key("profile")),
    ("proxyport", Meant::Port),
    ("qualify", Meant::Param("ping")),
    ("registerexpires", Meant::Param("expire-seconds")),
    ("registerproxyport", Meant::Port),
    ("registrar", Meant::Param("register-proxy")),
    ("secret", Meant::Param("password")),
    ("server", Meant::Param("proxy")),
    ("sipcidtype", Meant::Variable("sip_cid_type")),
    ("switch", Meant::Key("nodes")),
    ("switchname", Meant::Key("nodes")),
    ("techprefix", Meant::Param("destination-prefix")),
    ("transport", Meant::Param("register-transport")),
    ("user", Meant::Param("username")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_recognised_and_another_word_is_not() {
        for (name, meant) in [
            ("pasword", Some("password")),
            ("passwrod", Some("password")),
            ("usrename", Some("username")),
            ("relm", Some("realm")),
            ("pnig", Some("ping")),
            ("outbound-prxy", Some("outbound-proxy")),
            ("expire-secondss", Some("expire-seconds")),
            ("colour", None),
            ("id", None),
            ("pi", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, PARAMS.iter().map(|spec| spec.name)), meant, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(1_000_000), ["realm"]), None);
    }

    #[test]
    fn every_suggestion_exists() {
        for (name, meant) in OTHER_NAMES {
            assert_eq!(plain(name), *name);
            assert_eq!(same_but_for_spelling(name), None, "{name} needs no entry");
            meant.fix().check();
            if let Meant::Param(known) = meant {
                assert!(param(known).is_some(), "{known}");
            }
        }
    }
}
