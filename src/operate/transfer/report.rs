//! What a transfer does, as data.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::gateways::{ProblemField, SwitchForecast};
use crate::gateway::ValueChange;

/// The most changes of one domain: they are written in one step, and others wait for Redis about a
/// second meanwhile.
pub const MAX_PER_DOMAIN: usize = 50_000;

/// What a transfer did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransferReport {
    /// Nothing was written.
    pub dry_run: bool,
    #[serde(flatten)]
    pub counts: TransferCounts,
    /// Those that are not `same`, by domain and name.
    pub items: Vec<TransferItem>,
    /// How many more there are.
    pub left_out: usize,
    /// Each domain that the list names, and how it ended.
    pub domains: Vec<TransferDomain>,
    /// What each switch does about it, and whether an operator must approve that first.
    pub plan: Vec<SwitchForecast>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct TransferCounts {
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
    pub same: usize,
    /// FreeSWITCH would refuse the value, or it can't be written.
    pub refused: usize,
}

/// One gateway.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransferItem {
    pub domain: String,
    pub name: String,
    pub difference: Difference,
    /// What differs, field by field. Of a new gateway, everything.
    pub changes: Vec<ValueChange>,
    /// What is wrong with the new value, and what may not be as intended.
    pub findings: Vec<ProblemField>,
    /// Where it is from: `carriers.yaml:12`. Empty if nobody said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    Added,
    Changed,
    Removed,
    Same,
    /// FreeSWITCH would refuse the value, or it can't be written: see the findings.
    Refused,
}

/// One domain. All of its changes are written together, or none.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransferDomain {
    pub domain: String,
    /// Gateways that are added, changed and removed.
    pub changes: usize,
    pub outcome: DomainOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DomainOutcome {
    /// It is as it shall be already.
    Same,
    /// It can be written.
    Ready,
    /// One of its gateways is refused, so nothing of it is written.
    Refused,
    Written,
    /// Somebody else changed one of its gateways meanwhile, and nothing of it was written.
    ChangedMeanwhile,
    /// Redis failed before its turn.
    NotWritten,
    /// Redis did not answer: it was written or not.
    Unknown,
}

impl TransferReport {
    /// Whether everything is as it shall be, or could be made so.
    pub fn is_clean(&self) -> bool {
        use DomainOutcome::{Ready, Same, Written};
        let is_clean = |domain: &TransferDomain| matches!(domain.outcome, Same | Ready | Written);
        self.domains.iter().all(is_clean)
    }

    /// Gateways of domains with this outcome that are added, changed and removed.
    pub fn changes(&self, outcome: DomainOutcome) -> usize {
        let domains = self.domains.iter().filter(|domain| domain.outcome == outcome);
        domains.map(|domain| domain.changes).sum()
    }

    /// Leaves at most this many items, refused ones first.
    pub fn limit_items(&mut self, most: usize) {
        if self.items.len() > most {
            self.items.sort_by_key(|item| item.difference != Difference::Refused);
            self.left_out += self.items.len() - most;
            self.items.truncate(most);
        }
    }
}

impl TransferCounts {
    pub(super) fn add(&mut self, difference: Difference) {
        *match difference {
            Difference::Added => &mut self.added,
            Difference::Changed => &mut self.changed,
            Difference::Removed => &mut self.removed,
            Difference::Same => &mut self.same,
            Difference::Refused => &mut self.refused,
        } += 1;
    }

    /// How many are not as they shall be.
    pub fn differing(&self) -> usize {
        self.added + self.changed + self.removed + self.refused
    }
}
