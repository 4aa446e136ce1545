//! Carriers as data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::by_word::ByWord;
use super::super::calls::CallStats;

/// Carriers, as the API answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Carriers {
    #[serde(flatten)]
    pub list: CarrierList,
    /// Set if Redis can't be read: since when this is the last known state.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub stale_since: Option<Timestamp>,
}

/// Carriers: those that are out first, then those of the settings, then the largest.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct CarrierList {
    pub items: Vec<CarrierStatus>,
    /// The sum of all carriers that are not in `items`, if there are any.
    pub others: Option<CarrierStatus>,
    /// How many carriers there are.
    pub total: usize,
}

/// What happens at a carrier.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct CarrierStatus {
    /// The `name` of a `[[carrier]]`, what gateways have in their key `carrier`, or their host.
    pub name: String,
    /// Those that trunkd serves.
    pub gateways: usize,
    /// Gateways by the worst of their states: `up`, `down`, `missing`, `trying`, `unknown`, `idle`.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub state: ByWord,
    /// Gateways that are parked on a switch. They are down, too.
    pub parked: usize,
    /// Gateways that wait for the carrier's pace.
    pub waiting: usize,
    /// Since when most of its gateways on a switch fail together. `null` unless it is out.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub out_since: Option<Timestamp>,
    pub registers: RegisterRate,
    /// Registrations that were refused within the last hour, by SIP status code.
    pub refused: BTreeMap<String, u64>,
    /// Calls that ended. `null` unless `[calls] enabled = true`.
    pub call_stats: Option<CallStats>,
    /// Those that have gateways of it, by name.
    pub switches: Vec<CarrierOnSwitch>,
}

/// How many REGISTERs a carrier gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct RegisterRate {
    /// A second, sent within the last minute by all switches.
    pub per_second: f64,
    /// `registers_per_second` of its `[[carrier]]`. It limits those that trunkd causes.
    pub limit_per_second: Option<u32>,
    /// `registers_in_flight` of its `[[carrier]]`.
    pub limit_in_flight: Option<u32>,
}

/// A carrier on one switch.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CarrierOnSwitch {
    pub switch: String,
    pub gateways: usize,
    /// Gateways by their state there.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub state: ByWord,
    pub parked: usize,
    pub waiting: usize,
    /// Set while most of its gateways there fail together.
    pub out: Option<OutOnSwitch>,
    pub registers_per_second: f64,
    pub refused: BTreeMap<String, u64>,
}

/// A carrier that is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct OutOnSwitch {
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// How many fail; `null` if the caller sees only some domains, as is `of`.
    pub failing: Option<usize>,
    /// How many register with it.
    pub of: Option<usize>,
}

impl CarrierList {
    /// All of it, the sum of the others last.
    pub fn all(&self) -> impl Iterator<Item = &CarrierStatus> {
        self.items.iter().chain(&self.others)
    }
}

impl CarrierStatus {
    /// Whether something is wrong, or waits.
    pub fn needs_attention(&self) -> bool {
        let bad = ["down", "missing"].iter().any(|state| self.state.contains_key(state));
        bad || self.parked > 0 || self.waiting > 0 || self.out_since.is_some()
    }

    /// Since when, and on which switch first, it is out.
    pub fn outs(&self) -> impl Iterator<Item = (&str, OutOnSwitch)> {
        let switches = self.switches.iter();
        switches.filter_map(|on| Some((&*on.switch, on.out?)))
    }
}
