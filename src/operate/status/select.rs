//! Selects switches and gateways of a status.

use std::collections::BTreeSet;

use super::super::OperateError;
use super::condition::Condition;
use super::model::{Gateway, Status};
use super::note::NoteCode;
use crate::language::{Text, text};
use crate::registration::State;

#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these gateways. Empty: all.
    pub names: Vec<String>,
    /// Only these switches. Empty: all.
    pub switches: Vec<String>,
    /// Only gateways in one of these states. Empty: any.
    pub states: Vec<StateFilter>,
    /// Only gateways that need attention.
    pub failing: bool,
    /// Only gateways of these domains. Empty: all.
    pub domains: Vec<String>,
    /// At most this many gateways, worst first.
    pub limit: Option<usize>,
}

/// A condition, a state of FreeSWITCH, or parked.
#[derive(Debug, Clone, PartialEq)]
pub enum StateFilter {
    Condition(Condition),
    State(State),
    Parked,
}

const STATES: Text = text(
    "write up, down, missing, trying, unknown or parked, or one of FreeSWITCH's words: UNREGED, TRYING, REGISTER, REGED, \
     UNREGISTER, FAILED, FAIL_WAIT, EXPIRED, NOREG, DOWN, TIMEOUT",
    "可用 up, down, missing, trying, unknown 或 parked，或者 FreeSWITCH 自己的词之一：UNREGED, TRYING, REGISTER, REGED, \
     UNREGISTER, FAILED, FAIL_WAIT, EXPIRED, NOREG, DOWN, TIMEOUT",
);

/// Why a word is no state: its fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.en)]
pub struct NoSuchState(pub Text);

impl std::str::FromStr for StateFilter {
    type Err = NoSuchState;

    fn from_str(text: &str) -> Result<Self, NoSuchState> {
        if text == "parked" {
            return Ok(Self::Parked);
        }
        // DOWN is both; in capitals it is FreeSWITCH's state.
        let conditions = [
            Condition::Up,
            Condition::Down,
            Condition::Missing,
            Condition::Trying,
            Condition::Unknown,
        ];
        if let Some(condition) = conditions.into_iter().find(|condition| condition.as_str() == text) {
            return Ok(Self::Condition(condition));
        }
        match State::from(text.to_ascii_uppercase().as_str()) {
            State::Unknown(_) => Err(NoSuchState(STATES)),
            state => Ok(Self::State(state)),
        }
    }
}

impl Selection {
    /// Whether it is about all gateways, or those of them that need attention.
    pub fn is_everywhere(&self) -> bool {
        let places = [&self.names, &self.switches, &self.domains];
        places.into_iter().all(Vec::is_empty) && self.states.is_empty()
    }

    /// Removes what is not selected, and updates [`Status::well`].
    ///
    /// # Errors
    /// A switch, gateway or domain does not exist: a misspelt name must not look as if all were well.
    pub fn apply(&self, status: &mut Status) -> Result<(), OperateError> {
        self.check_names(status)?;
        if !self.switches.is_empty() {
            status.switches.retain(|switch| self.switches.contains(&switch.name));
            status.on_no_switch.clear();
        }
        for switch in &mut status.switches {
            switch.gateways.retain(|gateway| self.selects(gateway));
        }
        status.on_no_switch.retain(|gateway| {
            self.names_one(&gateway.name) && self.has_domain(Some(&gateway.domain)) && self.states.is_empty()
        });
        status.findings.retain(|finding| {
            let names_one = finding.gateway.as_ref().is_none_or(|name| self.names_one(name));
            names_one && self.has_domain(Some(&finding.domain))
        });
        status.well = status.is_well();
        self.cut(status);
        Ok(())
    }

    fn check_names(&self, status: &Status) -> Result<(), OperateError> {
        let switches: BTreeSet<_> = status.switches.iter().map(|switch| switch.name.clone()).collect();
        if let Some(unknown) = self.switches.iter().find(|name| !switches.contains(*name)) {
            return Err(OperateError::UnknownSwitch {
                name: unknown.clone(),
                known: switches,
            });
        }
        let gateways = || status.switches.iter().flat_map(|switch| &switch.gateways);
        let is_gateway = |name: &String| {
            gateways().any(|gateway| gateway.name == *name)
                || status.on_no_switch.iter().any(|gateway| gateway.name == *name)
                || status
                    .findings
                    .iter()
                    .any(|finding| finding.gateway.as_ref() == Some(name))
        };
        if let Some(unknown) = self.names.iter().find(|name| !is_gateway(name)) {
            return Err(OperateError::UnknownGateway(unknown.clone()));
        }
        let is_domain = |name: &String| {
            gateways().any(|gateway| gateway.domain.as_ref() == Some(name))
                || status.on_no_switch.iter().any(|gateway| gateway.domain == *name)
                || status.findings.iter().any(|finding| finding.domain == *name)
        };
        if let Some(unknown) = self.domains.iter().find(|name| !is_domain(name)) {
            return Err(OperateError::UnknownDomain(unknown.clone()));
        }
        Ok(())
    }

    fn selects(&self, gateway: &Gateway) -> bool {
        let has_state = self.states.iter().any(|wanted| match wanted {
            StateFilter::Condition(condition) => gateway.condition == *condition,
            StateFilter::State(state) => gateway.state.as_ref() == Some(state),
            StateFilter::Parked => gateway.note.as_ref().is_some_and(|note| note.code == NoteCode::Parked),
        });
        self.names_one(&gateway.name)
            && self.has_domain(gateway.domain.as_ref())
            && (self.states.is_empty() || has_state)
            && (!self.failing || gateway.failing)
    }

    fn names_one(&self, name: &String) -> bool {
        self.names.is_empty() || self.names.contains(name)
    }

    fn has_domain(&self, domain: Option<&String>) -> bool {
        self.domains.is_empty() || domain.is_some_and(|domain| self.domains.contains(domain))
    }

    /// Keeps the worst gateways over all switches.
    fn cut(&self, status: &mut Status) {
        let Some(limit) = self.limit else { return };
        let left = limit.saturating_sub(status.on_no_switch.len());
        status.on_no_switch.truncate(limit);
        let mut ranks: Vec<_> = status
            .switches
            .iter()
            .flat_map(|switch| {
                switch
                    .gateways
                    .iter()
                    .map(|gateway| (gateway.rank(), &switch.name, &gateway.name))
            })
            .collect();
        ranks.sort_unstable();
        let kept: BTreeSet<_> = ranks
            .into_iter()
            .take(left)
            .map(|(_, switch, gateway)| (switch.clone(), gateway.clone()))
            .collect();
        for switch in &mut status.switches {
            let name = &switch.name;
            switch
                .gateways
                .retain(|gateway| kept.contains(&(name.clone(), gateway.name.clone())));
        }
    }
}

#[cfg(test)]
mod tests;
