//! What all trunkd report about the switches, for lists of gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use super::super::pool::SwitchPool;
use super::super::{Caller, held};
use super::StatusSource;
use super::view::View;
use crate::control::{Control, Report, Reports};
use crate::desired::Current;
use crate::gateway::GatewayName;
use crate::reconcile::{Want, want, wants};
use crate::redis::StoreError;
use crate::settings::Settings;

/// Reports and pauses.
#[derive(Debug, Default)]
pub(in crate::operate) struct SwitchNotes {
    control: Control,
    all: Reports,
    reports: BTreeMap<String, Report>,
    has_key: bool,
}

/// How old they may be in a list: they change a few times a minute.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Those that were read last, and when.
pub(super) type LastNotes = ArcSwapOption<(Instant, Arc<SwitchNotes>)>;

impl StatusSource {
    /// As of a second ago at most, so that a page costs no read of them.
    pub(in crate::operate) async fn recent_notes(&self) -> Result<Arc<SwitchNotes>, StoreError> {
        if let Some(last) = &*self.last_notes.load()
            && last.0.elapsed() < MAX_AGE
        {
            return Ok(last.1.clone());
        }
        self.notes().await
    }

    /// Those that were read last, however old; nothing if they never were.
    pub(in crate::operate) fn last_notes(&self) -> Arc<SwitchNotes> {
        let last = self.last_notes.load();
        last.as_ref().map(|last| last.1.clone()).unwrap_or_default()
    }

    pub(in crate::operate) async fn notes(&self) -> Result<Arc<SwitchNotes>, StoreError> {
        let asked = Instant::now();
        let (control, all, has_key) = tokio::try_join!(
            self.store.read_control(),
            self.store.read_all_reports(),
            self.store.has_key()
        )?;
        let notes = Arc::new(SwitchNotes {
            control,
            reports: all.clone().merged(),
            all,
            has_key,
        });
        self.last_notes.store(Some(Arc::new((asked, notes.clone()))));
        Ok(notes)
    }
}

impl SwitchNotes {
    /// As the caller may read them.
    pub(in crate::operate) fn for_caller(self: &Arc<Self>, caller: &Caller) -> Arc<Self> {
        match caller.sees_all() {
            true => self.clone(),
            false => Arc::new(self.without_numbers()),
        }
    }

    /// As those read them who see some domains.
    pub(in crate::operate) fn without_numbers(&self) -> Self {
        let reports = self.reports.iter();
        let reports = reports.map(|(switch, report)| (switch.clone(), held::without_numbers(report)));
        Self {
            control: self.control.clone(),
            all: self.all.clone(),
            reports: reports.collect(),
            has_key: self.has_key,
        }
    }

    /// What the rows of these gateways are compared with. `watched` is as of when the rows were read.
    pub(in crate::operate) fn view<'a>(
        &self,
        current: &'a Current,
        switch: &str,
        watched: bool,
        names: &BTreeSet<&str>,
    ) -> View<'a> {
        let wants = names
            .iter()
            .filter_map(|name| want(&current.desired, &current.key, switch, name));
        self.view_with(current, switch, watched, wants.collect())
    }

    /// What the rows of all gateways are compared with.
    pub(in crate::operate) fn view_of_all<'a>(&self, current: &'a Current, switch: &str, watched: bool) -> View<'a> {
        let wants = wants(&current.desired, &current.key, switch);
        self.view_with(current, switch, watched, wants)
    }

    fn view_with<'a>(
        &self,
        current: &'a Current,
        switch: &str,
        watched: bool,
        wants: BTreeMap<GatewayName, Want>,
    ) -> View<'a> {
        View {
            watched,
            asked: false,
            paused: self.control.is_paused(switch),
            drained: self.control.drained.get(switch).cloned(),
            report: self.reports.get(switch).cloned(),
            wants,
            has_key: self.has_key,
            desired: &current.desired,
        }
    }

    pub(in crate::operate) fn is_paused(&self, switch: &str) -> bool {
        self.control.is_paused(switch)
    }

    /// Which switches may get gateways. `seen`: whether a trunkd is connected to each.
    pub(in crate::operate) fn pool<'a>(
        &self,
        settings: &'a Settings,
        seen: impl Iterator<Item = (&'a str, bool)>,
    ) -> SwitchPool {
        SwitchPool::new(settings, &self.control, &self.reports, seen)
    }

    /// The start of its pause, if it is paused.
    pub(in crate::operate) fn paused_since(&self, switch: &str) -> Option<&str> {
        self.control.paused_since(switch)
    }

    pub(in crate::operate) fn are_all_paused(&self) -> bool {
        self.control.paused.is_some()
    }

    /// One report per switch, merged from all trunkd.
    pub(in crate::operate) fn reports(&self) -> impl Iterator<Item = (&String, &Report)> {
        self.reports.iter()
    }

    /// The report on a switch, merged from all trunkd.
    pub(in crate::operate) fn report(&self, switch: &str) -> Option<&Report> {
        self.reports.get(switch)
    }

    /// Whether the gateway is parked on the switch.
    pub(in crate::operate) fn is_parked(&self, switch: &str, gateway: &str) -> bool {
        self.report(switch)
            .is_some_and(|report| report.parked.contains_key(gateway))
    }

    /// The trunkd that changes the switch.
    pub(in crate::operate) fn leader(&self, switch: &str) -> Option<&str> {
        self.all
            .of(switch)
            .find(|(_, report)| report.leads)
            .map(|(holder, _)| holder)
    }
}
