//! Opens what the operations work on: Redis, the templates, and the desired gateways.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::OperateError;
use super::people::People;
use crate::carriers::Carriers;
use crate::desired::{Catalog, LastGood};
use crate::event_socket::SwitchAddress;
use crate::gateway::{Policy, ProfileName, Rules};
use crate::health::Health;
use crate::redis::{Options, Store};
use crate::settings::{Settings, SwitchSettings};
use crate::sofia_conf::Templates;

/// The limit of one read of Redis. A person waits longer than FreeSWITCH.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// Redis, for a command that only asks it something.
///
/// # Errors
/// The settings name no Redis, or one that makes no sense.
pub fn store(settings: &Settings) -> Result<Store, OperateError> {
    settings.validate_store()?;
    let mut options = Options::from_settings(&settings.redis, &settings.data_dir)?;
    options.timeout = options.timeout.max(READ_LIMIT);
    Ok(Store::new(options, Arc::new(Health::new())))
}

/// The users and tokens in that Redis.
///
/// # Errors
/// As [`store`].
pub fn people(settings: &Settings) -> Result<People, OperateError> {
    Ok(People::new(settings, &store(settings)?))
}

/// Where a switch of the settings is.
pub fn address(switch: &SwitchSettings) -> SwitchAddress {
    SwitchAddress {
        name: switch.name.clone(),
        address: switch.address.to_string(),
        password: switch.password.clone(),
    }
}

/// # Errors
/// [`TemplateError`](crate::sofia_conf::TemplateError).
pub fn templates(settings: &Settings) -> Result<Templates, OperateError> {
    let templates = Templates::load(&settings.templates.dir)?;
    Ok(templates.with_carriers(Carriers::new(&settings.carriers)))
}

/// What gateways are checked against.
///
/// # Errors
/// There is no template for the default profile.
pub fn rules(settings: &Settings, templates: &Templates) -> Result<Rules, OperateError> {
    let rules = templates.rules(&default_profile(settings)?)?;
    Ok(rules.with_policy(Policy::of(settings)))
}

/// For an operation that can do without the templates: any profile is accepted.
///
/// # Errors
/// The name of the default profile is bad.
pub fn rules_without_templates(settings: &Settings) -> Result<Rules, OperateError> {
    let rules = Rules::new(default_profile(settings)?, BTreeMap::new());
    Ok(rules.with_policy(Policy::of(settings)))
}

/// The desired gateways, with what `trunkd serve` keeps on disk: the last valid version of values that
/// are refused now, and everything if Redis is down.
pub fn catalog(store: &Store, rules: Rules, last_good: Option<LastGood>) -> Arc<Catalog> {
    let catalog = Catalog::read_only(store.clone(), rules);
    if let Some(last_good) = last_good {
        catalog.restore(last_good);
    }
    Arc::new(catalog)
}

fn default_profile(settings: &Settings) -> Result<ProfileName, OperateError> {
    ProfileName::parse(&settings.templates.default_profile).map_err(OperateError::DefaultProfile)
}
