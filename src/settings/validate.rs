//! Checks that need more than one value's type: ranges, contradictions, unguarded listeners.

use std::collections::HashMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::error::{SettingsError, WayToRedis};
use super::model::{ApiSettings, HttpSettings, OWN_KEYS, ReconcileSettings, RedisSettings, SentinelSettings, Settings};
use super::origin::Origin;
use super::{carrier, placement, webhook};

/// Checks ranges, and values that contradict each other.
pub(super) fn values(settings: &Settings, origin: &dyn Fn(&str) -> Origin) -> Result<(), SettingsError> {
    let invalid = |key: &str, problem: String| {
        Err(SettingsError::Invalid {
            key: key.to_owned(),
            origin: origin(key),
            problem,
        })
    };

    let http = &settings.http;
    for (key, value) in [
        ("http.max_connections", http.max_connections),
        ("http.workers", http.workers),
    ] {
        if value == 0 {
            return invalid(key, "0 would answer nobody: write 1 or more".to_owned());
        }
    }
    if !(1024..=16 * 1024 * 1024).contains(&http.max_body) {
        let problem = "write a size from 1KiB to 16MiB; a request of mod_xml_curl takes at least half a kilobyte";
        return invalid("http.max_body", problem.to_owned());
    }
    if http.workers > 256 {
        return invalid(
            "http.workers",
            "at most 256, and one for each core is plenty".to_owned(),
        );
    }
    for (key, value) in [
        ("http.request_timeout", http.request_timeout),
        ("redis.timeout", settings.redis.timeout),
    ] {
        if value.is_zero() || value > Duration::from_secs(3600) {
            return invalid(key, "write a time above 0 and up to 1h".to_owned());
        }
    }
    check_reconcile(&settings.reconcile, &invalid)?;
    check_api(settings, &invalid)?;
    check_redis(settings, &invalid)?;
    check_status(settings, &invalid)?;
    for (key, value) in [
        ("templates.dir", settings.templates.dir.as_os_str()),
        ("data_dir", settings.data_dir.as_os_str()),
    ] {
        if value.is_empty() {
            return invalid(key, "it is empty: name a folder".to_owned());
        }
    }
    if settings.templates.default_profile.is_empty() {
        return invalid(
            "templates.default_profile",
            "it is empty: name a profile, such as \"external\"".to_owned(),
        );
    }
    check_switches(settings, &invalid)?;
    carrier::check(&settings.carriers, &invalid)?;
    placement::check(&settings.placement, &invalid)?;
    webhook::check(&settings.webhooks, &invalid)
}

type Refuse<'a> = dyn Fn(&str, String) -> Result<(), SettingsError> + 'a;

fn check_reconcile(reconcile: &ReconcileSettings, invalid: &Refuse) -> Result<(), SettingsError> {
    if reconcile.resync_interval < Duration::from_secs(1) {
        let problem = "write at least \"1s\", because each resync holds a lock that call setup needs; \"60s\" is usual";
        return invalid("reconcile.resync_interval", problem.to_owned());
    }
    let window = reconcile.removals_window;
    if window < Duration::from_secs(1) || window > Duration::from_secs(30 * 24 * 3600) {
        let problem = "write a time from \"1s\" to \"30d\"; \"10m\" is usual";
        return invalid("reconcile.removals_window", problem.to_owned());
    }
    if reconcile.starts_per_second == 0 {
        return invalid(
            "reconcile.starts_per_second",
            "0 would start no gateway: write 1 or more".to_owned(),
        );
    }
    let verify = reconcile.verify_within;
    if verify < Duration::from_secs(1) || verify > Duration::from_secs(3600) {
        let problem = "write a time from \"1s\" to \"1h\"; \"30s\" is usual";
        return invalid("reconcile.verify_within", problem.to_owned());
    }
    Ok(())
}

fn check_api(settings: &Settings, invalid: &Refuse) -> Result<(), SettingsError> {
    let (api, history) = (&settings.api, &settings.history);
    let url = api.public_url.as_str();
    let host = url.strip_prefix("https://").or(url.strip_prefix("http://"));
    if !url.is_empty() && host.is_none_or(|host| host.is_empty() || host.contains(['/', '?', '#', ' ', '@'])) {
        let problem = "write scheme and host, with the port if it is not the usual one: \"https://trunks.example.net\"";
        return invalid("api.public_url", problem.to_owned());
    }
    if !(1000..=10_000_000).contains(&history.max_entries) {
        return invalid("history.max_entries", "write a number from 1000 to 10000000".to_owned());
    }
    if history.max_age < Duration::from_secs(3600) || history.max_age > Duration::from_secs(3660 * 24 * 3600) {
        return invalid(
            "history.max_age",
            "write a time from \"1h\" to \"10y\"; \"90d\" is usual".to_owned(),
        );
    }
    let backup = &settings.backup;
    if !(1..=1000).contains(&backup.keep) {
        return invalid("backup.keep", "write a number from 1 to 1000".to_owned());
    }
    if backup.dir.as_ref().is_some_and(|dir| dir.as_os_str().is_empty()) {
        return invalid("backup.dir", "write a folder, or leave the key out".to_owned());
    }
    Ok(())
}

