//! FreeSWITCH's rules over several params of a gateway. Each is a function of its own that reads values and says what
//! is wrong, and each was checked with FreeSWITCH's source, most with a running FreeSWITCH too (**seen**).

mod hosts;
mod pings;

use std::collections::BTreeSet;

use super::ProfileFacts;
use super::finding::{Fault, Note, Severity};
use super::freeswitch::{MAX_CREDENTIALS_BYTES, atoi, is_true};
use super::host::Host;
use super::param_values::{Params, USER_ENDS, first_of, named};
use super::params::{PARAMS, ParamSpec, WHEN_REGISTERING, param};
use crate::language::{Message, message, text};

/// What the rules read.
pub(super) struct Values<'a> {
    gateway: &'a str,
    params: &'a Params,
    /// Those that hold a placeholder: once that is replaced there is something to check.
    placeholders: BTreeSet<&'a str>,
    profile: Option<&'a ProfileFacts>,
}

/// Everything that several params together say about a gateway.
pub(super) fn check(values: &Values<'_>) -> Vec<Note> {
    let always = [
        hosts::register_transport,
        hosts::host_transports,
        hosts::request_host,
        hosts::challenges,
    ];
    let whole = [
        account,
        digest,
        user_in_from_and_to,
        user_in_contact,
        pings::pings,
        rfc_5626,
        retry_seconds_twice,
        impatience,
    ];
    let mut notes: Vec<_> = always.iter().flat_map(|rule| rule(values)).collect();
    // Only if everything could be read, it is known what is missing.
    if !values.params.incomplete {
        notes.extend(whole.iter().flat_map(|rule| rule(values)));
    }
    notes
}

impl<'a> Values<'a> {
    pub(super) fn new(
        gateway: &'a str,
        params: &'a Params,
        placeholders: BTreeSet<&'a str>,
        profile: Option<&'a ProfileFacts>,
    ) -> Self {
        Self {
            gateway,
            params,
            placeholders,
            profile,
        }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.params.set.get(name).map(|param| param.value.as_str())
    }

    /// The value, unless something is still to be filled in.
    fn known(&self, name: &str) -> Option<&'a str> {
        self.get(name).filter(|_| !self.placeholders.contains(name))
    }

    /// Whether there is a value, if only one that is refused.
    fn is_set(&self, name: &str) -> bool {
        self.params.set.contains_key(name) || self.params.refused.contains(name)
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_true)
    }

    fn registers(&self) -> bool {
        self.get("register").is_none_or(is_true)
    }

    fn pings(&self) -> bool {
        let number = || param("ping").and_then(ParamSpec::number);
        self.get("ping")
            .is_some_and(|ping| number().is_some_and(|number| atoi(ping) >= number.least))
    }

    /// Whether From is made of from-user or username, and of from-domain or proxy (`register_from`
    /// in sofia.c): calls may have the caller in it instead.
    fn uses_from(&self) -> bool {
        self.registers() || !self.is_true("caller-id-in-from")
    }

    /// The param that says where requests go: proxy, or realm where there is none.
    fn request_param(&self) -> &'static str {
        if self.is_set("proxy") { "proxy" } else { "realm" }
    }

    /// The params with the hosts that requests with a Contact are sent to: REGISTER, if any is, and calls.
    fn targets(&self) -> impl Iterator<Item = &'static str> {
        let registrar = self.registers().then(|| self.registrar());
        registrar.into_iter().chain([self.target("outbound-proxy")])
    }

    /// The param with the host that REGISTER and pings are sent to.
    fn registrar(&self) -> &'static str {
        self.target("register-proxy")
    }

    fn target(&self, proxy: &'static str) -> &'static str {
        if self.is_set(proxy) {
            proxy
        } else {
            self.request_param()
        }
    }

    /// The host of a param, if it is well formed.
    fn host(&self, name: &str) -> Option<Host<'a>> {
        Host::parse(self.known(name)?, param(name)?.kind).ok()
    }
}

fn warning(param: &'static str, reason: impl Into<Message>, fix: impl Into<Message>) -> Note {
    Fault::new(reason, fix).at(Severity::Warning, param)
}

/// What a registration needs (FACTS 13).
fn account(values: &Values<'_>) -> Vec<Note> {
    if values.params.refused.contains("register") || !values.registers() {
        return Vec::new();
    }
    PARAMS
        .iter()
        .filter(|spec| spec.required_when == Some(WHEN_REGISTERING) && !values.is_set(spec.name))
        .map(|spec| {
            let reason = text(
                "is not set, and register is true (its default); FreeSWITCH would drop the gateway",
                "未设置，而 register 为 true（默认值）；FreeSWITCH 会丢弃该网关",
            );
            let fix = text(
                "set it, or set register to false",
                "请设置此参数，或将 register 设为 false",
            );
            Fault::new(reason, fix).at(Severity::Error, spec.name)
        })
        .collect()
}

