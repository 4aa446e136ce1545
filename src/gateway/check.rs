//! FreeSWITCH's rules over the params of a gateway: what it would drop is an error, what it would only complain of or
//! read otherwise is a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Severity;
use super::finding::{Report, shown};
use super::freeswitch::{
    BOOLEAN_PARAMS, MAX_CREDENTIALS_BYTES, MIN_SECONDS, SECONDS_PARAMS, Transport, atoi, is_false, is_true, transport,
};

/// The params of a gateway as they were read.
#[derive(Default)]
pub(super) struct Params {
    pub(super) set: BTreeMap<String, Param>,
    /// Those that are set to something that can't be passed on, which has been told.
    pub(super) refused: BTreeSet<String>,
    /// Whether there may be others, that could not be read.
    pub(super) incomplete: bool,
}

/// A param that is set, and under which spelling of `param`.
pub(super) struct Param {
    pub(super) value: String,
    pub(super) key: &'static str,
}

impl Param {
    /// Where it stands.
    fn place(&self, name: &str) -> String {
        place(self.key, name)
    }
}

/// Where a member of `param` or `variables` stands. Asked for only when there is something to say about it.
pub(super) fn place(key: &str, name: &str) -> String {
    format!("{key}.{}", shown(name))
}

/// FreeSWITCH's rules over the params as a whole. `tls` is what is known of the profile, if the profile is known.
pub(super) fn check_params(report: &mut Report<'_>, params: &Params, tls: Option<Option<bool>>) {
    let Params {
        set,
        refused,
        incomplete,
    } = params;
    for (name, param) in set {
        if param.value.trim() != param.value {
            let reason = "begins or ends with white space, which FreeSWITCH passes on";
            report.warn(param.place(name), reason, "remove it unless the carrier wants it");
        }
        if BOOLEAN_PARAMS.contains(&name.as_str()) && !is_true(&param.value) && !is_false(&param.value) {
            report.warn(
                param.place(name),
                "is neither true nor false; FreeSWITCH takes it for false",
                "write true or false",
            );
        }
    }
    check_numbers(report, set);
    check_transport(report, set, tls);
    check_credentials(report, params);
    if *incomplete {
        return;
    }
    if set.get("rfc-5626").is_some_and(|param| is_true(&param.value))
        && !set.contains_key("reg-id")
        && !refused.contains("reg-id")
    {
        let reason = "is true without a reg-id; FreeSWITCH would send ';reg-id=(null)'";
        report.warn(set["rfc-5626"].place("rfc-5626"), reason, "set reg-id, 1 for instance");
    }
    if let (Some(_), Some(typo)) = (set.get("retry-seconds"), set.get("retry_seconds")) {
        report.warn(
            typo.place("retry_seconds"),
            "is given beside retry-seconds, and counts",
            "leave out retry_seconds",
        );
    }
}

/// Seconds that FreeSWITCH replaces or ignores (FACTS 15). None of these drops the gateway: `parse_gateways` warns and
/// goes on.
fn check_numbers(report: &mut Report<'_>, params: &BTreeMap<String, Param>) {
    for (name, default) in SECONDS_PARAMS {
        let Some(param) = params.get(name) else { continue };
        if atoi(&param.value) < MIN_SECONDS {
            let reason = format!("is under {MIN_SECONDS} or not a number; FreeSWITCH takes {default} instead");
            report.warn(param.place(name), reason, format!("write {MIN_SECONDS} or more"));
        } else if !is_plain_number(&param.value) {
            let reason = format!("is not a plain number; FreeSWITCH reads it as {}", atoi(&param.value));
            report.warn(param.place(name), reason, "write digits only");
        }
    }
    if let Some(param) = params.get("ping") {
        let seconds = atoi(&param.value);
        if is_plain_number(&param.value) && seconds == 0 {
            // 0 is how to say "no ping".
        } else if seconds < MIN_SECONDS {
            let reason = format!("is under {MIN_SECONDS} or not a number; FreeSWITCH does not ping");
            report.warn(
                param.place("ping"),
                reason,
                format!("write {MIN_SECONDS} or more, 25 for instance, or leave it out"),
            );
        } else if !is_plain_number(&param.value) {
            let reason = format!("is not a plain number; FreeSWITCH reads it as {seconds}");
            report.warn(param.place("ping"), reason, "write digits only");
        }
    }
}

