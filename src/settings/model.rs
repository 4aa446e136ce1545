//! The settings as types. The doc of each field names its environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::carrier::CarrierSettings;
use super::choices::{AllowHooks, LogFormat, ReconcileMode};
use super::placement::PlacementSettings;
use super::redis_url::without_password;
use super::text::{self, Credential, HostPort};
use super::webhook::WebhookSettings;

/// Prefix of the Redis keys that trunkd keeps for itself.
pub const OWN_KEYS: &str = "trunkd:";

/// Everything an operator can set. `trunkd.example.toml` has each key with its default.
///
/// Relative paths in the settings file start at its folder, those of variables and flags at the working directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where trunkd keeps the last good state and the embedded Redis. Default: the folder systemd
    /// gives (`StateDirectory=`); else `/var/lib/trunkd` with `/etc/trunkd/trunkd.toml`; else
    /// `data` beside the settings file. `TRUNKD_DATA_DIR`.
    pub data_dir: PathBuf,
    pub http: HttpSettings,
    pub api: ApiSettings,
    pub redis: RedisSettings,
    pub status: StatusSettings,
    pub templates: TemplateSettings,
    pub gateways: GatewaySettings,
    /// Each `[[switch]]` table: one FreeSWITCH. In the environment, one list of inline tables,
    /// which replaces the file's: `TRUNKD_SWITCH='[{name="fs1", address="127.0.0.1:8021",
    /// password="ClueCon"}]'`.
    #[serde(rename = "switch")]
    pub switches: Vec<SwitchSettings>,
    pub reconcile: ReconcileSettings,
    /// Each `[[carrier]]` table: how gently one carrier is registered with. In the environment, one
    /// list of inline tables, which replaces the file's:
    /// `TRUNKD_CARRIER='[{name="sip.example.net", registers_per_second=5}]'`.
    #[serde(rename = "carrier")]
    pub carriers: Vec<CarrierSettings>,
    pub placement: PlacementSettings,
    pub calls: CallsSettings,
    pub history: HistorySettings,
    pub backup: BackupSettings,
    /// Each `[[webhook]]` table: one receiver of what happened. In the environment, one list of
    /// inline tables, which replaces the file's: `TRUNKD_WEBHOOK='[{url="https://alerts.example.net/trunkd"}]'`.
    #[serde(rename = "webhook")]
    pub webhooks: Vec<WebhookSettings>,
    pub log: LogSettings,
    /// The file that was read, if any. Not a key.
    #[serde(skip)]
    pub config_file: Option<PathBuf>,
}

/// `[http]`: who may connect, and the limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Address and port to listen on; port 0 takes a free one. `TRUNKD_HTTP__LISTEN`.
    #[serde(deserialize_with = "text::one")]
    pub listen: SocketAddr,
    /// Basic credentials that `/xml_curl` accepts, each `user:password`; one pair per switch is a
    /// good habit. Empty: none needed. `TRUNKD_HTTP__CREDENTIALS` (one pair, or several as
    /// `["fs1:a", "fs2:b"]`).
    #[serde(deserialize_with = "text::list")]
    pub credentials: Vec<Credential>,
    /// A file with `user:password` lines, instead of `credentials`, which loading fills from it.
    /// `TRUNKD_HTTP__CREDENTIALS_FILE`.
    pub credentials_file: Option<PathBuf>,
    /// Networks that may connect, to `/health` and `/metrics` too; **empty: all**. If the key is
    /// not set, this is loopback for a `listen` on loopback and empty otherwise: an operator who
    /// opens the address and sets credentials expects the switches to get in. `TRUNKD_HTTP__ALLOW`
    /// (`10.0.0.0/8,192.0.2.7`).
    #[serde(deserialize_with = "text::list")]
    pub allow: Vec<IpNet>,
    /// Listen beyond loopback with neither credentials nor client certificates. `TRUNKD_HTTP__ALLOW_OPEN`.
    #[serde(deserialize_with = "text::one")]
    pub allow_open: bool,
    /// HTTPS when set. `TRUNKD_HTTP__TLS__CERT`, …
    pub tls: Option<TlsSettings>,
    /// Largest request body, in bytes; `64KiB` and the like are read too. `TRUNKD_HTTP__MAX_BODY`.
    #[serde(deserialize_with = "text::bytes")]
    pub max_body: usize,
    /// Time that a client has to send its whole request. `TRUNKD_HTTP__REQUEST_TIMEOUT`.
    #[serde(deserialize_with = "text::one")]
    pub request_timeout: Duration,
    /// Open connections, all workers together. FreeSWITCH opens one for each request (FACTS 10).
    /// `TRUNKD_HTTP__MAX_CONNECTIONS`.
    #[serde(deserialize_with = "text::one")]
    pub max_connections: usize,
    /// Threads that answer requests. `TRUNKD_HTTP__WORKERS`.
    #[serde(deserialize_with = "text::one")]
    pub workers: usize,
}

