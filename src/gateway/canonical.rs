//! What a gateway means to FreeSWITCH, as bytes that never change between releases.
//!
//! The revision of a gateway is a digest of this form, and a changed revision restarts a trunk. So two
//! gateways have the same form exactly when `parse_gateways` (sofia.c) makes the same gateway of them:
//! defaults that are written out, `yes` for `true`, params that FreeSWITCH ignores and the order of
//! things make no difference.
//!
//! **Never change what an existing gateway's form is**: every fleet would restart every trunk at the
//! next upgrade. `tests/revisions.rs` pins the revisions of fifty gateways. A param that a later
//! FreeSWITCH knows is added as a field that is written only where its meaning differs from the default.

use std::fmt::Write as _;

use super::freeswitch::{atoi, is_true};
use super::{Direction, Gateway};

/// Stands first in the form.
const VERSION: &str = "trunkd gateway 1";

/// The params as FreeSWITCH takes them, before it fills one in from another.
///
/// trunkd leaves empty params out, so `None` is both "not set" and "empty"; an empty `register` is false.
struct Params<'a> {
    register: bool,
    realm: Option<&'a str>,
    proxy: Option<&'a str>,
    username: Option<&'a str>,
    password: Option<&'a str>,
    auth_username: Option<&'a str>,
    from_user: Option<&'a str>,
    /// Params that FreeSWITCH keeps as they are, where they are set.
    texts: Vec<(&'static str, &'a str)>,
    /// Those of its flags that are true.
    flags: Vec<&'static str>,
    expire_seconds: &'a str,
    retry_seconds: i32,
    retry_908_seconds: i32,
    timeout_seconds: i32,
    ping: Ping,
    /// As `;transport=` of the Contact names it.
    transport: &'static str,
    contact_params: &'a str,
    rfc_5626: bool,
    reg_id: Option<&'a str>,
}

/// What of the pings counts only when there are any.
struct Ping {
    seconds: u32,
    max: i32,
    min: i32,
    contact: bool,
    monitoring: bool,
}

/// Seconds under this are replaced by a default, and pings under it don't happen. Part of the form, and
/// so not shared with the catalog of params.
const MIN_SECONDS: i32 = 5;

/// FreeSWITCH's defaults.
const EXPIRE_SECONDS: &str = "3600";
const RETRY_SECONDS: i32 = 30;
const TIMEOUT_SECONDS: i32 = 60;
const NO_USERNAME: &str = "FreeSWITCH";
const TRANSPORT: &str = "udp";

impl<'a> Params<'a> {
    /// In the order in which they are served: of `retry-seconds` and `retry_seconds` the later one counts.
    fn read(gateway: &'a Gateway) -> Self {
        let mut params = Self {
            register: true,
            realm: None,
            proxy: None,
            username: None,
            password: None,
            auth_username: None,
            from_user: None,
            texts: Vec::new(),
            flags: Vec::new(),
            expire_seconds: EXPIRE_SECONDS,
            retry_seconds: RETRY_SECONDS,
            retry_908_seconds: 0,
            timeout_seconds: TIMEOUT_SECONDS,
            ping: Ping {
                seconds: 0,
                max: 1,
                min: 1,
                contact: false,
                monitoring: false,
            },
            transport: TRANSPORT,
            contact_params: "",
            rfc_5626: false,
            reg_id: None,
        };
        for (name, value) in gateway.params.iter() {
            params.set(name, value);
        }
        params.texts.sort_unstable();
        params.flags.sort_unstable();
        params
    }

    fn set(&mut self, name: &str, value: &'a str) {
        match name {
            "register" => self.register = is_true(value),
            "realm" => self.realm = Some(value),
            "proxy" => self.proxy = Some(value),
            "username" => self.username = Some(value),
            "password" => self.password = Some(value),
            "auth-username" => self.auth_username = Some(value),
            "from-user" => self.from_user = Some(value),
            "expire-seconds" => self.expire_seconds = value,
            "retry-seconds" | "retry_seconds" => self.retry_seconds = at_least_min(value, RETRY_SECONDS),
            "908-retry-seconds" => self.retry_908_seconds = atoi(value),
            "timeout-seconds" => self.timeout_seconds = at_least_min(value, TIMEOUT_SECONDS),
            // FreeSWITCH keeps it unsigned.
            "ping" => self.ping.seconds = atoi(value).cast_unsigned(),
            "ping-max" => self.ping.max = atoi(value),
            "ping-min" => self.ping.min = atoi(value),
            "contact-in-ping" => self.ping.contact = is_true(value),
            "ping-monitoring" => self.ping.monitoring = is_true(value),
            "register-transport" => self.transport = transport(value),
            // FreeSWITCH puts a ';' before it that has none.
            "contact-params" => self.contact_params = value.strip_prefix(';').unwrap_or(value),
            "rfc-5626" => self.rfc_5626 = is_true(value),
            "reg-id" => self.reg_id = Some(value),
            _ => {
                if let Some(flag) = FLAGS.iter().find(|flag| **flag == name) {
                    if is_true(value) {
                        self.flags.push(flag);
                    }
                } else if let Some(text) = TEXTS.iter().find(|text| **text == name) {
                    self.texts.push((text, value));
                }
            }
        }
    }
}

