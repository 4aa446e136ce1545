//! The templates on disk, and the last good version of them.

use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;

use super::error::AppError;
use crate::carriers::Carriers;
use crate::gateway::{Policy, ProfileName, Rules};
use crate::health::{Health, Part, State};
use crate::metrics;
use crate::settings::Settings;
use crate::sofia_conf::{TemplateError, Templates};

pub(super) struct TemplateFiles {
    dir: PathBuf,
    default_profile: ProfileName,
    policy: Policy,
    carriers: Carriers,
    pub(super) current: ArcSwap<Templates>,
}

impl TemplateFiles {
    pub(super) fn load(settings: &Settings, health: &Health) -> Result<Self, AppError> {
        let default_profile =
            ProfileName::parse(&settings.templates.default_profile).map_err(AppError::DefaultProfile)?;
        let carriers = Carriers::new(&settings.carriers);
        let templates = read(&settings.templates.dir)?.with_carriers(carriers.clone());
        report(health, None);
        Ok(Self {
            dir: settings.templates.dir.clone(),
            default_profile,
            policy: Policy::of(settings),
            carriers,
            current: ArcSwap::from_pointee(templates),
        })
    }

    /// The rules that gateways are checked against, with these templates.
    pub(super) fn rules(&self, templates: &Templates) -> Result<Rules, TemplateError> {
        Ok(templates.rules(&self.default_profile)?.with_policy(self.policy.clone()))
    }

    /// Reads the templates again and returns the new rules. If a template is broken, the last good
    /// ones stay in use.
    pub(super) fn reload(&self, health: &Health) -> Option<Rules> {
        let read = read(&self.dir).and_then(|templates| Ok((self.rules(&templates)?, templates)));
        match read {
            Ok((rules, templates)) => {
                let profiles = templates.profile_names().count();
                self.current
                    .store(templates.with_carriers(self.carriers.clone()).into());
                report(health, None);
                tracing::info!(profiles, dir = %self.dir.display(), "templates reloaded");
                Some(rules)
            }
            Err(error) => {
                tracing::error!("templates refused, the last good ones stay in use: {error}");
                report(health, Some(error.to_string()));
                None
            }
        }
    }
}

fn read(dir: &Path) -> Result<Templates, TemplateError> {
    let templates = Templates::load(dir)?;
    for warning in templates.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(templates)
}

fn report(health: &Health, error: Option<String>) {
    let (state, is_ok) = match &error {
        None => (State::Ok, 1.0),
        Some(_) => (State::Degraded, 0.0),
    };
    health.set(Part::Templates, state, error);
    ::metrics::gauge!(metrics::TEMPLATES_OK).set(is_ok);
}
