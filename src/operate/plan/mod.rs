//! What would change on each switch, and what keeps it from happening.

mod model;
mod visible;

pub use model::{HeldBy, Plans, ShownPlan, SwitchPlan};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;

use super::{OperateError, recorded, sources};
use crate::carriers::{Carriers, Lasts, Starts};
use crate::control::{Conflict, OTHER_SWITCHES, Reports};
use crate::desired::Current;
use crate::event_socket::{self, ConnectError, OpenError};
use crate::gateway::{Desired, Gateway, GatewayName, Rollback};
use crate::language::{Message, Text, message, text};
use crate::reconcile::{
    Assessment, Differences, Exempt, FieldChange, Known, Limits, Plan, differing_fields, form, read_switch, want, wants,
};
use crate::redis::{Store, StoreError};
use crate::settings::{ReconcileMode, Settings, SwitchSettings};
use crate::shown::shown;

/// The plan of each switch in the settings, or of one. With `adopt`, it takes over gateways of a wanted
/// name that are not ours.
///
/// # Errors
/// Redis or the templates can't be read, or there is no such switch. A switch that can't be read is an
/// error of its own plan.
pub async fn read(
    settings: &Settings,
    store: &Store,
    switch: Option<&str>,
    adopt: bool,
) -> Result<Plans, OperateError> {
    let chosen = chosen(settings, switch)?;
    let away = OperateError::at(settings);
    let reports = store.read_all_reports().await.map_err(away)?;
    let others_held = others_held(&reports, switch);
    let mut plans = Plans {
        pending: !others_held.is_empty(),
        switches: Vec::new(),
        others_held,
        is_key_missing: false,
        stale: None,
    };
    if chosen.is_empty() {
        return match plans.others_held.is_empty() {
            true => Err(OperateError::NoSwitch),
            false => Ok(plans),
        };
    }
    let templates = sources::templates(settings)?;
    let catalog = sources::catalog(store, sources::rules(settings, &templates)?, None);
    let mut current = catalog.all().await.map_err(OperateError::unavailable(settings))?;
    let kept = current.desired.clone();
    current.desired = Arc::new(kept.carrying_out_all(&current.domains, &catalog.rules()));
    plans.stale = current.stale.as_ref().map(|(_, reason)| reason.clone());
    plans.is_key_missing = !store.has_key().await.map_err(away)?;
    let control = store.read_control().await.map_err(away)?;
    let running = join_all(chosen.iter().map(|switch| ask(switch))).await;
    for (switch, running) in chosen.iter().zip(running) {
        let mut plan = SwitchPlan {
            switch: switch.name.clone(),
            error: None,
            plan: None,
            unchanged: BTreeMap::new(),
            changes: BTreeMap::new(),
            tries_again: BTreeMap::new(),
            rollbacks: BTreeMap::new(),
            held: None,
            lasts: None,
            holds: holds(&reports, &switch.name),
            paused: control.is_paused(&switch.name),
            serve: reports.leading(&switch.name).map(|(_, report)| report.clone()),
        };
        match running {
            Ok(mut known) => {
                known.parked = parked(&reports, &switch.name, &current);
                plan.decide(settings, store, &current, &known, adopt)
                    .await
                    .map_err(away)?;
            }
            Err(error) => plan.error = Some(error),
        }
        plan.try_again(&kept);
        plans.pending |= plan.is_pending();
        plans.switches.push(plan);
    }
    Ok(plans)
}

/// What there is to approve: [`read`], or with mode `off` what is held alone.
///
/// # Errors
/// As [`read`]; [`OperateError::ModeOff`] if nothing is held either.
pub async fn to_approve(
    settings: &Settings,
    store: &Store,
    switch: Option<&str>,
    adopt: bool,
) -> Result<Plans, OperateError> {
    if settings.reconcile.mode != ReconcileMode::Off {
        return read(settings, store, switch, adopt).await;
    }
    let others_held = read_others_held(settings, store, switch).await?;
    match others_held.is_empty() {
        true => Err(OperateError::ModeOff),
        false => Ok(Plans {
            pending: true,
            switches: Vec::new(),
            others_held,
            is_key_missing: false,
            stale: None,
        }),
    }
}

/// The holds for switches that no settings name, or for all with `reconcile.mode = "off"`. Nobody can
/// ask those switches what they run.
///
/// # Errors
/// Redis can't be read.
pub async fn read_others_held(
    settings: &Settings,
    store: &Store,
    switch: Option<&str>,
) -> Result<Vec<HeldBy>, OperateError> {
    let reports = store.read_all_reports().await.map_err(OperateError::at(settings))?;
    Ok(others_held(&reports, switch))
}

fn others_held(reports: &Reports, switch: Option<&str>) -> Vec<HeldBy> {
    match switch {
        Some(_) => Vec::new(),
        None => holds(reports, OTHER_SWITCHES),
    }
}

/// What is not started now, since its carrier refuses it.
fn parked(reports: &Reports, switch: &str, current: &Current) -> BTreeSet<GatewayName> {
    let report = reports.leading(switch).map(|(_, report)| report);
    let parked = report.into_iter().flat_map(|report| &report.parked);
    let stopped = parked.filter(|(_, parked)| parked.is_stopped());
    let same = stopped.filter_map(|(name, parked)| {
        let (name, want) = want(&current.desired, &current.key, switch, name)?;
        want.is_revision(&parked.revision).then_some(name)
    });
    same.collect()
}