fn is_plain_number(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit())
}

/// An unknown transport drops the gateway, and so does TLS on a profile without it (FACTS 15).
fn check_transport(report: &mut Report<'_>, params: &BTreeMap<String, Param>, tls: Option<Option<bool>>) {
    let Some(param) = params.get("register-transport") else {
        return;
    };
    match (transport(&param.value), tls) {
        (None, _) => {
            let reason = "is no transport of FreeSWITCH's; it would drop the gateway";
            report.error(param.place("register-transport"), reason, "write udp, tcp, tls or sctp");
        }
        (Some(Transport::Tls), Some(Some(false))) => {
            let reason = "is TLS, and the profile has none; FreeSWITCH would drop the gateway";
            let mend = "set the profile's param tls to true in its template, or write udp or tcp";
            report.error(param.place("register-transport"), reason, mend);
        }
        (Some(Transport::Tls), Some(None)) => {
            let reason =
                "is TLS, and a FreeSWITCH global decides whether the profile has it; without, the gateway is dropped";
            report.warn(
                param.place("register-transport"),
                reason,
                "make sure that the switch has TLS on for this profile",
            );
        }
        _ => {}
    }
}

/// What a registration needs (FACTS 13), and what digest credentials can carry (FACTS 15).
fn check_credentials(report: &mut Report<'_>, params: &Params) {
    if params.incomplete || params.refused.contains("register") {
        return; // once that is mended, there is something to check
    }
    let value = |name: &str| params.set.get(name).map(|param| param.value.as_str());
    let place_of = |name: &str| {
        params
            .set
            .get(name)
            .map_or_else(|| place("param", name), |param| param.place(name))
    };
    let registers = value("register").is_none_or(is_true);
    if registers {
        for name in ["username", "password"] {
            if value(name).is_none() && !params.refused.contains(name) {
                let reason = "is not set, and register is true (its default); FreeSWITCH would drop the gateway";
                report.error(place_of(name), reason, "set it, or set register to false");
            }
        }
    }
    let severity = if registers { Severity::Error } else { Severity::Warning };

    let auth_name = if params.set.contains_key("auth-username") {
        "auth-username"
    } else {
        "username"
    };
    let auth_username = value(auth_name).unwrap_or("FreeSWITCH");
    if auth_username.contains(':') {
        let reason = "holds a ':', which ends the name in FreeSWITCH's digest credentials".to_owned();
        report.push(
            severity,
            Some(place_of(auth_name)),
            reason,
            "use an account name without ':'".to_owned(),
        );
    }

    let Some(password) = value("password") else { return };
    let scheme = value("scheme").unwrap_or("Digest");
    // The carrier's challenge names the realm; until then this is what FreeSWITCH itself takes for it (FACTS 14).
    let realm = value("realm").or_else(|| value("proxy")).unwrap_or(report.gateway);
    let bytes = scheme.len() + realm.len() + auth_username.len() + password.len() + 3;
    if bytes + 2 <= MAX_CREDENTIALS_BYTES {
        return;
    }
    let mut reason =
        format!("scheme:realm:username:password make {bytes} bytes; FreeSWITCH cuts them at {MAX_CREDENTIALS_BYTES}");
    let mend = format!("a shorter password: these four, with three ':', must fit in {MAX_CREDENTIALS_BYTES} bytes");
    if bytes > MAX_CREDENTIALS_BYTES {
        let _ = write!(reason, " and authentication fails");
        report.push(severity, Some(place_of("password")), reason, mend);
    } else {
        // The realm of a challenge is passed on with its quotes (sofia_reg.c).
        let _ = write!(reason, ", and the quotes around the realm are two more");
        report.push(Severity::Warning, Some(place_of("password")), reason, mend);
    }
}
