//! Suggestions for names that FreeSWITCH or trunkd don't know.

use super::params::{PARAMS, param};
use super::profile_params::is_profile_param;
use super::value_keys;
use super::variables::is_variable;

/// How to fix a param that FreeSWITCH does not know.
pub(super) fn fix_for_param(name: &str) -> String {
    let plain = plain(name);
    if let Some(known) = same_but_for_spelling(&plain) {
        return format!("did you mean {known}?");
    }
    if let Some((_, meant)) = OTHER_NAMES.iter().find(|(other, _)| *other == plain) {
        return meant.fix();
    }
    if is_variable(name) {
        return Meant::Variable(name).fix();
    }
    if is_profile_param(&name.to_ascii_lowercase()) {
        return "it is a setting of the profile: set it in the profile's template".to_owned();
    }
    match nearest(name, PARAMS.iter().map(|spec| spec.name)) {
        Some(known) => format!("did you mean {known}?"),
        None => "correct the name, or leave it out".to_owned(),
    }
}

/// How to fix a key of the value that trunkd does not know.
pub(super) fn fix_for_key(key: &str) -> String {
    if let Some(known) = nearest(key, value_keys::spellings()) {
        return format!("did you mean {known}?");
    }
    let plain = plain(key);
    if let Some((_, Meant::Key(known))) = OTHER_NAMES.iter().find(|(other, _)| *other == plain) {
        return format!("did you mean {known}?");
    }
    if param(key).is_some() {
        return "put it under param".to_owned();
    }
    let known = value_keys::KEYS.map(|key| key.name).join(", ");
    format!("known are {known}")
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
    fn fix(self) -> String {
        match self {
            Self::Param(name) => format!("did you mean {name}?"),
            Self::Variable(name) => {
                format!("it is a channel variable: write it as variables.{}", super::shown(name))
            }
            Self::Key(name) => format!("did you mean {name}? It stands beside param, not in it"),
            Self::Port => "write the port behind the host, as in sip.example.net:5070".to_owned(),
            Self::CallLimit => {
                "a gateway has no limit of calls: use the application `limit` in the dialplan".to_owned()
            }
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
            if let Meant::Param(known) = meant {
                assert!(param(known).is_some(), "{known}");
            }
        }
    }
}