/// What digest credentials can carry (FACTS 15). What spoils them is an error where they are needed.
fn digest(values: &Values<'_>) -> Vec<Note> {
    if values.params.refused.contains("register") {
        return Vec::new(); // once that is fixed, there is something to check
    }
    let mut notes = Vec::new();
    let needed = if values.registers() {
        Severity::Error
    } else {
        Severity::Warning
    };
    let name_param = if values.params.set.contains_key("auth-username") {
        "auth-username"
    } else {
        "username"
    };
    let name = values.get(name_param).unwrap_or("FreeSWITCH");
    if name.contains(':') {
        let reason = text(
            "contains a ':', which ends the name in FreeSWITCH's digest credentials",
            "含有 ':'，在 FreeSWITCH 的摘要鉴权凭据中账号名会在此处截断",
        );
        let fix = text("use an account name without ':'", "请使用不含 ':' 的账号名");
        notes.push(Fault::new(reason, fix).at(needed, name_param));
    }
    if name.contains('"') {
        let reason = text(
            "contains a quotation mark, which ends the name in the Authorization header",
            "含有双引号，在 Authorization 头中账号名会在此处截断",
        );
        let fix = text("use an account name without '\"'", "请使用不含 '\"' 的账号名");
        notes.push(warning(name_param, reason, fix));
    }
    let Some(password) = values.get("password") else {
        return notes;
    };
    let scheme = values.get("scheme").unwrap_or("Digest");
    // The carrier's challenge names the realm; until then this is what FreeSWITCH itself takes for it (FACTS 14).
    let realm = values
        .get("realm")
        .or_else(|| values.get("proxy"))
        .unwrap_or(values.gateway);
    let bytes = scheme.len() + realm.len() + name.len() + password.len() + 3;
    // The realm of a challenge is passed on with its quotes (sofia_reg.c).
    let (severity, consequence) = match bytes {
        _ if bytes > MAX_CREDENTIALS_BYTES => (needed, text(" and authentication fails", "，鉴权会失败")),
        _ if bytes + 2 > MAX_CREDENTIALS_BYTES => {
            let quotes = text(
                ", and the quotes around the realm are two more",
                "，而 realm 两侧的引号还要占两个字节",
            );
            (Severity::Warning, quotes)
        }
        _ => return notes,
    };
    let reason = message!(
        "scheme:realm:username:password make {bytes} bytes; FreeSWITCH cuts them at \
         {MAX_CREDENTIALS_BYTES}{consequence}",
        "scheme:realm:username:password 共 {bytes} 字节；FreeSWITCH 只取前 {MAX_CREDENTIALS_BYTES} 字节{consequence}",
        consequence = consequence
    );
    let fix = message!(
        "a shorter password: these four, with three ':', must fit in {MAX_CREDENTIALS_BYTES} bytes",
        "请缩短密码：这四项连同三个 ':' 不得超过 {MAX_CREDENTIALS_BYTES} 字节"
    );
    notes.push(Fault::new(reason, fix).at(severity, "password"));
    notes
}

/// The user name in To and From. A REGISTER has `username@proxy` in To, without angle brackets, whatever from-user is;
/// From has from-user, or else username, in brackets (**seen**).
fn user_in_from_and_to(values: &Values<'_>) -> Vec<Note> {
    let username = values.known("username");
    if values.registers()
        && let Some(c) = username.and_then(|name| first_of(name, &[' ', ',', ';', '?']))
    {
        let reason = message!(
            "has a {c}: no REGISTER is ever sent with it in To",
            "含有{c}：To 头中有它时 REGISTER 不会发出",
            c = named(c)
        );
        let escape = escape(c);
        let fix = message!(
            "write the account name without it, or as its escape, {escape}",
            "请从账号名中去掉它，或写成转义形式 {escape}"
        );
        return vec![warning("username", reason, fix)];
    }
    let param = if values.is_set("from-user") {
        "from-user"
    } else {
        "username"
    };
    let Some(user) = values.known(param).filter(|_| values.uses_from()) else {
        return Vec::new();
    };
    let note = match first_of(user, &USER_ENDS) {
        None => return Vec::new(),
        Some('@') => warning(
            param,
            text(
                "has an '@', so that From has two '@', which carriers refuse",
                "含有 '@'，From 中会出现两个 '@'，运营商会拒绝",
            ),
            text(
                "set from-user to what is before the '@', and from-domain to what is behind it",
                "请将 '@' 前面的部分填入 from-user，后面的部分填入 from-domain",
            ),
        ),
        Some(c) => {
            let reason = message!(
                "has a {c}, which the user in From can't hold",
                "含有{c}，From 头的用户名中不能有它",
                c = named(c)
            );
            let escape = escape(c);
            let fix = message!(
                "remove it, or write its escape, {escape}",
                "请删除，或写成转义形式 {escape}"
            );
            warning(param, reason, fix)
        }
    };
    vec![note]
}

