//! The page with what would change on each switch, and what keeps it from happening.

mod view;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, rt, web};
use askama::Template;
use serde::Deserialize;
use tokio::time::timeout;

use super::failure::{Failure, page as page_of};
use super::page::{Frame, show};
use crate::access::Role;
use crate::operate::approve::Applied;
use crate::operate::plan::ShownPlan;
use crate::operate::{Caller, OperateError, Service};
use crate::portal::SignedIn;
use view::{OnSwitch, Outcome};

/// How long the answer to a release waits for its end. What takes longer can be followed on the page.
const WAIT: Duration = Duration::from_secs(5);

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage {
    frame: Frame,
    id: String,
    /// Only this switch.
    switch: String,
    adopt: bool,
    switches: Vec<OnSwitch>,
    others: Vec<String>,
    pending: bool,
    /// An order is being carried out.
    is_running: bool,
    may_release: bool,
    /// Gateways stand in the way that trunkd did not start.
    may_adopt: bool,
    is_key_missing: bool,
    /// The plan was released, and was another one by then.
    is_other: bool,
    outcomes: Vec<Outcome>,
    goes_on: bool,
}

/// Which plan.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    switch: String,
    adopt: bool,
}

/// A plan to release.
#[derive(Debug, Deserialize)]
pub(super) struct Release {
    id: String,
    #[serde(default)]
    switch: String,
    #[serde(default)]
    adopt: bool,
}

/// What became of a release.
#[derive(Default)]
struct After {
    is_other: bool,
    goes_on: bool,
    applied: Vec<Applied>,
}

impl Wanted {
    fn switch(&self) -> Option<&str> {
        (!self.switch.is_empty()).then_some(self.switch.as_str())
    }
}

/// The plan.
#[get("/plan")]
pub(super) async fn page(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    wanted: web::Query<Wanted>,
) -> HttpResponse {
    let answer = now(&service, &caller, &request, &wanted, After::default()).await;
    page_of(&request, answer)
}

/// Carries out the plan that was shown, and no other.
#[post("/plan")]
pub(super) async fn release(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    sent: web::Form<Release>,
) -> HttpResponse {
    let Release { id, switch, adopt } = sent.into_inner();
    let wanted = Wanted { switch, adopt };
    let (all, who, of) = (service.clone().into_inner(), caller.clone(), wanted.clone());
    // It goes on if the answer doesn't wait for its end.
    let mut work = rt::spawn(async move { all.apply(&who, &id, of.switch(), of.adopt).await });
    let done = match timeout(WAIT, &mut work).await {
        Ok(done) => Some(done.unwrap_or(Err(OperateError::Interrupted))),
        Err(_) => None,
    };
    let answer = match done {
        Some(Err(OperateError::PlanChanged(plan))) => {
            let after = After {
                is_other: true,
                ..After::default()
            };
            Ok(render(&caller, &request, &wanted, *plan, after))
        }
        Some(Err(error)) => Err(error.into()),
        Some(Ok(applied)) => {
            let after = After {
                applied,
                ..After::default()
            };
            now(&service, &caller, &request, &Wanted { adopt: false, ..wanted }, after).await
        }
        None => {
            let after = After {
                goes_on: true,
                ..After::default()
            };
            now(&service, &caller, &request, &Wanted { adopt: false, ..wanted }, after).await
        }
    };
    page_of(&request, answer)
}

async fn now(
    service: &Service,
    caller: &Caller,
    request: &HttpRequest,
    wanted: &Wanted,
    after: After,
) -> Result<HttpResponse, Failure> {
    let shown = service.plan(caller, wanted.switch(), wanted.adopt).await?;
    Ok(render(caller, request, wanted, shown, after))
}

fn render(caller: &Caller, request: &HttpRequest, wanted: &Wanted, shown: ShownPlan, after: After) -> HttpResponse {
    let frame = Frame::new(request, "plan");
    let (t, ShownPlan { id, plans }) = (frame.t, shown);
    let switches: Vec<_> = plans.switches.iter().map(|plan| OnSwitch::new(t, plan)).collect();
    let is_running = after.goes_on || switches.iter().any(|on| on.running.is_some());
    let in_the_way = switches.iter().any(|on| on.is_in_the_way);
    let status = match after.is_other {
        true => StatusCode::CONFLICT,
        false => StatusCode::OK,
    };
    let made = PlanPage {
        id,
        switch: wanted.switch.clone(),
        adopt: wanted.adopt,
        others: plans
            .others_held
            .iter()
            .map(|hold| hold.held.in_language(t.0).to_owned())
            .collect(),
        pending: plans.pending,
        is_running,
        may_release: plans.pending && !is_running && caller.requires(Role::Operator).is_ok(),
        may_adopt: in_the_way && !wanted.adopt && caller.requires(Role::Admin).is_ok(),
        is_key_missing: plans.is_key_missing,
        is_other: after.is_other,
        outcomes: after.applied.iter().map(|applied| Outcome::new(t, applied)).collect(),
        goes_on: after.goes_on,
        switches,
        frame,
    };
    show(status, &made)
}
