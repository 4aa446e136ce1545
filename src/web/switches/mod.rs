//! The page with all switches: who is connected to them, what they run, what keeps changes from them.

mod drain;
mod placement;
mod spread;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use askama::Template;
use jiff::Timestamp;
use serde::Deserialize;

use super::address::{gateways_url, see_other, with_query};
use super::chip::{self, Chip};
use super::failure::{Failure, page as page_of};
use super::page::{Frame, show};
use super::texts::Texts;
use super::words;
use crate::access::Role;
use crate::language::Message;
use crate::operate::listing::SwitchSummary;
use crate::operate::placement::PlacementOverview;
use crate::operate::{Caller, Service};
use crate::portal::SignedIn;
pub(super) use drain::{ask_to_drain, end_drain, start_drain};
use placement::Placement;
pub(super) use spread::{show_moves, start_moves};

#[derive(Template)]
#[template(path = "switches.html")]
struct SwitchesPage {
    frame: Frame,
    cards: Vec<Card>,
    may_pause: bool,
    all_paused: bool,
    /// How many gateways would move if they were spread evenly again.
    moves: usize,
}

/// One switch.
struct Card {
    name: String,
    /// The word in classes: `up`, `down`, `unknown`.
    state: &'static str,
    state_label: String,
    /// Why it is not connected.
    reason: String,
    since: Option<Moment>,
    last_seen: Option<Moment>,
    leader: Option<String>,
    /// Nobody changes it, although somebody should.
    wants_leader: bool,
    mode: String,
    paused: Option<String>,
    is_paused: bool,
    all_paused: bool,
    held: Option<String>,
    plan: String,
    /// The page that asks whether to drain it.
    drain: String,
    removals_left: Option<usize>,
    conflicts: Vec<String>,
    chips: Vec<Chip>,
    profiles: Vec<Chip>,
    /// Of the gateways that run on exactly one switch.
    placement: Option<Placement>,
    history: String,
}

struct Moment {
    ago: String,
    exact: String,
}

/// Which switch; empty: all.
#[derive(Deserialize)]
pub(super) struct Chosen {
    #[serde(default)]
    switch: String,
}

impl Chosen {
    fn name(&self) -> Option<&str> {
        (!self.switch.is_empty()).then_some(self.switch.as_str())
    }
}

/// The page.
#[get("/switches")]
pub(super) async fn list(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
) -> HttpResponse {
    let page = make(&service, &caller, &request).await;
    page_of(&request, page)
}

async fn make(service: &Service, caller: &Caller, request: &HttpRequest) -> Result<HttpResponse, Failure> {
    let found = service.switches(caller).await?;
    let (switches, now) = (found.items, Timestamp::now());
    let t = Texts::of(request);
    let is_admin = caller.requires(Role::Admin).is_ok();
    let overview = match found.stale_since {
        Some(_) => PlacementOverview::default(),
        None => service.placement_overview(caller).await?,
    };
    let mut placements = placement::by_switch(t, &overview, now);
    let frame = Frame::new(request, "switches").with_age(found.stale_since, now);
    let page = SwitchesPage {
        all_paused: switches.iter().any(|switch| switch.all_paused),
        cards: switches
            .into_iter()
            .map(|switch| {
                let placement = placements.remove(&switch.name);
                Card::new(t, switch, placement, now)
            })
            .collect(),
        may_pause: is_admin,
        moves: overview.moves,
        frame,
    };
    Ok(show(StatusCode::OK, &page))
}

/// Stops all changes of a switch, or of all.
#[post("/switches/pause")]
pub(super) async fn pause(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    chosen: web::Form<Chosen>,
) -> HttpResponse {
    let paused = service.pause(&caller, chosen.name(), Timestamp::now()).await;
    page_of(&request, paused.map(|()| back()).map_err(Failure::from))
}

/// Lets changes happen again.
#[post("/switches/resume")]
pub(super) async fn resume(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    chosen: web::Form<Chosen>,
) -> HttpResponse {
    let resumed = service.resume(&caller, chosen.name()).await;
    page_of(&request, resumed.map(|_| back()).map_err(Failure::from))
}

fn back() -> HttpResponse {
    see_other("/switches").finish()
}

impl Card {
    fn new(t: Texts, switch: SwitchSummary, placement: Option<Placement>, now: Timestamp) -> Self {
        let name = switch.name.as_str();
        let in_language = |text: &Message| text.in_language(t.0).to_owned();
        let (state, state_label) = match (switch.connected, switch.watched) {
            (true, true) => ("up", t.get("switch-connected")),
            // Nobody says what it is by now.
            (true, false) => ("unknown", t.get("switch-not-watched")),
            (false, _) => ("down", t.get("switch-not-connected")),
        };
        let moment = |text: &str| {
            let at: Timestamp = text.parse().ok()?;
            Some(Moment {
                ago: words::ago(t, at, now),
                exact: words::exact(at),
            })
        };
        let paused = switch.paused_since.as_deref().and_then(moment).map(|since| since.ago);
        Self {
            state,
            state_label: state_label.into_owned(),
            reason: switch.reason.as_ref().map_or_else(String::new, in_language),
            since: moment(&switch.since),
            last_seen: moment(&switch.last_seen),
            wants_leader: switch.leader.is_none() && state == "up" && switch.mode.as_deref() == Some("apply"),
            mode: t.get(mode(switch.mode.as_deref())).into_owned(),
            paused: paused.or_else(|| switch.paused.then(String::new)),
            is_paused: switch.paused,
            all_paused: switch.all_paused,
            held: switch.held.as_ref().map(in_language),
            drain: with_query("/switches/drain", &[("switch", name)]),
            plan: with_query("/plan", &[("switch", name)]),
            history: with_query("/history", &[("switch", name)]),
            removals_left: switch.removals_left,
            conflicts: switch.conflicts.iter().map(|note| in_language(&note.text)).collect(),
            chips: chip::states(t, &switch.state, ("switch", name)),
            placement,
            profiles: switch
                .profiles
                .iter()
                .map(|(profile, count)| Chip {
                    word: "",
                    label: profile.clone(),
                    count: *count,
                    url: gateways_url(&[("switch", name), ("profile", profile)]),
                })
                .collect(),
            leader: switch.leader,
            name: switch.name,
        }
    }
}

impl Card {
    fn is_pending(&self) -> bool {
        self.placement.as_ref().is_some_and(|placement| placement.is_pending)
    }
}

fn mode(mode: Option<&str>) -> &'static str {
    match mode {
        Some("apply") => "mode-apply",
        Some("observe") => "mode-observe",
        Some(_) => "mode-off",
        None => "mode-unknown",
    }
}