/// With extension-in-contact the Contact's user is extension, or else username.
fn user_in_contact(values: &Values<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let in_contact = values.is_true("extension-in-contact");
    // Elsewhere it works: `auto` takes To's user from a call to `gw+name@…`, and else the number as it came.
    if in_contact
        && values
            .known("extension")
            .is_some_and(|extension| extension.eq_ignore_ascii_case("auto"))
    {
        let reason = text(
            "means the number that was dialled, and with extension-in-contact that is 'auto' itself",
            "表示对方实际拨打的号码；启用 extension-in-contact 后，该号码就是 'auto' 本身",
        );
        let fix = text(
            "write auto_to_user, which takes it from To",
            "请填写 auto_to_user，从 To 头取得号码",
        );
        notes.push(warning("extension", reason, fix));
    }
    let param = if values.is_set("extension") {
        "extension"
    } else {
        "username"
    };
    if let Some(user) = values.known(param).filter(|_| in_contact)
        && let Some(c) = first_of(user, &USER_ENDS)
    {
        let reason = message!(
            "has a {c}, which the user in Contact can't hold",
            "含有{c}，Contact 的用户名中不能有它",
            c = named(c)
        );
        let fix = text(
            "set extension to a number or a plain name",
            "请将 extension 设为号码或简单的名称",
        );
        notes.push(warning(param, reason, fix));
    }
    notes
}

/// How a SIP URI writes the character.
fn escape(c: char) -> String {
    format!("%{:02X}", u32::from(c))
}

/// RFC 5626 is switched on in the profile, too.
fn rfc_5626(values: &Values<'_>) -> Vec<Note> {
    const NAME: &str = "rfc-5626";
    if !values.is_true(NAME) {
        return Vec::new();
    }
    if values.profile.is_some_and(|profile| profile.rfc_5626 == Some(false)) {
        let reason = text(
            "does nothing: the profile has no enable-rfc-5626",
            "不起作用：profile 没有启用 enable-rfc-5626",
        );
        let fix = text(
            "set the profile's param enable-rfc-5626 to true in its template, or leave rfc-5626 out",
            "请在模板中将 profile 的参数 enable-rfc-5626 设为 true，或者不设置 rfc-5626",
        );
        return vec![warning(NAME, reason, fix)];
    }
    if values.is_set("reg-id") {
        return Vec::new();
    }
    let reason = text(
        "is true without a reg-id; FreeSWITCH would send ';reg-id=(null)'",
        "为 true，但没有设置 reg-id；FreeSWITCH 会发送 ';reg-id=(null)'",
    );
    vec![warning(
        NAME,
        reason,
        text("set reg-id, 1 for instance", "请设置 reg-id，例如 1"),
    )]
}

/// Of the two spellings the later one in the document counts, and params are written by name.
/// A refused registration is tried again after `retry-seconds`, twice that, and so on; after a 503 always
/// after `retry-seconds` (FACTS 39).
fn impatience(values: &Values<'_>) -> Vec<Note> {
    const PATIENT: i32 = 10;
    let name = match values.get("retry_seconds") {
        Some(_) => "retry_seconds",
        None => "retry-seconds",
    };
    let seconds = values.known(name).map(atoi);
    // FreeSWITCH replaces what is below its own limit.
    let least = param("retry-seconds")
        .and_then(ParamSpec::number)
        .map_or(0, |number| number.least);
    let is_short = seconds.is_some_and(|seconds| (least..PATIENT).contains(&seconds));
    let note = (values.registers() && is_short).then(|| {
        warning(
            name,
            text(
                "is so short that carriers which refuse a registration may ban this address",
                "过短：运营商拒绝注册后可能封禁本机地址",
            ),
            text("30 is FreeSWITCH's default", "FreeSWITCH 的默认值为 30"),
        )
    });
    note.into_iter().collect()
}

fn retry_seconds_twice(values: &Values<'_>) -> Vec<Note> {
    let is_twice = ["retry-seconds", "retry_seconds"]
        .iter()
        .all(|name| values.get(name).is_some());
    let note = is_twice.then(|| {
        warning(
            "retry_seconds",
            text(
                "is given beside retry-seconds, and counts",
                "与 retry-seconds 同时设置，以此参数为准",
            ),
            text("leave out retry_seconds", "请去掉 retry_seconds"),
        )
    });
    note.into_iter().collect()
}
