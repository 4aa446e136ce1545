//! The switches, as far as a move that somebody asks for needs them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::control::{Control, Drained};
use crate::operate::service::Service;
use crate::operate::{OperateError, is_watched};

pub(super) struct Fleet {
    /// By name. Other trunkd may have switches in their settings that ours don't have.
    pub(super) switches: BTreeMap<String, FleetSwitch>,
}

pub(super) struct FleetSwitch {
    pub(super) weight: u32,
    /// Whether a trunkd is connected to it.
    pub(super) is_connected: bool,
    pub(super) is_paused: bool,
    pub(super) drained: Option<Drained>,
}

impl FleetSwitch {
    /// Whether it may get gateways.
    pub(super) fn is_open(&self) -> bool {
        self.is_connected && !self.is_paused && self.drained.is_none()
    }
}

impl Fleet {
    pub(super) fn is_open(&self, switch: &str) -> bool {
        self.switches.get(switch).is_some_and(FleetSwitch::is_open)
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (&str, u32)> {
        let open = self.switches.iter().filter(|(_, switch)| switch.is_open());
        open.map(|(name, switch)| (name.as_str(), switch.weight))
    }

    /// # Errors
    /// [`OperateError::UnknownSwitch`].
    pub(super) fn check_known(&self, switch: &str) -> Result<&FleetSwitch, OperateError> {
        self.switches.get(switch).ok_or_else(|| OperateError::UnknownSwitch {
            name: switch.to_owned(),
            known: self.switches.keys().cloned().collect(),
        })
    }
}

impl Service {
    pub(super) async fn fleet(&self) -> Result<Fleet, OperateError> {
        let away = OperateError::at(&self.settings);
        let control = self.store.read_control().await.map_err(away)?;
        let seen = self.store.read_switches(None).await.map_err(away)?;
        let now = Timestamp::now();
        let connected: BTreeSet<&str> = seen
            .iter()
            .filter(|(_, state, _)| is_watched(state, now))
            .map(|(name, ..)| name.as_str())
            .collect();
        let ours = self.settings.switches.iter().map(|switch| switch.name.as_str());
        let names: BTreeSet<&str> = ours.chain(seen.iter().map(|(name, ..)| name.as_str())).collect();
        let switches = names
            .into_iter()
            .map(|name| (name.to_owned(), self.fleet_switch(name, &control, &connected)));
        Ok(Fleet {
            switches: switches.collect(),
        })
    }

    fn fleet_switch(&self, name: &str, control: &Control, connected: &BTreeSet<&str>) -> FleetSwitch {
        let settings = self.settings.switches.iter().find(|switch| switch.name == name);
        FleetSwitch {
            weight: settings.map_or(1, |switch| switch.weight),
            is_connected: connected.contains(name),
            is_paused: control.is_paused(name),
            drained: control.drained.get(name).cloned(),
        }
    }
}
