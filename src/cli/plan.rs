//! `trunkd plan`: what would be changed on each switch, and what keeps it from being done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;

use futures_util::future::join_all;
use serde::Serialize;

use super::{Shared, catalog, json_text, print, read_all, store, templates, unknown_switch, unreadable};
use crate::control::{OTHER_SWITCHES, Report, Reports};
use crate::desired::Current;
use crate::event_socket::{self, ConnectError, OpenError, SwitchAddress};
use crate::gateway::{Gateway, GatewayName};
use crate::reconcile::{
    Conflict, Differences, FieldChange, Hold, Known, Limits, Plan, Verdict, differing_fields, form, judge, look,
    plan_text, wants,
};
use crate::redis::Store;
use crate::settings::{Flags, Settings, SwitchSettings};
use crate::shown::{shown, shown_line};

/// There is something to do.
const CHANGES_PENDING: u8 = 2;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// This switch alone
    #[arg(long, value_name = "SWITCHNAME")]
    node: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// In JSON as it stands.
#[derive(Serialize)]
struct Plans<'a> {
    /// Whether anything is to be done on any switch.
    pending: bool,
    switches: &'a [SwitchPlan],
    /// What is held from switches that ask for their configuration and are in no settings, by which trunkd.
    others_held: &'a [HeldBy],
}

/// What a trunkd that is alive holds.
#[derive(Serialize)]
pub(super) struct HeldBy {
    pub(super) trunkd: String,
    pub(super) held: String,
    /// The gateways that are served all the same.
    #[serde(skip)]
    pub(super) held_back: BTreeSet<String>,
    /// The state of Redis that is held back.
    #[serde(skip)]
    pub(super) state: Option<String>,
    /// Whether it is the one that changes the switch.
    leads: bool,
}

#[derive(Serialize)]
pub(super) struct SwitchPlan {
    pub(super) switch: String,
    /// Why the switch could not be read. Then there is no plan: not an empty one.
    pub(super) error: Option<String>,
    pub(super) plan: Option<Plan>,
    /// Of the gateways that are restarted, the fields that differ, as far as is known what they run with.
    changes: BTreeMap<GatewayName, Vec<FieldChange>>,
    held: Option<Hold>,
    /// What is held by which trunkd: from killing, or from being served alone.
    pub(super) holds: Vec<HeldBy>,
    paused: bool,
    /// What the `trunkd serve` that changes this switch says of it, if there is one.
    serve: Option<Report>,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let store = store(&settings)?;
    let plans = read(&settings, &store, arguments.node.as_deref(), false).await?;
    let others = others_held(&settings, &store, arguments.node.as_deref()).await?;
    let pending = !others.is_empty() || plans.iter().any(SwitchPlan::is_pending);
    if arguments.json {
        let plans = Plans {
            pending,
            switches: plans.as_slice(),
            others_held: &others,
        };
        print(&json_text(&plans)?)?;
    } else {
        show(&plans, &others)?;
    }
    Ok(match plans.iter().any(|plan| plan.error.is_some()) {
        true => ExitCode::FAILURE,
        false if pending => ExitCode::from(CHANGES_PENDING),
        false => ExitCode::SUCCESS,
    })
}

pub(super) fn show(plans: &[SwitchPlan], others_held: &[HeldBy]) -> anyhow::Result<()> {
    let colour = std::io::stdout().is_terminal();
    let mut text: String = plans.iter().map(|plan| plan.text(colour)).collect();
    for hold in others_held {
        let (trunkd, held) = (shown(&hold.trunkd), shown(&hold.held));
        let _ = writeln!(
            text,
            "switches that trunkd only serves: {held}, says trunkd {trunkd}; `trunkd apply` releases it, or undo the edit"
        );
    }
    print(&text)
}

