//! The default of every setting.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::choices::{LogFormat, ReconcileMode};
use super::model::{
    ApiSettings, BackupSettings, CallsSettings, GatewaySettings, HistorySettings, HttpSettings, LogSettings,
    ReconcileSettings, RedisSettings, Settings, StatusSettings, TemplateSettings,
};
use super::placement::PlacementSettings;
use super::text;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            data_dir: PathBuf::from("data"),
            http: HttpSettings::default(),
            api: ApiSettings::default(),
            redis: RedisSettings::default(),
            status: StatusSettings::default(),
            templates: TemplateSettings::default(),
            gateways: GatewaySettings::default(),
            switches: Vec::new(),
            reconcile: ReconcileSettings::default(),
            carriers: Vec::new(),
            placement: PlacementSettings::default(),
            calls: CallsSettings::default(),
            history: HistorySettings::default(),
            backup: BackupSettings::default(),
            webhooks: Vec::new(),
            log: LogSettings::default(),
            config_file: None,
        }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            credentials: Vec::new(),
            credentials_file: None,
            allow: text::loopback_networks(),
            allow_open: false,
            tls: None,
            // A request of mod_xml_curl is half a kilobyte (FACTS 1); one with many headers of a
            // call stays far below this.
            max_body: 64 * 1024,
            request_timeout: Duration::from_secs(5),
            // A fleet of a thousand switches may restart together, each with a few connections.
            max_connections: 4096,
            // On one thread, an answer and the proof that it is fresh wake nobody else: that is
            // faster than sharing them out (docs/benchmarks.md).
            workers: 1,
        }
    }
}

impl Default for BackupSettings {
    fn default() -> Self {
        // A mistake may be noticed only after a holiday.
        BackupSettings { dir: None, keep: 14 }
    }
}

impl Default for ApiSettings {
    fn default() -> Self {
        ApiSettings {
            enabled: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8088)),
            allow: text::loopback_networks(),
            tls: None,
            behind_proxy: false,
            public_url: String::new(),
            look_up_hosts: true,
        }
    }
}

impl Default for HistorySettings {
    fn default() -> Self {
        HistorySettings {
            max_entries: 100_000,
            max_age: Duration::from_secs(90 * 24 * 3600),
        }
    }
}

impl Default for RedisSettings {
    fn default() -> Self {
        RedisSettings {
            url: None,
            username: None,
            password: None,
            password_file: None,
            embedded: false,
            // FreeSWITCH waits for the whole of it, holding a lock (FACTS 4).
            timeout: Duration::from_millis(300),
            gateway_keys: "cti_gateway@*".to_owned(),
            domains: Vec::new(),
            tls: None,
            sentinel: None,
        }
    }
}

impl Default for StatusSettings {
    fn default() -> Self {
        StatusSettings {
            hash: "gateways".to_owned(),
            channel: String::new(),
            list: String::new(),
            list_max: 100_000,
        }
    }
}

impl Default for TemplateSettings {
    fn default() -> Self {
        TemplateSettings {
            dir: PathBuf::from("templates"),
            default_profile: "external".to_owned(),
        }
    }
}

impl Default for ReconcileSettings {
    fn default() -> Self {
        ReconcileSettings {
            mode: ReconcileMode::Apply,
            resync_interval: Duration::from_secs(60),
            max_removals: None,
            // A script that deletes one after the other is done by then, or noticed.
            removals_window: Duration::from_secs(600),
            starts_per_second: 50,
            boot_slice: 2000,
            rollback: true,
            verify_within: Duration::from_secs(30),
            canary_from: 10,
            canary: 2,
            park_after: 5,
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings {
            level: "info".to_owned(),
            format: LogFormat::Auto,
        }
    }
}
