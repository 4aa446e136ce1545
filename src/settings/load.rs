//! Loads the settings from all sources.

use std::path::Path;

use figment::{Figment, Provider};

use super::error::SettingsError;
use super::model::Settings;
use super::origin::Origin;
use super::sources::Sources;
use super::{figment_error, paths, secrets, validate, webhook};

impl Settings {
    /// Loads and checks the settings of this process: `overrides` (the flags; see
    /// [`Flags`](super::Flags)) over the environment over the file over the defaults. The file is
    /// `config`, or else what `TRUNKD_CONFIG` names, or else the first that exists of
    /// `./trunkd.toml` and `/etc/trunkd/trunkd.toml`.
    ///
    /// What only some subcommands need is checked by [`Settings::validate_store`] and [`Settings::validate_for_serve`].
    ///
    /// # Errors
    /// The first problem: the key, where its value came from, and the fix.
    pub fn load(config: Option<&Path>, overrides: impl Provider) -> Result<Settings, SettingsError> {
        Settings::load_from(&Sources::of_this_process(config), overrides)
    }

    /// [`Settings::load`] with the file system paths and the environment given, for tests.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load_from(sources: &Sources, overrides: impl Provider) -> Result<Settings, SettingsError> {
        let mut figment = Figment::new();
        if let Some(folder) = sources.state_directory() {
            figment = figment.merge(folder);
        }
        let file = sources.settings_file()?;
        if let Some(file) = &file {
            figment = figment.merge(file.provider()?);
        }
        for variable in sources.variables()? {
            figment = figment.merge(variable);
        }
        figment = figment.merge(overrides);

        let mut settings: Settings = figment
            .extract()
            .map_err(|error| figment_error::translate(error, &figment))?;
        settings.config_file = file.map(|file| file.path);
        if !figment.contains("http.allow") && !settings.http.is_loopback() {
            settings.http.allow = Vec::new();
        }
        if !figment.contains("api.allow") && !settings.api.is_loopback() {
            settings.api.allow = Vec::new();
        }
        let origin = |key: &str| Origin::of(&figment, key);
        if let Some(file) = settings.config_file.clone() {
            paths::resolve(&mut settings, &file, &origin);
        }
        webhook::name(&mut settings.webhooks);
        secrets::read(&mut settings, &origin)?;
        validate::values(&settings, &origin)?;
        Ok(settings)
    }

    /// What every subcommand that reads or writes Redis needs: exactly one way to a Redis.
    ///
    /// # Errors
    /// None, or several, of `redis.url`, `redis.embedded` and `redis.sentinel`; `redis.tls` for one that speaks no TLS.
    pub fn validate_store(&self) -> Result<(), SettingsError> {
        validate::store(self)
    }

    /// What `trunkd serve` needs: [`Settings::validate_store`], and no door that is open by mistake.
    ///
    /// # Errors
    /// As [`Settings::validate_store`]; and `http.listen` beyond loopback with neither credentials
    /// nor client certificates, unless `http.allow_open`; and `api.listen` beyond loopback with
    /// neither TLS nor a proxy.
    pub fn validate_for_serve(&self) -> Result<(), SettingsError> {
        validate::store(self)?;
        validate::exposure(&self.http)?;
        validate::api_exposure(&self.api)
    }

    /// Settings that are allowed but risky, each with its fix. Logged once at start.
    pub fn warnings(&self) -> Vec<String> {
        validate::warnings(self)
    }

    /// Every key there is, dotted, as `http.tls.cert`; those of a `[[switch]]` or `[[webhook]]` as `switch.name`.
    pub fn keys() -> Vec<String> {
        figment_error::all_keys()
    }
}