fn chosen<'a>(settings: &'a Settings, switch: Option<&str>) -> Result<Vec<&'a SwitchSettings>, OperateError> {
    let Some(name) = switch else {
        return Ok(settings.switches.iter().collect());
    };
    match settings.switches.iter().find(|known| known.name == name) {
        Some(found) => Ok(vec![found]),
        None => Err(OperateError::UnknownSwitch {
            name: name.to_owned(),
            known: settings.switches.iter().map(|known| known.name.clone()).collect(),
        }),
    }
}

fn holds(reports: &Reports, switch: &str) -> Vec<HeldBy> {
    let holds = reports.holding(switch).filter_map(|(trunkd, report)| {
        Some(HeldBy {
            trunkd: trunkd.to_owned(),
            held: report.held()?,
            held_back: report.held_back.clone(),
            removed_from: report.removed_from.clone(),
            state: report.state.clone(),
            leads: report.leads,
        })
    });
    holds.collect()
}

const NOT_THERE: Text = text(
    "; check `address` of this [[switch]], and that FreeSWITCH runs and its mod_event_socket listens there",
    "；请检查此 [[switch]] 的 `address`，以及 FreeSWITCH 是否在运行、其 mod_event_socket 是否在此监听",
);

/// What the switch runs, or a line with the problem and the fix.
async fn ask(switch: &SwitchSettings) -> Result<Known, Message> {
    let known = read_switch(&sources::address(switch), event_socket::Timing::default()).await;
    known.map_err(|error| {
        let fix = match &error {
            OpenError::Connect(ConnectError::Io(_) | ConnectError::Timeout(..)) => NOT_THERE,
            _ => Text::EMPTY,
        };
        // It may quote the switch.
        let (at, why) = (&switch.address, recorded(&shown(&error.to_string()).to_string()));
        message!(
            "it cannot be read at {at}: {why}{fix}",
            "无法在 {at} 读取它：{why}{fix}",
            why = why,
            fix = fix
        )
    })
}

impl SwitchPlan {
    async fn decide(
        &mut self,
        settings: &Settings,
        store: &Store,
        current: &Current,
        known: &Known,
        adopt: bool,
    ) -> Result<(), StoreError> {
        let wants = wants(&current.desired, &current.key, &self.switch);
        let differences = Differences::between(&wants, &known.actual);
        let assessment = Assessment {
            known,
            desired: &current.desired,
            wants: &wants,
            key: &current.key,
            differences: &differences,
            limits: Limits {
                max_removals: settings.reconcile.max_removals,
            },
        };
        let mut plan = assessment.plan(&BTreeSet::new());
        if adopt {
            plan = assessment.plan(&not_ours(&plan));
        }
        let removals = store
            .read_removals(&self.switch, settings.reconcile.removals_window)
            .await?;
        let recent = removals
            .into_iter()
            .filter_map(|(name, _)| GatewayName::parse(&name).ok());
        let exempt = Exempt {
            recent: recent.collect(),
            ..Exempt::default()
        };
        self.held = assessment.hold(&plan, &exempt);
        self.changes = changes(store, current, &plan).await?;
        self.unchanged = differences.unchanged(&wants);
        self.lasts = lasts(settings, current, &plan);
        self.plan = Some(plan);
        Ok(())
    }
}

fn lasts(settings: &Settings, current: &Current, plan: &Plan) -> Option<Lasts> {
    let carriers = Carriers::new(&settings.carriers);
    let mut starts = Starts::default();
    for action in plan
        .actions
        .iter()
        .filter(|action| action.to().is_some_and(|to| to.registers))
    {
        let entry = current.desired.get(action.gateway().as_str());
        let carrier = entry.and_then(|entry| carriers.of(&entry.gateway));
        starts.add(carrier, action.from().is_some());
    }
    starts.lasts(settings.reconcile.starts_per_second)
}

impl SwitchPlan {
    /// Notes which edits of the plan are not carried out by themselves; `kept` has the versions that run
    /// in their place.
    fn try_again(&mut self, kept: &Desired) {
        for action in self.plan.iter().flat_map(|plan| &plan.actions) {
            let name = action.gateway();
            let entry = kept.get(name.as_str());
            if let Some((rollback, reason)) = entry.and_then(|entry| entry.rollback.as_ref().zip(entry.kept.clone())) {
                self.rollbacks.insert(name.clone(), Rollback::clone(rollback));
                self.tries_again.insert(name.clone(), reason);
            }
        }
    }
}

fn not_ours(plan: &Plan) -> BTreeSet<GatewayName> {
    let names = plan.conflicts.iter().filter_map(|conflict| match conflict {
        Conflict::NotOurs { gateway, .. } => Some(gateway.clone()),
        Conflict::Ghost { .. } | Conflict::ProfileNotRunning { .. } => None,
    });
    names.collect()
}

/// The fields that differ, for gateways to restart whose current fields are known.
async fn changes(
    store: &Store,
    current: &Current,
    plan: &Plan,
) -> Result<BTreeMap<GatewayName, Vec<FieldChange>>, StoreError> {
    let running = plan.actions.iter().filter_map(|action| {
        action.to()?;
        Some((action.gateway(), action.from()?.revision.clone()?))
    });
    let running: BTreeMap<_, _> = running.collect();
    let revisions: BTreeSet<_> = running.values().cloned().collect();
    let forms = store.read_forms(&revisions.into_iter().collect::<Vec<_>>()).await?;
    let differing = |(name, revision): (&&GatewayName, &String)| {
        let new: &Gateway = &current.desired.get(name.as_str())?.gateway;
        let changes = differing_fields(forms.get(revision)?, &form(new, &current.key));
        Some(((*name).clone(), changes))
    };
    Ok(running.iter().filter_map(differing).collect())
}
