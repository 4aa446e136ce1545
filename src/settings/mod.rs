//! Typed settings: flags override the environment, which overrides `trunkd.toml`, which overrides the defaults.
//!
//! Everything is parsed and checked on load, so other rooms take plain values and check nothing
//! twice. Nothing else in the program reads the environment. Secrets are
//! [`SecretString`](secrecy::SecretString), which neither `Debug` nor an error shows.
//!
//! Makes no decision about gateways, and opens only the settings file and the secret files that it names.

mod carrier;
mod choices;
mod defaults;
mod error;
mod figment_error;
mod load;
mod model;
mod origin;
mod paths;
mod placement;
mod redis_url;
mod secrets;
mod sources;
mod text;
mod validate;
mod webhook;

pub use carrier::{CarrierSettings, HostPattern, Percent};
pub use choices::{AllowHooks, LogFormat, ReconcileMode};
pub use error::SettingsError;
pub use model::{
    ApiSettings, BackupSettings, CallsSettings, GatewaySettings, HistorySettings, HttpSettings, LogSettings, OWN_KEYS,
    ReconcileSettings, RedisSettings, RedisTlsSettings, SentinelSettings, Settings, StatusSettings, SwitchSettings,
    TemplateSettings, TlsSettings,
};
pub use origin::Origin;
pub use placement::{PLACEMENT_LEASE, PlacementSettings};
pub use sources::{Flags, Sources, secret_variable};
pub use text::{Credential, HostPort};
pub use webhook::{WebhookEvent, WebhookSettings, WebhookUrl};
