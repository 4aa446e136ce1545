//! The page with all carriers: their gateways, REGISTERs, refusals and calls.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use jiff::Timestamp;

use super::address::gateways_url;
use super::chip::{self, Chip};
use super::failure::{Failure, page as page_of};
use super::page::{Frame, show};
use super::texts::Texts;
use super::words;
use crate::operate::calls::{CallFigures, CallTally};
use crate::operate::carriers::{CarrierQuery, CarrierStatus, OutOnSwitch};
use crate::operate::{ByWord, Caller, Service};
use crate::portal::SignedIn;

const NONE: &str = "–";

#[derive(Template)]
#[template(path = "carriers.html")]
struct CarriersPage {
    frame: Frame,
    rows: Vec<Row>,
    /// Calls are counted.
    has_calls: bool,
    /// Something starts as soon as there is room for it, and no event tells.
    is_pending: bool,
}

/// One carrier, or the sum of those that have no row.
struct Row {
    name: String,
    /// The list of its gateways; empty for a sum.
    url: String,
    gateways: String,
    outs: Vec<String>,
    chips: Vec<Chip>,
    waiting: Option<String>,
    rate: String,
    limits: Vec<String>,
    refused: Vec<Refused>,
    calls: Vec<String>,
    /// Where it has gateways, if on several.
    switches: Vec<(String, String)>,
}

struct Refused {
    code: String,
    count: u64,
    explanation: String,
}

/// The page.
#[get("/carriers")]
pub(super) async fn list(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
) -> HttpResponse {
    let page = make(&service, &caller, &request).await;
    page_of(&request, page)
}

async fn make(service: &Service, caller: &Caller, request: &HttpRequest) -> Result<HttpResponse, Failure> {
    let found = service.carriers(caller, &CarrierQuery::default()).await?;
    let now = Timestamp::now();
    let frame = Frame::new(request, "carriers").with_age(found.stale_since, now);
    let carriers = &found.list;
    let mut rows: Vec<_> = carriers
        .items
        .iter()
        .map(|carrier| Row::new(frame.t, carrier, now))
        .collect();
    rows.extend(carriers.others.as_ref().map(|others| {
        Row {
            name: frame
                .t
                .count("carriers-others", carriers.total - carriers.items.len())
                .into_owned(),
            url: String::new(),
            ..Row::new(frame.t, others, now)
        }
    }));
    let page = CarriersPage {
        has_calls: carriers.all().any(|carrier| carrier.call_stats.is_some()),
        is_pending: carriers.all().any(|carrier| carrier.waiting > 0),
        rows,
        frame,
    };
    Ok(show(StatusCode::OK, &page))
}

impl Row {
    fn new(t: Texts, carrier: &CarrierStatus, now: Timestamp) -> Self {
        let count = |id: &str, count: usize| (count > 0).then(|| t.count(id, count).into_owned());
        let (registers, several) = (carrier.registers, carrier.switches.len() > 1);
        let limits = [
            ("registers-limit", registers.limit_per_second),
            ("registers-in-flight", registers.limit_in_flight),
        ];
        let limits = limits.into_iter();
        Self {
            url: gateways_url(&[("carrier", &carrier.name)]),
            gateways: t.count("total", carrier.gateways).into_owned(),
            outs: carrier
                .outs()
                .map(|(switch, out)| is_out(t, switch, out, now))
                .collect(),
            chips: chips(t, carrier),
            waiting: count("carrier-waiting", carrier.waiting),
            rate: registers.per_second.to_string(),
            limits: limits
                .filter_map(|(id, limit)| Some(t.with(id, &limit?.to_string()).into_owned()))
                .collect(),
            refused: carrier
                .refused
                .iter()
                .map(|(code, count)| Refused {
                    code: code.clone(),
                    count: *count,
                    explanation: words::explanation(t, code).unwrap_or_default(),
                })
                .collect(),
            calls: carrier
                .call_stats
                .as_ref()
                .map_or_else(Vec::new, |stats| calls(t, &stats.last_1h)),
            switches: carrier
                .switches
                .iter()
                .filter(|_| several)
                .map(|on| (on.switch.clone(), states(t, &on.state)))
                .collect(),
            name: carrier.name.clone(),
        }
    }
}

fn is_out(t: Texts, switch: &str, out: OutOnSwitch, now: Timestamp) -> String {
    let since = words::ago(t, out.since, now);
    match (out.failing, out.of) {
        (Some(failing), Some(of)) => t.fill(
            "carrier-out",
            &[
                ("switch", switch),
                ("since", &since),
                ("failing", &failing.to_string()),
                ("of", &of.to_string()),
            ],
        ),
        _ => t.fill("carrier-out-some", &[("switch", switch), ("since", &since)]),
    }
}

fn chips(t: Texts, carrier: &CarrierStatus) -> Vec<Chip> {
    let of_carrier = ("carrier", carrier.name.as_str());
    let mut chips = chip::states(t, &carrier.state, of_carrier);
    chips.extend((carrier.parked > 0).then(|| Chip {
        word: "parked",
        label: t.get("state-parked").into_owned(),
        count: carrier.parked,
        url: gateways_url(&[("state", "parked"), of_carrier]),
    }));
    chips
}

/// `Down 1, Up 10`.
fn states(t: Texts, states: &ByWord) -> String {
    let text = |(state, count)| format!("{} {count}", t.get(words::state(state)));
    chip::counted(states).map(text).collect::<Vec<_>>().join(", ")
}

/// Answered and failed calls from and to the carrier.
fn calls(t: Texts, figures: &CallFigures) -> Vec<String> {
    if figures.answered + figures.failed == 0 {
        return vec![NONE.to_owned()];
    }
    let line = |id: &str, tally: CallTally| {
        let (answered, failed) = (tally.answered.to_string(), tally.failed.to_string());
        t.fill(id, &[("answered", &answered), ("failed", &failed)])
    };
    vec![
        line("carrier-calls-in", figures.inbound),
        line("carrier-calls-out", figures.outbound),
    ]
}
