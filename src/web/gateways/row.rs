//! A gateway in the list.

use jiff::Timestamp;

use crate::gateway::GatewayName;
use crate::language::Bilingual;
use crate::operate::gateways::Validity;
use crate::operate::listing::ListedGateway;
use crate::operate::recorded;
use crate::operate::status::Gateway;
use crate::shown::escaped;
use crate::web::address::gateway_url;
use crate::web::texts::Texts;
use crate::web::words;

pub(super) struct Row {
    pub(super) name: String,
    /// Empty if no domain has it.
    pub(super) domain: String,
    /// `None` if it can't be edited here.
    pub(super) url: Option<String>,
    /// What the checkbox sends.
    pub(super) key: String,
    /// Whether it can be changed with others: it is in Redis, under a name that can be written.
    pub(super) is_choosable: bool,
    pub(super) choose: String,
    pub(super) description: String,
    pub(super) carrier: String,
    pub(super) profile: String,
    pub(super) tags: Vec<String>,
    /// The word in classes and filters: `up`, `down`, …
    pub(super) state: &'static str,
    pub(super) state_label: String,
    /// Why it is so, in FreeSWITCH's or the carrier's words, or ours.
    pub(super) reason: String,
    /// What that means.
    pub(super) explanation: String,
    /// Set unless it is plainly served.
    pub(super) validity: Option<String>,
    pub(super) ping: String,
    pub(super) since: String,
    pub(super) since_exact: String,
    /// `2/3`: on how many of its switches calls can use it. If it runs on exactly one, the name of that one.
    pub(super) switches: String,
    pub(super) calls: String,
    /// What that number is.
    pub(super) calls_exact: String,
}

impl Row {
    pub(super) fn new(t: Texts, item: ListedGateway, now: Timestamp) -> Self {
        let worst = item.switches.iter().min_by_key(|on| on.condition);
        let reason = worst.and_then(|on| reason(t, on)).unwrap_or_default();
        let since = worst.and_then(|on| on.usable_since.or(on.since));
        let ping = item.switches.iter().filter_map(|on| on.ping_ms).fold(None, worse);
        let up = item.switches.iter().filter(|on| on.usable == Some(true)).count();
        let (calls, calls_exact) = calls(t, &item);
        Self {
            url: item.domain.as_deref().map(|domain| gateway_url(domain, &item.name)),
            key: format!("{}/{}", item.domain.as_deref().unwrap_or_default(), item.name),
            is_choosable: item.domain.is_some() && GatewayName::parse(&item.name).is_ok(),
            choose: t.with("bulk-choose", &item.name).into_owned(),
            state: item.state.as_str(),
            state_label: t.get(words::state(item.state)).into_owned(),
            explanation: words::explanation(t, &reason).unwrap_or_default(),
            reason: recorded(&reason).in_language(t.0).to_owned(),
            validity: match item.validity {
                Some(Validity::Valid) => None,
                Some(validity) => Some(t.get(words::validity(validity)).into_owned()),
                None => Some(t.get("validity-not-ours").into_owned()),
            },
            ping: ping.map_or_else(String::new, |ms| format!("{ms:.0}")),
            since: since.map_or_else(String::new, |since| words::ago(t, since, now)),
            since_exact: since.map_or_else(String::new, words::exact),
            switches: match (item.switch, item.switches.len()) {
                (Some(switch), _) => switch,
                (None, 0) => String::new(),
                (None, all) => format!("{up}/{all}"),
            },
            calls,
            calls_exact,
            domain: item.domain.unwrap_or_default(),
            name: item.name,
            description: item.description.as_deref().map(escaped).unwrap_or_default(),
            carrier: item.carrier.as_deref().map(escaped).unwrap_or_default(),
            profile: item.profile,
            tags: item.tags.iter().map(|tag| escaped(tag)).collect(),
        }
    }
}

fn reason(t: Texts, gateway: &Gateway) -> Option<String> {
    if let Some(deviation) = &gateway.deviation {
        return Some(deviation.text(t.0));
    }
    words::reason(gateway)
}

fn worse(slowest: Option<f64>, ms: f64) -> Option<f64> {
    Some(slowest.map_or(ms, |slowest| slowest.max(ms)))
}

/// The calls of the last day with their ASR if they are counted, else those since the gateway started;
/// and what the number is.
fn calls(t: Texts, item: &ListedGateway) -> (String, String) {
    if let Some(stats) = &item.call_stats {
        let day = &stats.last_24h;
        let all = day.answered + day.failed;
        let text = day
            .asr_percent
            .map_or_else(|| all.to_string(), |asr| format!("{all} · {asr} %"));
        let (answered, failed) = (day.answered.to_string(), day.failed.to_string());
        let exact = t.fill("calls-of-a-day", &[("answered", &answered), ("failed", &failed)]);
        return (text, exact);
    }
    let known: Vec<_> = item.switches.iter().filter_map(|on| on.calls).collect();
    if known.is_empty() {
        return (String::new(), String::new());
    }
    let sum: u64 = known.iter().map(|calls| calls.inbound + calls.outbound).sum();
    (sum.to_string(), t.get("calls-since-start").into_owned())
}