/// `http.tls`: PEM files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate chain, leaf first. `TRUNKD_HTTP__TLS__CERT`.
    pub cert: PathBuf,
    /// Its private key. `TRUNKD_HTTP__TLS__KEY`.
    pub key: PathBuf,
    /// If set, clients must present a certificate signed by one of these authorities. `TRUNKD_HTTP__TLS__CLIENT_CA`.
    pub client_ca: Option<PathBuf>,
    /// Revocation lists of those authorities. Clients with a revoked certificate are refused.
    /// `TRUNKD_HTTP__TLS__CLIENT_CRL`.
    pub client_crl: Option<PathBuf>,
}

/// `[api]`: the operators' side. A listener of its own, so that people and FreeSWITCH never wait for
/// each other.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiSettings {
    /// Whether to listen at all. `TRUNKD_API__ENABLED`.
    #[serde(deserialize_with = "text::one")]
    pub enabled: bool,
    /// Address and port to listen on; port 0 takes a free one. `TRUNKD_API__LISTEN`.
    #[serde(deserialize_with = "text::one")]
    pub listen: SocketAddr,
    /// Networks that may connect; **empty: all**. If the key is not set, this is loopback for a
    /// `listen` on loopback and empty otherwise. `TRUNKD_API__ALLOW`.
    #[serde(deserialize_with = "text::list")]
    pub allow: Vec<IpNet>,
    /// HTTPS when set. `TRUNKD_API__TLS__CERT`, …
    pub tls: Option<TlsSettings>,
    /// A proxy in front does TLS and sets `Forwarded` or `X-Forwarded-*`, which are believed from
    /// `allow` only. `TRUNKD_API__BEHIND_PROXY`.
    #[serde(deserialize_with = "text::one")]
    pub behind_proxy: bool,
    /// The address that people see, as `https://trunks.example.net`. Empty: that of `listen`.
    /// `TRUNKD_API__PUBLIC_URL`.
    pub public_url: String,
    /// Whether the form of a gateway asks DNS for its hosts. `TRUNKD_API__LOOK_UP_HOSTS`.
    #[serde(deserialize_with = "text::one")]
    pub look_up_hosts: bool,
}

/// `[calls]`: calls over gateways.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallsSettings {
    /// Whether they are counted, on one more connection to each switch. `TRUNKD_CALLS__ENABLED`.
    #[serde(deserialize_with = "text::one")]
    pub enabled: bool,
}

/// `[history]`: how much of what happened is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistorySettings {
    /// Entries, all gateways together. Of each gateway the last 200 are kept besides.
    /// `TRUNKD_HISTORY__MAX_ENTRIES`.
    #[serde(deserialize_with = "text::one")]
    pub max_entries: usize,
    /// Older entries are dropped. `TRUNKD_HISTORY__MAX_AGE`.
    #[serde(deserialize_with = "text::one")]
    pub max_age: Duration,
}

/// `[backup]`: a file of all gateways, once a day.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupSettings {
    /// The folder that they are written to. None: no backups. `TRUNKD_BACKUP__DIR`.
    pub dir: Option<PathBuf>,
    /// The days that are kept. `TRUNKD_BACKUP__KEEP`.
    #[serde(deserialize_with = "text::one")]
    pub keep: usize,
}

/// `[redis]`: which Redis, and where in it the gateways are.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSettings {
    /// `redis://`, `rediss://` or `unix://`. May hold a password, so it is a secret: print
    /// [`RedisSettings::shown_url`] instead. `TRUNKD_REDIS__URL`.
    pub url: Option<SecretString>,
    /// ACL user, when not in the URL. `TRUNKD_REDIS__USERNAME`.
    pub username: Option<String>,
    /// Password, when not in the URL. `TRUNKD_REDIS__PASSWORD`.
    pub password: Option<SecretString>,
    /// A file with the password, instead of `password`. Loading reads it into `password`.
    /// `TRUNKD_REDIS__PASSWORD_FILE`.
    pub password_file: Option<PathBuf>,
    /// Run a private `redis-server` under `data_dir` instead of `url`. `TRUNKD_REDIS__EMBEDDED`.
    #[serde(deserialize_with = "text::one")]
    pub embedded: bool,
    /// Longest wait for one answer of Redis. `TRUNKD_REDIS__TIMEOUT`.
    #[serde(deserialize_with = "text::one")]
    pub timeout: Duration,
    /// The keys that hold gateways: one `*`, at the end, matches the domain. `TRUNKD_REDIS__GATEWAY_KEYS`.
    pub gateway_keys: String,
    /// Serve only these domains. Empty: all that are found. If two domains define the same name,
    /// the first one (by domain name) wins. `TRUNKD_REDIS__DOMAINS` (`default,tenant-a`).
    #[serde(deserialize_with = "text::list")]
    pub domains: Vec<String>,
    /// Certificates for `rediss://`, and for Sentinel with `tls = true`. None: the server's is
    /// checked against the well-known authorities. `TRUNKD_REDIS__TLS__CA`, …
    pub tls: Option<RedisTlsSettings>,
    /// The Sentinels that name the master, instead of `url`. `TRUNKD_REDIS__SENTINEL__MASTER`, …
    pub sentinel: Option<SentinelSettings>,
}