/// Read by `switch_true`, false unless set.
const FLAGS: [&str; 3] = ["caller-id-in-from", "distinct-to", "extension-in-contact"];

/// Kept as they are. Where one is not set FreeSWITCH may use something else, but it knows that it is not
/// set: `extension` set to the username is another thing than none.
const TEXTS: [&str; 9] = [
    "contact-host",
    "context",
    "destination-prefix",
    "extension",
    "from-domain",
    "gw-auth-acl",
    "outbound-proxy",
    "register-proxy",
    "scheme",
];

/// `scheme` is Digest unless set.
const DEFAULT_SCHEME: (&str, &str) = ("scheme", "Digest");

fn at_least_min(value: &str, default: i32) -> i32 {
    let seconds = atoi(value);
    if seconds < MIN_SECONDS { default } else { seconds }
}

/// `sofia_glue_str2transport` and back. The unknown one is refused before.
fn transport(value: &str) -> &'static str {
    let begins = |prefix: &&&str| {
        let start = value.as_bytes().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    ["udp", "tcp", "sctp", "tls"]
        .iter()
        .find(begins)
        .copied()
        .unwrap_or("unknown")
}

/// The form: one field a line, `name=length:value`, with the length in bytes, so that no value can look
/// like a field. Holds the password.
pub(super) fn canonical(gateway: &Gateway) -> String {
    let params = Params::read(gateway);
    let mut form = Form(String::with_capacity(1024));
    form.0.push_str(VERSION);
    form.0.push('\n');
    form.push("name", gateway.name.as_str());
    write_account(&mut form, gateway, &params);
    write_rest(&mut form, &params);
    let mut variables: Vec<_> = gateway.variables.iter().collect();
    variables.sort_unstable_by_key(|variable| variable.name);
    for variable in variables {
        let field = match variable.direction {
            Direction::Both => "variable",
            Direction::Inbound => "inbound variable",
            Direction::Outbound => "outbound variable",
        };
        form.push(field, variable.name);
        form.push("value", variable.value);
    }
    form.0
}

/// Where it is, who we are there, and whether we register.
fn write_account(form: &mut Form, gateway: &Gateway, params: &Params<'_>) {
    // As FreeSWITCH fills one in from the other.
    let realm = params.realm.or(params.proxy).unwrap_or(gateway.name.as_str());
    let proxy = params.proxy.unwrap_or(realm);
    let username = params.username.unwrap_or(NO_USERNAME);
    form.push("register", if params.register { "true" } else { "false" });
    form.push("realm", realm);
    form.push("proxy", proxy);
    form.push("username", username);
    form.push("password", params.password.unwrap_or_default());
    form.push_unless("auth-username", params.auth_username.unwrap_or(username), username);
    form.push_unless("from-user", params.from_user.unwrap_or(username), username);
}

fn write_rest(form: &mut Form, params: &Params<'_>) {
    for flag in &params.flags {
        form.push(flag, "true");
    }
    for text in params.texts.iter().filter(|text| **text != DEFAULT_SCHEME) {
        form.push(text.0, text.1);
    }
    form.push_unless("expire-seconds", params.expire_seconds, EXPIRE_SECONDS);
    form.push_number("retry-seconds", params.retry_seconds.into(), RETRY_SECONDS.into());
    form.push_number("908-retry-seconds", params.retry_908_seconds.into(), 0);
    form.push_number("timeout-seconds", params.timeout_seconds.into(), TIMEOUT_SECONDS.into());
    form.push_unless("register-transport", params.transport, TRANSPORT);
    form.push_unless("contact-params", params.contact_params, "");
    if params.rfc_5626 {
        form.push("reg-id", params.reg_id.unwrap_or("(null)"));
    }
    let ping = &params.ping;
    if ping.seconds >= MIN_SECONDS.cast_unsigned() {
        form.push_number("ping", ping.seconds.into(), 0);
        form.push_number("ping-max", ping.max.into(), 1);
        form.push_number("ping-min", ping.min.into(), 1);
        for (flag, is_set) in [("contact-in-ping", ping.contact), ("ping-monitoring", ping.monitoring)] {
            if is_set {
                form.push(flag, "true");
            }
        }
    }
}

struct Form(String);

impl Form {
    fn push(&mut self, field: &str, value: &str) {
        let _ = writeln!(self.0, "{field}={}:{value}", value.len());
    }

    fn push_unless(&mut self, field: &str, value: &str, default: &str) {
        if value != default {
            self.push(field, value);
        }
    }