fn check_redis(settings: &Settings, invalid: &Refuse) -> Result<(), SettingsError> {
    let redis = &settings.redis;
    if let Some(url) = &redis.url {
        let url = url.expose_secret();
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        match scheme {
            "redis" | "rediss" | "valkey" | "valkeys" | "unix" | "redis+unix" | "valkey+unix" => {}
            "redis-cluster" | "rediss-cluster" | "redis+cluster" => {
                return invalid(
                    "redis.url",
                    "Redis Cluster is not supported: give a standalone Redis, or the master of a replicated one"
                        .to_owned(),
                );
            }
            _ => {
                let problem =
                    "it must start with redis://, rediss:// (TLS) or unix://, such as \"redis://127.0.0.1:6379\"";
                return invalid("redis.url", problem.to_owned());
            }
        }
        let holds_password = url.split_once("://").is_some_and(|(_, rest)| {
            rest.rsplit_once('@')
                .is_some_and(|(userinfo, _)| userinfo.contains(':'))
                || rest.contains("pass=")
        });
        if holds_password && redis.password.is_some() {
            let key = if redis.password_file.is_some() {
                "redis.password_file"
            } else {
                "redis.password"
            };
            return invalid(key, "`redis.url` has a password too: keep one of them".to_owned());
        }
    }
    if let Some(sentinel) = &redis.sentinel {
        check_sentinel(sentinel, invalid)?;
    }
    if redis
        .tls
        .as_ref()
        .is_some_and(|tls| tls.cert.is_some() != tls.key.is_some())
    {
        let problem = "a client certificate needs both `cert` and `key`";
        return invalid("redis.tls", problem.to_owned());
    }
    let prefix = redis.key_prefix();
    if !redis.gateway_keys.ends_with('*') || prefix.is_empty() || prefix.contains(['*', '?', '[', ']', '\\']) {
        let problem = format!(
            "`{}` must be a prefix and one `*` for the domain, such as \"cti_gateway@*\"",
            redis.gateway_keys
        );
        return invalid("redis.gateway_keys", problem);
    }
    if prefix.starts_with(OWN_KEYS) || OWN_KEYS.starts_with(prefix) {
        let problem = format!(
            "`{}` matches keys that start with `{OWN_KEYS}`, trunkd's own: use another prefix, such as \
             \"cti_gateway@*\"",
            redis.gateway_keys
        );
        return invalid("redis.gateway_keys", problem);
    }
    if redis.domains.iter().any(String::is_empty) {
        return invalid("redis.domains", "a domain's name is empty".to_owned());
    }
    Ok(())
}

fn check_sentinel(sentinel: &SentinelSettings, invalid: &Refuse) -> Result<(), SettingsError> {
    if sentinel.master.is_empty() || sentinel.master.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let problem =
            "write the name that the Sentinels know the master by (their `sentinel monitor NAME …`), as \"mymaster\"";
        return invalid("redis.sentinel.master", problem.to_owned());
    }
    if sentinel.nodes.is_empty() {
        let problem =
            "name the Sentinels, all of them, as [\"10.0.0.1:26379\", \"10.0.0.2:26379\", \"10.0.0.3:26379\"]";
        return invalid("redis.sentinel.nodes", problem.to_owned());
    }
    Ok(())
}

/// That certificates are given for connections that look at them.
fn check_use_of_certificates(redis: &RedisSettings) -> Result<(), SettingsError> {
    let is_plain = |url: &SecretString| {
        let scheme = url.expose_secret().split_once("://").map_or("", |(scheme, _)| scheme);
        !matches!(scheme, "rediss" | "valkeys")
    };
    let without_tls = match (&redis.url, &redis.sentinel) {
        (Some(url), _) if is_plain(url) => Some("start `redis.url` with rediss://"),
        (None, Some(sentinel)) if !sentinel.tls => Some("set `tls = true` in `redis.sentinel`"),
        (None, None) => Some("set `redis.url` instead of the embedded Redis"),
        _ => None,
    };
    match (&redis.tls, without_tls) {
        (Some(_), Some(why)) => Err(SettingsError::UnusedCertificates { why }),
        _ => Ok(()),
    }
}

fn check_status(settings: &Settings, invalid: &Refuse) -> Result<(), SettingsError> {
    let status = &settings.status;
    let prefix = settings.redis.key_prefix();
    if status.hash.is_empty() {
        return invalid(
            "status.hash",
            "it is empty: name a hash for the states, such as \"gateways\"".to_owned(),
        );
    }
    for (key, value) in [("status.hash", &status.hash), ("status.list", &status.list)] {
        if value.starts_with(prefix) {
            let problem =
                format!("`{value}` matches `redis.gateway_keys`, so it would be read as gateways: choose another name");
            return invalid(key, problem);
        }
        if value.starts_with(OWN_KEYS) {
            return invalid(
                key,
                format!("`{value}`: keys that start with `{OWN_KEYS}` are trunkd's own; choose another name"),
            );
        }
    }
    // Redis tells its own clients of changes and of keys on channels that begin so.
    for (prefix, whose) in [(OWN_KEYS, "trunkd's own"), ("__", "those of Redis itself")] {
        if status.channel.starts_with(prefix) {
            let problem = format!(
                "`{}`: channels that start with `{prefix}` are {whose}; choose another name",
                status.channel
            );
            return invalid("status.channel", problem);
        }
    }
    if status.list == status.hash {
        return invalid(
            "status.list",
            format!("`{}` is also `status.hash`: choose another name", status.list),
        );
    }
    if status.list_max == 0 {
        return invalid(
            "status.list_max",
            "0 would keep nothing: set `status.list` to \"\" to have no list".to_owned(),
        );
    }
    Ok(())
}