/// `redis.tls`: PEM files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisTlsSettings {
    /// The authorities that the servers' certificates must come from, instead of the well-known
    /// ones. `TRUNKD_REDIS__TLS__CA`.
    pub ca: Option<PathBuf>,
    /// trunkd's own certificate, for servers that ask for one; needs `key`. `TRUNKD_REDIS__TLS__CERT`.
    pub cert: Option<PathBuf>,
    /// Its private key. `TRUNKD_REDIS__TLS__KEY`.
    pub key: Option<PathBuf>,
}

/// `redis.sentinel`: the Sentinels, which know where the master is. The master's own user and
/// password are `redis.username` and `redis.password`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentinelSettings {
    /// The name the Sentinels know the master by. `TRUNKD_REDIS__SENTINEL__MASTER`.
    pub master: String,
    /// The Sentinels. `TRUNKD_REDIS__SENTINEL__NODES` (`10.0.0.1:26379,10.0.0.2:26379`).
    #[serde(deserialize_with = "text::list")]
    pub nodes: Vec<HostPort>,
    /// ACL user of the Sentinels themselves. `TRUNKD_REDIS__SENTINEL__USERNAME`.
    #[serde(default)]
    pub username: Option<String>,
    /// Password of the Sentinels themselves. `TRUNKD_REDIS__SENTINEL__PASSWORD`.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// A file with it, instead of `password`. Loading reads it into `password`.
    /// `TRUNKD_REDIS__SENTINEL__PASSWORD_FILE`.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Use TLS with the Sentinels and the servers. `TRUNKD_REDIS__SENTINEL__TLS`.
    #[serde(default, deserialize_with = "text::one")]
    pub tls: bool,
    /// Database number on the servers. `TRUNKD_REDIS__SENTINEL__DATABASE`.
    #[serde(default, deserialize_with = "text::one")]
    pub database: u32,
}

/// `[status]`: where the state of the gateways is written, as the original system's `gui.gateway`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatusSettings {
    /// The hash of gateway name → latest event. `TRUNKD_STATUS__HASH`.
    pub hash: String,
    /// The channel each event is published on; empty: none. `TRUNKD_STATUS__CHANNEL`.
    pub channel: String,
    /// The list each event is appended to; empty: none. `TRUNKD_STATUS__LIST`.
    pub list: String,
    /// Most events in the list; the oldest are dropped. `TRUNKD_STATUS__LIST_MAX`.
    #[serde(deserialize_with = "text::one")]
    pub list_max: usize,
}

/// `[templates]`: the profiles that gateways are put into.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TemplateSettings {
    /// The folder with `sofia.conf.xml` and `sip_profiles/*.xml`. `TRUNKD_TEMPLATES__DIR`.
    pub dir: PathBuf,
    /// The profile of a gateway that names none. `TRUNKD_TEMPLATES__DEFAULT_PROFILE`.
    pub default_profile: String,
}

/// `[gateways]`: what gateways in Redis may do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewaySettings {
    /// Variables that make FreeSWITCH execute something. `TRUNKD_GATEWAYS__ALLOW_HOOKS` (`true`, or
    /// `api_hangup_hook,api_on_answer`).
    #[serde(deserialize_with = "text::hooks")]
    pub allow_hooks: AllowHooks,
}

/// One `[[switch]]`: a FreeSWITCH whose event socket trunkd connects to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchSettings {
    /// What FreeSWITCH itself answers to `switchname` (FACTS 37). Environment: see [`Settings::switches`].
    pub name: String,
    /// Its event socket, `host:port`.
    #[serde(deserialize_with = "text::one")]
    pub address: HostPort,
    /// Where its SIP answers, `host:port` (UDP). None: what it says itself about the default profile.
    #[serde(default, deserialize_with = "text::maybe")]
    pub sip: Option<HostPort>,
    /// Its share of the gateways with `"placement": "one"`, compared with other switches; at least 1.
    #[serde(default = "one_share", deserialize_with = "text::one")]
    pub weight: u32,
    /// The event socket's password (FreeSWITCH ships with `ClueCon`). Never empty once loaded.
    #[serde(default)]
    pub password: SecretString,
    /// A file with the password, instead of `password`. Loading reads it into `password`.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

