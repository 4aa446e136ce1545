//! Approves a plan: exactly what was shown is done.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures_util::future::join_all;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::held::held_for;
use super::order::{self, OrderOutcome};
use super::plan::{self, Plans, ShownPlan, SwitchPlan};
use super::recorded::failure;
use super::service::Service;
use super::{Caller, OperateError};
use crate::access::Role;
use crate::history::{Entry, Event};
use crate::language::Message;

/// The longest that an approval waits for its end. What was ordered goes on.
const WAIT: Duration = Duration::from_secs(60);

/// What became of an approved plan on one switch.
#[derive(Debug, Serialize, ToSchema)]
pub struct Applied {
    /// `*`: switches that trunkd only serves.
    pub switch: String,
    /// Whether everything that was shown is done.
    pub done: bool,
    /// It goes on.
    pub in_progress: bool,
    /// gateway → why its change was not made.
    pub undone: BTreeMap<String, Message>,
    /// A hold that remains, because of later edits.
    pub still_held: Option<Message>,
    /// Nobody took it up or went on with it, so it was taken back.
    pub abandoned: bool,
}

impl Service {
    /// What would change on each switch, or on one, in the caller's domains.
    ///
    /// # Errors
    /// [`OperateError::AllDomains`], if `adopt` is for a caller of some domains; [`plan::to_approve`].
    pub async fn plan(&self, caller: &Caller, switch: Option<&str>, adopt: bool) -> Result<ShownPlan, OperateError> {
        if adopt && !caller.sees_all() {
            return Err(OperateError::AllDomains);
        }
        let mut plans = plan::to_approve(&self.settings, &self.store, switch, adopt).await?;
        if !caller.sees_all() {
            plans.limit_to(|domain| caller.sees(domain));
        }
        Ok(ShownPlan { id: id(&plans), plans })
    }

    /// Carries out the plan of this id, as the caller sees it: what is in other domains stays as it is.
    ///
    /// # Errors
    /// The caller is no operator; [`OperateError::PlanChanged`]; [`Service::plan`];
    /// [`order::check_served`].
    pub async fn apply(
        &self,
        caller: &Caller,
        id: &str,
        switch: Option<&str>,
        adopt: bool,
    ) -> Result<Vec<Applied>, OperateError> {
        caller.requires(Role::Operator)?;
        let shown = self.plan(caller, switch, adopt).await?;
        if shown.id != id {
            return Err(OperateError::PlanChanged(Box::new(shown)));
        }
        let plans = shown.plans;
        let by = caller.identity.to_string();
        let work: Vec<_> = plans.switches.iter().filter(|plan| plan.is_pending()).collect();
        order::check_served(&self.settings, &self.store, &work).await?;
        self.record_apply(caller, &work, id).await;
        let doing = work.iter().map(|plan| self.carry_out(caller, plan));
        let releasing = timeout(
            WAIT,
            order::release_others(&self.settings, &self.store, &by, &plans.others_held),
        );
        let (done, released) = tokio::join!(join_all(doing), releasing);
        let mut applied = done.into_iter().collect::<Result<Vec<_>, _>>()?;
        match released {
            Ok(released) => applied.extend(released?.map(|outcome| Applied::of("*", &outcome, outcome.is_done(&[])))),
            Err(_) => applied.push(Applied::in_progress("*")),
        }
        Ok(applied)
    }

    async fn carry_out(&self, caller: &Caller, plan: &SwitchPlan) -> Result<Applied, OperateError> {
        let by = caller.identity.to_string();
        match timeout(WAIT, order::carry_out(&self.settings, &self.store, &by, plan, |_| {})).await {
            Ok(outcome) => {
                let outcome = outcome?;
                let is_done = outcome.is_done(plan.actions());
                let mut applied = Applied::of(&plan.switch, &outcome, is_done);
                applied.still_held = held_for(caller, applied.still_held);
                Ok(applied)
            }
            Err(_) => Ok(Applied::in_progress(&plan.switch)),
        }
    }

    async fn record_apply(&self, caller: &Caller, work: &[&SwitchPlan], id: &str) {
        for plan in work {
            let entry = Entry {
                switch: Some(plan.switch.clone()),
                ..Entry::now(&caller.identity, Event::Apply { plan: id.to_owned() })
            };
            self.history.record_done(&entry).await;
        }
    }
}

impl Applied {
    fn of(switch: &str, outcome: &OrderOutcome, done: bool) -> Self {
        let (undone, still_held, abandoned) = match outcome {
            OrderOutcome::Finished { undone, still_held } => {
                let undone = undone.iter();
                let undone = undone.map(|(gateway, reason)| (gateway.clone(), failure(reason)));
                (undone.collect(), still_held.clone(), false)
            }
            OrderOutcome::Abandoned { .. } => (BTreeMap::new(), None, true),
        };
        Self {
            switch: switch.to_owned(),
            done,
            in_progress: false,
            undone,
            still_held,
            abandoned,
        }
    }

    fn in_progress(switch: &str) -> Self {
        Self {
            switch: switch.to_owned(),
            done: false,
            in_progress: true,
            undone: BTreeMap::new(),
            still_held: None,
            abandoned: false,
        }
    }
}

/// Two plans have the same id exactly if they order the same.
fn id(plans: &Plans) -> String {
    let ordered: Vec<_> = plans
        .switches
        .iter()
        .map(|plan| (&plan.switch, order::content(plan)))
        .collect();
    let held: Vec<_> = plans.others_held.iter().map(|hold| &hold.state).collect();
    let text = serde_json::to_vec(&(ordered, held)).unwrap_or_default();
    let digest = Sha256::digest(&text);
    HEXLOWER.encode(&digest[..16])
}