fn check_switches(settings: &Settings, invalid: &Refuse) -> Result<(), SettingsError> {
    let mut by_name = HashMap::new();
    let mut by_address = HashMap::new();
    for switch in &settings.switches {
        let (name, address) = (switch.name.as_str(), &switch.address);
        if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            let problem = format!(
                "the name of the switch at {address} is empty or holds a space: write what FreeSWITCH's \
                                   command `switchname` answers"
            );
            return invalid("switch.name", problem);
        }
        if name == placement::PLACEMENT_LEASE {
            let problem = format!(
                "the switch at {address} is named \"{name}\", which is reserved for the placement lease: set \
                 another `switchname` in its switch.conf.xml"
            );
            return invalid("switch.name", problem);
        }
        if let Some(other) = by_name.insert(name, address) {
            let problem = format!(
                "two switches are named \"{name}\", at {other} and at {address}: each has a name of its own, \
                                   what FreeSWITCH's command `switchname` answers"
            );
            return invalid("switch.name", problem);
        }
        if let Some(other) = by_address.insert(address, name) {
            let problem =
                format!("the switches \"{other}\" and \"{name}\" have the same address, {address}: remove one");
            return invalid("switch.address", problem);
        }
        if switch.weight == 0 {
            let problem = format!(
                "0 for \"{name}\": write 1 or more; to keep gateways off a switch, leave it out of their `nodes`"
            );
            return invalid("switch.weight", problem);
        }
    }
    Ok(())
}

pub(super) fn store(settings: &Settings) -> Result<(), SettingsError> {
    let redis = &settings.redis;
    let url = redis.url.as_ref().map(|_| WayToRedis {
        set: "`redis.url`",
        removal: "`redis.url` (in the settings file, or TRUNKD_REDIS__URL)",
        shown: redis.shown_url(),
    });
    let embedded = redis.embedded.then(|| WayToRedis {
        set: "`redis.embedded = true`",
        removal: "`redis.embedded` (in the settings file, TRUNKD_REDIS__EMBEDDED, or a flag)",
        shown: "the embedded one".to_owned(),
    });
    let sentinel = redis.sentinel.as_ref().map(|sentinel| WayToRedis {
        set: "`redis.sentinel`",
        removal: "`redis.sentinel` (in the settings file, or TRUNKD_REDIS__SENTINEL__…)",
        shown: sentinel.shown(),
    });
    let mut ways = [url, embedded, sentinel].into_iter().flatten();
    match (ways.next(), ways.next()) {
        (None, _) => Err(SettingsError::NoRedis),
        (Some(first), Some(second)) => Err(SettingsError::TwoRedis { first, second }),
        (Some(_), None) => check_use_of_certificates(redis),
    }
}

pub(super) fn exposure(http: &HttpSettings) -> Result<(), SettingsError> {
    if is_unguarded(http) && !http.allow_open {
        return Err(SettingsError::Open { listen: http.listen });
    }
    Ok(())
}

pub(super) fn api_exposure(api: &ApiSettings) -> Result<(), SettingsError> {
    if api.enabled && !api.is_loopback() && api.tls.is_none() && !api.behind_proxy {
        return Err(SettingsError::PlainApi { listen: api.listen });
    }
    Ok(())
}

fn is_unguarded(http: &HttpSettings) -> bool {
    !http.is_loopback() && http.credentials.is_empty() && !http.asks_client_certificate()
}

pub(super) fn warnings(settings: &Settings) -> Vec<String> {
    let http = &settings.http;
    let mut warnings = Vec::new();
    if is_unguarded(http) {
        // Without allow_open it is more than a warning: see `exposure`.
        if http.allow_open {
            warnings.push(format!(
                "http.allow_open: anyone who reaches {} can read the password of every gateway; set \
                 http.credentials to prevent that",
                http.listen
            ));
        }
    } else if !http.is_loopback() && http.tls.is_none() {
        warnings.push(format!(
            "{} answers without TLS: the passwords of the gateways cross the network unencrypted; set http.tls",
            http.listen
        ));
    }
    if !http.is_loopback() && http.allow.is_empty() {
        warnings.push(format!(
            "any network may connect to {}; set http.allow to the networks of your switches and your monitoring",
            http.listen
        ));
    }
    if settings.switches.is_empty() {
        warnings.push(
            "no [[switch]] is set: gateways are served, but nothing is written about their state; set one for \
             each FreeSWITCH"
                .to_owned(),
        );
    }
    warnings
}