fn one_share() -> u32 {
    1
}

/// `[reconcile]`: whether and how the switches are changed to match Redis.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReconcileSettings {
    /// What happens if a switch differs from Redis. `TRUNKD_RECONCILE__MODE`.
    #[serde(deserialize_with = "text::one")]
    pub mode: ReconcileMode,
    /// How often each switch's own list of gateways is compared with what Redis holds. The read
    /// holds a lock that call set-up needs (FACTS 25), so at least a second.
    /// `TRUNKD_RECONCILE__RESYNC_INTERVAL`.
    #[serde(deserialize_with = "text::one")]
    pub resync_interval: Duration,
    /// A plan that removes more from a switch within `removals_window` is held; 0 holds every
    /// removal. None: the larger of 5 and a fifth of ours on that switch.
    /// `TRUNKD_RECONCILE__MAX_REMOVALS`.
    #[serde(deserialize_with = "text::maybe")]
    pub max_removals: Option<usize>,
    /// How long a removal counts against `max_removals`. `TRUNKD_RECONCILE__REMOVALS_WINDOW`.
    #[serde(deserialize_with = "text::one")]
    pub removals_window: Duration,
    /// Gateways that may start per second on each switch; at least 1. `TRUNKD_RECONCILE__STARTS_PER_SECOND`.
    #[serde(deserialize_with = "text::one")]
    pub starts_per_second: u32,
    /// The most gateways of a profile that a switch gets when it starts; the rest follow by themselves.
    /// FreeSWITCH reads its configuration in time that grows with the square of it (FACTS 52). 0: all.
    /// `TRUNKD_RECONCILE__BOOT_SLICE`.
    #[serde(deserialize_with = "text::one")]
    pub boot_slice: usize,
    /// Whether an edit that the carrier refuses is taken back, if the version before worked.
    /// `TRUNKD_RECONCILE__ROLLBACK`.
    #[serde(deserialize_with = "text::one")]
    pub rollback: bool,
    /// How long an edited gateway may take until it works again. `TRUNKD_RECONCILE__VERIFY_WITHIN`.
    #[serde(deserialize_with = "text::one")]
    pub verify_within: Duration,
    /// If more working gateways of one carrier than this are edited together, the first few are tried
    /// before the others. `TRUNKD_RECONCILE__CANARY_FROM`.
    #[serde(deserialize_with = "text::one")]
    pub canary_from: usize,
    /// How many are tried first; 0: all at once. `TRUNKD_RECONCILE__CANARY`.
    #[serde(deserialize_with = "text::one")]
    pub canary: usize,
    /// A gateway that its carrier refuses so often in a row is parked. 0: none is.
    /// `TRUNKD_RECONCILE__PARK_AFTER`.
    #[serde(deserialize_with = "text::one")]
    pub park_after: u32,
}

/// `[log]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// A level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or directives as `info,trunkd::ingest=debug`.
    /// `TRUNKD_LOG__LEVEL`.
    pub level: String,
    /// How log lines look. `TRUNKD_LOG__FORMAT`.
    #[serde(deserialize_with = "text::one")]
    pub format: LogFormat,
}

impl HttpSettings {
    /// Whether only this machine can reach `listen`.
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Whether a client must show a certificate.
    pub fn asks_client_certificate(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }
}

impl ApiSettings {
    /// Whether only this machine can reach `listen`.
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }
}

impl RedisSettings {
    /// The URL with secrets replaced, for logs and errors; words for the embedded Redis and for Sentinel.
    pub fn shown_url(&self) -> String {
        match (&self.url, &self.sentinel) {
            (Some(url), _) => without_password(url.expose_secret()),
            (None, Some(sentinel)) => sentinel.shown(),
            (None, None) if self.embedded => "embedded".to_owned(),
            (None, None) => "not set".to_owned(),
        }
    }

    /// The prefix of keys that hold gateways: `gateway_keys` without its `*`. The rest of a key is the domain.
    pub fn key_prefix(&self) -> &str {
        self.gateway_keys.strip_suffix('*').unwrap_or(&self.gateway_keys)
    }
}

impl SentinelSettings {
    /// `mymaster by Sentinel at 10.0.0.1:26379, 10.0.0.2:26379`.
    pub fn shown(&self) -> String {
        let nodes: Vec<_> = self.nodes.iter().map(ToString::to_string).collect();
        format!("{} by Sentinel at {}", self.master, nodes.join(", "))
    }
}