/// What is held from switches that no settings name, or from all with `reconcile.mode = "off"`, as those trunkd say that serve; nobody asks those
/// switches what they run.
pub(super) async fn others_held(settings: &Settings, store: &Store, node: Option<&str>) -> anyhow::Result<Vec<HeldBy>> {
    if node.is_some() {
        return Ok(Vec::new());
    }
    let reports = store
        .read_all_reports()
        .await
        .map_err(|error| unreadable(settings, error))?;
    Ok(holds(&reports, OTHER_SWITCHES))
}

fn holds(reports: &Reports, switch: &str) -> Vec<HeldBy> {
    let holds = reports.holding(switch).filter_map(|(trunkd, report)| {
        Some(HeldBy {
            trunkd: trunkd.to_owned(),
            held: report.held.clone()?,
            held_back: report.held_back.clone(),
            state: report.state.clone(),
            leads: report.leads,
        })
    });
    holds.collect()
}

/// The plan of each switch of the settings, or of that one. With `adopt`, gateways of a desired name that are not ours are taken over.
pub(super) async fn read(
    settings: &Settings,
    store: &Store,
    node: Option<&str>,
    adopt: bool,
) -> anyhow::Result<Vec<SwitchPlan>> {
    let chosen = |switch: &&SwitchSettings| node.is_none_or(|node| node == switch.name);
    let switches: Vec<_> = settings.switches.iter().filter(chosen).collect();
    if switches.is_empty() && node.is_none() && !others_held(settings, store, node).await?.is_empty() {
        return Ok(Vec::new());
    }
    if switches.is_empty() {
        let known = settings.switches.iter().map(|switch| switch.name.clone());
        return Err(match node {
            Some(node) => unknown_switch(node, known.collect()),
            None => anyhow::anyhow!("the settings name no switch: add a [[switch]] for each FreeSWITCH"),
        });
    }
    let templates = templates(settings)?;
    let away = |error: &dyn std::fmt::Display| unreadable(settings, error);
    let current = read_all(settings, &catalog(settings, store, &templates)?).await?;
    if !store.has_key().await.map_err(|error| away(&error))? {
        eprintln!(
            "trunkd: Redis holds no trunkd:key, which `trunkd serve` makes: until then every gateway of trunkd's counts as changed"
        );
    }
    let control = store.read_control().await.map_err(|error| away(&error))?;
    let reports = store.read_all_reports().await.map_err(|error| away(&error))?;
    let looks = join_all(switches.iter().map(|switch| seen(switch))).await;
    let mut plans = Vec::with_capacity(switches.len());
    for (switch, look) in switches.iter().zip(looks) {
        let mut plan = SwitchPlan {
            switch: switch.name.clone(),
            error: None,
            plan: None,
            changes: BTreeMap::new(),
            held: None,
            holds: holds(&reports, &switch.name),
            paused: control.is_paused(&switch.name),
            serve: reports.leading(&switch.name).map(|(_, report)| report.clone()),
        };
        match look {
            Ok(known) => plan
                .decide(settings, store, &current, &known, adopt)
                .await
                .map_err(|error| away(&error))?,
            Err(error) => plan.error = Some(error),
        }
        plans.push(plan);
    }
    Ok(plans)
}

