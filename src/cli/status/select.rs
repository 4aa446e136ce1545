//! Which switches and gateways are shown.

use std::collections::BTreeSet;

use super::super::unknown_switch;
use super::model::{Condition, Gateway, Status};
use crate::registration::State;

#[derive(clap::Args)]
pub(super) struct Selection {
    /// These gateways alone
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// This switch alone; may be repeated
    #[arg(long = "switch", visible_alias = "node", value_name = "SWITCHNAME")]
    switches: Vec<String>,
    /// Gateways in this state: up, down, missing, trying, unknown, or FreeSWITCH's word; may be
    /// repeated
    #[arg(long = "state", value_name = "STATE", value_parser = parse_state)]
    states: Vec<Wanted>,
    /// Gateways that need attention alone
    #[arg(long)]
    failing: bool,
    /// Gateways of this domain alone; may be repeated
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<String>,
    /// At most so many gateways, the worst first
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// What `--state` names.
#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    Condition(Condition),
    State(State),
}

fn parse_state(text: &str) -> Result<Wanted, String> {
    // DOWN is both: capitals are FreeSWITCH's word.
    let conditions = [
        Condition::Up,
        Condition::Down,
        Condition::Missing,
        Condition::Trying,
        Condition::Unknown,
    ];
    if let Some(condition) = conditions.into_iter().find(|condition| condition.as_str() == text) {
        return Ok(Wanted::Condition(condition));
    }
    match State::from(text.to_ascii_uppercase().as_str()) {
        State::Unknown(_) => Err(
            "write up, down, missing, trying or unknown, or one of FreeSWITCH's words: UNREGED, TRYING, REGISTER, REGED, \
             UNREGISTER, FAILED, FAIL_WAIT, EXPIRED, NOREG, DOWN, TIMEOUT"
                .to_owned(),
        ),
        state => Ok(Wanted::State(state)),
    }
}

impl Selection {
    /// Leaves in what was asked for, and says whether that is well.
    ///
    /// # Errors
    /// A switch, gateway or domain that is nowhere: a misspelt name must not look as if all were
    /// well.
    pub(super) fn apply(&self, status: &mut Status) -> anyhow::Result<()> {
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

    fn check_names(&self, status: &Status) -> anyhow::Result<()> {
        let switches: BTreeSet<_> = status.switches.iter().map(|switch| switch.name.clone()).collect();
        if let Some(unknown) = self.switches.iter().find(|name| !switches.contains(*name)) {
            return Err(unknown_switch(unknown, switches));
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
            anyhow::bail!("there is no gateway {unknown:?}, neither on a switch nor in Redis");
        }
        let is_domain = |name: &String| {
            gateways().any(|gateway| gateway.domain.as_ref() == Some(name))
                || status.on_no_switch.iter().any(|gateway| gateway.domain == *name)
                || status.findings.iter().any(|finding| finding.domain == *name)
        };
        if let Some(unknown) = self.domains.iter().find(|name| !is_domain(name)) {
            anyhow::bail!("there is no gateway of a domain {unknown:?}");
        }
        Ok(())
    }

    fn selects(&self, gateway: &Gateway) -> bool {
        let has_state = self.states.iter().any(|wanted| match wanted {
            Wanted::Condition(condition) => gateway.condition == *condition,
            Wanted::State(state) => gateway.state.as_ref() == Some(state),
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

    /// Keeps the worst, over all switches.
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
mod tests {
    use super::*;

    #[test]
    fn a_state_is_a_condition_or_freeswitchs_word_and_nothing_else() {
        assert_eq!(parse_state("down"), Ok(Wanted::Condition(Condition::Down)));
        assert_eq!(parse_state("DOWN"), Ok(Wanted::State(State::Down)));
        assert_eq!(parse_state("fail_wait"), Ok(Wanted::State(State::FailWait)));
        for wrong in ["", "REGD", "Up"] {
            assert!(parse_state(wrong).is_err(), "{wrong}");
        }
    }
}
