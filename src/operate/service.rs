//! What a serving trunkd, or one command, works with.

use std::sync::Arc;
use std::time::Duration;

use super::carriers::RecentRegisters;
use super::listing::Listing;
use super::live::Live;
use super::people::People;
use super::status::StatusSource;
use super::upload::UploadPlaces;
use super::{OperateError, sources};
use crate::access::Access;
use crate::calls::CallLog;
use crate::carriers::Carriers;
use crate::desired::{Catalog, LastGood};
use crate::history::History;
use crate::redis::Store;
use crate::settings::Settings;

/// The one door for people and programs. Cheap to share.
pub struct Service {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) catalog: Arc<Catalog>,
    pub(super) history: History,
    pub(super) people: People,
    pub(super) status: StatusSource,
    pub(super) listing: Arc<Listing>,
    pub(super) live: Live,
    /// `None` unless calls are counted.
    pub(super) calls: Option<Arc<CallLog>>,
    pub(super) uploads: UploadPlaces,
    pub(super) registers: RecentRegisters,
}

/// People and programs would rather wait for a busy Redis than be refused; FreeSWITCH would not.
const PATIENCE: Duration = Duration::from_secs(2);

impl Service {
    pub fn new(settings: &Settings, store: &Store, catalog: Arc<Catalog>) -> Self {
        let store = &store.patient(PATIENCE);
        let switches = settings.switches.iter().map(|switch| switch.name.clone());
        Self {
            settings: settings.clone(),
            history: History::new(store.clone(), &settings.history),
            people: People::new(settings, store),
            status: StatusSource::new(settings.clone(), store.clone(), catalog.clone()),
            store: store.clone(),
            listing: Arc::new(Listing::new(Carriers::new(&settings.carriers))),
            live: Live::default(),
            calls: settings.calls.enabled.then(|| Arc::new(CallLog::new(switches))),
            uploads: UploadPlaces::default(),
            registers: RecentRegisters::default(),
            catalog,
        }
    }

    /// For one command.
    ///
    /// # Errors
    /// The settings name no Redis, or the default profile's name is bad.
    pub fn open(settings: &Settings) -> Result<Self, OperateError> {
        Self::open_from(settings, None)
    }

    /// For a command that shows gateways: with what the last good state on disk knows of values that are
    /// refused now.
    ///
    /// # Errors
    /// As [`Service::open`].
    pub fn open_with_last_good(settings: &Settings) -> Result<Self, OperateError> {
        // It may be there for another user only.
        let last_good = LastGood::load(&settings.data_dir).unwrap_or_default();
        Self::open_from(settings, last_good)
    }

    fn open_from(settings: &Settings, last_good: Option<LastGood>) -> Result<Self, OperateError> {
        let store = sources::store(settings)?;
        let rules = sources::templates(settings).and_then(|templates| sources::rules(settings, &templates));
        let rules = match rules {
            Ok(rules) => rules,
            Err(OperateError::Templates(_)) => sources::rules_without_templates(settings)?,
            Err(error) => return Err(error),
        };
        let catalog = sources::catalog(&store, rules, last_good);
        Ok(Self::new(settings, &store, catalog))
    }

    /// Users, tokens and sessions.
    pub fn people(&self) -> &People {
        &self.people
    }

    /// The calls that were counted, if they are.
    pub fn calls(&self) -> Option<&Arc<CallLog>> {
        self.calls.as_ref()
    }

    /// Whose token or session it is.
    pub fn access(&self) -> &Access {
        &self.people.access
    }
}