    fn push_number(&mut self, field: &str, value: i64, default: i64) {
        if value != default {
            self.push(field, &value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::gateway::{GatewayName, ProfileName};

    fn form(params: &[(&str, &str)]) -> String {
        let mut params = params.to_vec();
        params.sort_unstable();
        canonical(&Gateway {
            domain: "acme".into(),
            name: GatewayName::parse("gw").unwrap(),
            profile: ProfileName::parse("external").unwrap(),
            enabled: true,
            nodes: None,
            placement: None,
            carrier: None,
            rollback: true,
            params: params.into_iter().collect(),
            variables: Default::default(),
        })
    }

    const ACCOUNT: [(&str, &str); 3] = [("realm", "sip.example.net"), ("username", "u"), ("password", "p")];

    fn account(more: &[(&str, &str)]) -> String {
        form(&[&ACCOUNT, more].concat())
    }

    #[test]
    fn what_makes_no_difference_to_freeswitch_makes_none() {
        let plain = account(&[]);
        for more in [
            ("register", "true"),
            ("register", "YES"),
            ("register", "1"),
            ("codec-prefs", "PCMA"),
            ("Realm", "other.example.net"),
            ("proxy", "sip.example.net"),
            ("scheme", "Digest"),
            ("auth-username", "u"),
            ("from-user", "u"),
            ("caller-id-in-from", "false"),
            ("caller-id-in-from", "enable"),
            ("extension-in-contact", "no"),
            ("distinct-to", "off"),
            ("expire-seconds", "3600"),
            ("retry-seconds", "30"),
            ("retry-seconds", "4"),
            ("retry_seconds", "x"),
            ("908-retry-seconds", "0"),
            ("timeout-seconds", "60"),
            ("timeout-seconds", "1"),
            ("register-transport", "udp"),
            ("register-transport", "UDPv4"),
            ("rfc-5626", "false"),
            ("reg-id", "1"),
            ("ping", "0"),
            ("ping", "4"),
            ("ping-max", "3"),
            ("contact-in-ping", "true"),
            ("ping-monitoring", "true"),
            ("ping-user-agent", "x"),
        ] {
            assert_eq!(account(&[more]), plain, "{more:?}");
        }
    }

    #[test]
    fn each_thing_that_freeswitch_acts_on_makes_a_form_of_its_own() {
        let each: Vec<Vec<(&str, &str)>> = vec![
            vec![],
            vec![("register", "false")],
            vec![("proxy", "p.example.net")],
            vec![("register-proxy", "p.example.net")],
            vec![("outbound-proxy", "p.example.net")],
            vec![("scheme", "Basic")],
            vec![("auth-username", "a")],
            vec![("from-user", "a")],
            // Not the same as none: FreeSWITCH sets sip_invite_domain for calls where it is set.
            vec![("from-domain", "sip.example.net")],
            // Nor is this: only then an inbound call goes to it.
            vec![("extension", "u")],
            vec![("extension-in-contact", "true")],
            vec![("caller-id-in-from", "true")],
            vec![("distinct-to", "true")],
            vec![("destination-prefix", "00")],
            vec![("context", "public")],
            vec![("contact-host", "sip-ip")],
            vec![("contact-params", "tport=tls")],
            vec![("gw-auth-acl", "carriers")],
            vec![("expire-seconds", "60")],
            // It is what the REGISTER says, though the timer is another.
            vec![("expire-seconds", "060")],
            vec![("retry-seconds", "5")],
            vec![("908-retry-seconds", "5")],
            vec![("timeout-seconds", "5")],
            vec![("register-transport", "tcp")],
            vec![("register-transport", "tls")],
            vec![("register-transport", "sctp")],
            vec![("rfc-5626", "true")],
            vec![("rfc-5626", "true"), ("reg-id", "1")],
            vec![("ping", "5")],
            vec![("ping", "25")],
            vec![("ping", "25"), ("ping-max", "3")],
            vec![("ping", "25"), ("ping-min", "3")],
            vec![("ping", "25"), ("ping-monitoring", "true")],
            vec![("ping", "25"), ("contact-in-ping", "true")],
        ];
        let forms: BTreeSet<_> = each.iter().map(|more| account(more)).collect();
        assert_eq!(forms.len(), each.len());
    }

    #[test]
    fn what_is_filled_in_is_what_freeswitch_fills_in() {
        let no_register = ("register", "false");
        assert_eq!(
            form(&[no_register, ("proxy", "a")]),
            form(&[no_register, ("realm", "a")])
        );
        assert_eq!(form(&[no_register]), form(&[no_register, ("realm", "gw")]));
        assert_eq!(form(&[no_register]), form(&[no_register, ("username", "FreeSWITCH")]));
        assert_ne!(
            form(&[no_register, ("proxy", "a")]),
            form(&[no_register, ("proxy", "a"), ("realm", "b")])
        );
        assert_eq!(
            account(&[("contact-params", "a=b")]),
            account(&[("contact-params", ";a=b")])
        );
        assert_ne!(
            account(&[("contact-params", "a=b")]),
            account(&[("contact-params", ";;a=b")])
        );
        assert_eq!(
            account(&[("retry-seconds", "9"), ("retry_seconds", "7")]),
            account(&[("retry-seconds", "7")])
        );
        assert_eq!(account(&[("ping", "25x")]), account(&[("ping", " 25")]));
    }

    #[test]
    fn no_value_can_look_like_another_field() {
        let one = form(&[("register", "false"), ("realm", "a\nproxy=1:b")]);
        let two = form(&[("register", "false"), ("realm", "a"), ("proxy", "b")]);
        assert_ne!(one, two);
    }
}