/// What the switch runs; else a line with the fix.
async fn seen(switch: &SwitchSettings) -> Result<Known, String> {
    let address = SwitchAddress {
        name: switch.name.clone(),
        address: switch.address.to_string(),
        password: switch.password.clone(),
    };
    look(&address, event_socket::Timing::default()).await.map_err(|error| {
        let fix = match &error {
            OpenError::Connect(ConnectError::Io(_) | ConnectError::Timeout(..)) => {
                "; check `address` of this [[switch]], and that FreeSWITCH runs and its mod_event_socket listens there"
            }
            _ => "",
        };
        // What a switch answered may be in it.
        let error = error.to_string();
        format!("it cannot be read at {}: {}{fix}", switch.address, shown(&error))
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
    ) -> Result<(), crate::redis::StoreError> {
        let desired = &current.desired;
        let wants = wants(desired, &current.key, &self.switch);
        let differences = Differences::between(&wants, &known.actual);
        let mut plan = known.plan(&differences, desired, &wants, &BTreeSet::new());
        if adopt {
            let not_ours = plan.conflicts.iter().filter_map(|conflict| match conflict {
                Conflict::NotOurs { gateway, .. } => Some(gateway.clone()),
                Conflict::Ghost { .. } | Conflict::ProfileNotRunning { .. } => None,
            });
            plan = known.plan(&differences, desired, &wants, &not_ours.collect());
        }
        let limits = Limits {
            max_removals: settings.reconcile.max_removals,
        };
        let ours = known.actual.ours();
        let vanished = desired.counts().is_empty() && !ours.is_empty();
        let window = settings.reconcile.removals_window;
        let recent = store.read_removals(&self.switch, window).await?.into_iter();
        let recent = recent
            .filter_map(|(gateway, _)| GatewayName::parse(&gateway).ok())
            .collect();
        self.held = match judge(&ours, &plan.removals(), vanished, &limits, &BTreeSet::new(), &recent) {
            Verdict::Hold(hold) => Some(hold),
            Verdict::Go => None,
        };
        let running: BTreeMap<_, _> = plan
            .actions
            .iter()
            .filter_map(|action| {
                action.to()?;
                Some((action.gateway(), action.from()?.revision.clone()?))
            })
            .collect();
        let revisions: BTreeSet<_> = running.values().cloned().collect();
        let forms = store.read_forms(&revisions.into_iter().collect::<Vec<_>>()).await?;
        let differing = |(name, revision): (&&GatewayName, &String)| {
            let new: &Gateway = &desired.get(name.as_str())?.gateway;
            let changes = differing_fields(forms.get(revision)?, &form(new, &current.key));
            Some(((*name).clone(), changes))
        };
        self.changes = running.iter().filter_map(differing).collect();
        self.plan = Some(plan);
        Ok(())
    }

    /// Whether there is something to do, or something that is kept from being served.
    pub(super) fn is_pending(&self) -> bool {
        !self.holds.is_empty() || self.plan.as_ref().is_some_and(|plan| !plan.actions.is_empty())
    }

    fn text(&self, colour: bool) -> String {
        let name = &self.switch;
        let (mut text, remarks) = match &self.plan {
            Some(plan) => {
                let text = plan_text(name, plan, &self.changes, self.held.as_ref(), colour);
                (text, self.remarks())
            }
            None => {
                let error = self.error.as_deref().unwrap_or_default();
                (
                    format!("{name}: no plan: {}\n", shown_line(error)),
                    self.holds_elsewhere(),
                )
            }
        };
        for remark in remarks {
            let _ = writeln!(text, "  ! {}", shown_line(&remark));
        }
        text
    }

    /// What is held and isn't to be seen in the plan.
    fn holds_elsewhere(&self) -> Vec<String> {
        let known = self.held.as_ref().map(Hold::summary);
        let elsewhere = self.holds.iter().filter(|hold| known.as_ref() != Some(&hold.held));
        let remark = |hold: &HeldBy| {
            let (trunkd, held) = (shown(&hold.trunkd), shown(&hold.held));
            match hold.leads {
                true => format!("trunkd serve says {held}; `trunkd apply` releases it"),
                false => {
                    format!("trunkd {trunkd}, which serves this switch too, says {held}; `trunkd apply` releases it")
                }
            }
        };
        elsewhere.map(remark).collect()
    }

    /// What `trunkd serve` does about it, where that isn't to carry it out.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.holds_elsewhere();
        if self.paused {
            remarks.push("paused: nothing is changed by itself until `trunkd resume`".to_owned());
        }
        let Some(report) = &self.serve else {
            remarks.push("no trunkd serve looks at this switch".to_owned());
            return remarks;
        };
        if report.mode != "apply" {
            remarks.push(format!(
                "trunkd serve runs with reconcile.mode = {:?}: nothing is changed by itself",
                report.mode
            ));
        }
        let troubles = report.troubles.iter();
        remarks.extend(troubles.map(|(gateway, reason)| format!("gateway {}: {}", shown(gateway), shown(reason))));
        remarks
    }
}
