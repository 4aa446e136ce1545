//! `trunkd plan`: what would be changed on each switch, and what keeps it from being done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;

use futures_util::future::join_all;
use serde::Serialize;

use super::{Shared, catalog, json_text, print, read_all, store, templates, unknown_switch, unreadable};
use crate::event_socket::{self, ConnectError, OpenError, SwitchAddress};
use crate::gateway::{Gateway, GatewayName, shown};
use crate::reconcile::{
    Conflict, Differences, FieldChange, Hold, Known, Limits, Plan, Verdict, differing_fields, form, judge, look,
    plan_text, wants,
};
use crate::settings::{Flags, Settings, SwitchSettings};
use crate::shown::shown_line;
use crate::store::{Current, OTHER_SWITCHES, Report, Store};

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
    /// What is held from switches that ask for their configuration and are in no settings.
    others_held: Option<&'a str>,
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
    paused: bool,
    /// What `trunkd serve` says of this switch, if it ever did.
    serve: Option<Report>,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let store = store(&settings)?;
    let plans = read(&settings, &store, arguments.node.as_deref(), false).await?;
    let others = others_held(&settings, &store, arguments.node.as_deref()).await?;
    let pending = others.is_some() || plans.iter().any(SwitchPlan::is_pending);
    if arguments.json {
        let plans = Plans {
            pending,
            switches: plans.as_slice(),
            others_held: others.as_deref(),
        };
        print(&json_text(&plans)?)?;
    } else {
        show(&plans, others.as_deref())?;
    }
    Ok(match plans.iter().any(|plan| plan.error.is_some()) {
        true => ExitCode::FAILURE,
        false if pending => ExitCode::from(CHANGES_PENDING),
        false => ExitCode::SUCCESS,
    })
}

pub(super) fn show(plans: &[SwitchPlan], others_held: Option<&str>) -> anyhow::Result<()> {
    let colour = std::io::stdout().is_terminal();
    let mut text: String = plans.iter().map(|plan| plan.text(colour)).collect();
    if let Some(held) = others_held {
        let _ = writeln!(
            text,
            "switches that trunkd only serves: {}; `trunkd apply` releases it, or undo the edit",
            shown_line(held)
        );
    }
    print(&text)
}

/// What is held from switches that no settings name, or from all with `reconcile.mode = "off"`, as the trunkd that serves says; nobody asks those what
/// they run.
pub(super) async fn others_held(
    settings: &Settings,
    store: &Store,
    node: Option<&str>,
) -> anyhow::Result<Option<String>> {
    if node.is_some() {
        return Ok(None);
    }
    let reports = store
        .read_reports()
        .await
        .map_err(|error| unreadable(settings, error))?;
    Ok(reports.get(OTHER_SWITCHES).and_then(|report| report.held.clone()))
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
    if switches.is_empty() && node.is_none() && others_held(settings, store, node).await?.is_some() {
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
    let mut reports = store.read_reports().await.map_err(|error| away(&error))?;
    let looks = join_all(switches.iter().map(|switch| seen(switch))).await;
    let mut plans = Vec::with_capacity(switches.len());
    for (switch, look) in switches.iter().zip(looks) {
        let mut plan = SwitchPlan {
            switch: switch.name.clone(),
            error: None,
            plan: None,
            changes: BTreeMap::new(),
            held: None,
            paused: control.is_paused(&switch.name),
            serve: reports.remove(&switch.name),
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

/// What the switch runs; else a line with the mend.
async fn seen(switch: &SwitchSettings) -> Result<Known, String> {
    let address = SwitchAddress {
        name: switch.name.clone(),
        address: switch.address.to_string(),
        password: switch.password.clone(),
    };
    look(&address, event_socket::Timing::default()).await.map_err(|error| {
        let mend = match &error {
            OpenError::Connect(ConnectError::Io(_) | ConnectError::Timeout(..)) => {
                "; check `address` of this [[switch]], and that FreeSWITCH runs and its mod_event_socket listens there"
            }
            _ => "",
        };
        format!("it cannot be read at {}: {error}{mend}", switch.address)
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
    ) -> Result<(), crate::store::StoreError> {
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
        self.held = match judge(&ours, &plan.removals(), vanished, &limits, &BTreeSet::new()) {
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
        let is_held = self.serve.as_ref().is_some_and(|report| report.held.is_some());
        self.plan
            .as_ref()
            .is_some_and(|plan| is_held || !plan.actions.is_empty())
    }

    fn text(&self, colour: bool) -> String {
        let name = &self.switch;
        let Some(plan) = &self.plan else {
            let error = shown_line(self.error.as_deref().unwrap_or_default());
            return format!("{name}: no plan: {error}\n");
        };
        let mut text = plan_text(name, plan, &self.changes, self.held.as_ref(), colour);
        for remark in self.remarks() {
            let _ = writeln!(text, "  ! {}", shown_line(&remark));
        }
        text
    }

    /// What `trunkd serve` does about it, where that isn't to carry it out.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.paused {
            remarks.push("paused: nothing is changed by itself until `trunkd resume`".to_owned());
        }
        let Some(report) = &self.serve else {
            remarks.push("no trunkd serve has looked at this switch yet".to_owned());
            return remarks;
        };
        if report.mode != "apply" {
            remarks.push(format!(
                "trunkd serve runs with reconcile.mode = {:?}: nothing is changed by itself",
                report.mode
            ));
        }
        if let (Some(held), None) = (&report.held, &self.held) {
            remarks.push(format!("trunkd serve says {held}; `trunkd apply` releases it"));
        }
        let troubles = report.troubles.iter();
        remarks.extend(troubles.map(|(gateway, reason)| format!("gateway {}: {reason}", shown(gateway))));
        remarks
    }
}
