//! What became of each gateway, as data.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::forecast::SwitchForecast;
use super::super::model::ProblemField;
use super::draft::Drafted;

/// Gateways that an answer lists one by one.
const MAX_ITEMS: usize = 1000;

/// What one change of many gateways did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkAnswer {
    /// Nothing was written.
    pub dry_run: bool,
    #[serde(flatten)]
    pub counts: BulkCounts,
    /// Those that are not `unchanged`, first those with a problem. At most 1,000.
    pub items: Vec<BulkItem>,
    /// How many more there are.
    pub left_out: usize,
    /// What each switch does about it, and whether an operator must approve that first.
    pub plan: Vec<SwitchForecast>,
}

/// How many gateways came to which end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct BulkCounts {
    /// All that were selected or named.
    pub matched: usize,
    pub changed: usize,
    /// They are as they should be already.
    pub unchanged: usize,
    /// FreeSWITCH would refuse the new value, or the present one can't be changed.
    pub refused: usize,
    /// Somebody else wrote them meanwhile. They were left alone.
    pub changed_meanwhile: usize,
    /// There are no such gateways.
    pub missing: usize,
    /// Redis failed before their turn.
    pub not_written: usize,
    /// Redis did not answer: they are written or not.
    pub unknown: usize,
}

/// One gateway.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkItem {
    pub domain: String,
    pub name: String,
    #[serde(flatten)]
    pub outcome: BulkOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum BulkOutcome {
    /// It was changed, or would be.
    Changed {
        /// Its entry in the history; `null` in a dry run.
        history: Option<String>,
    },
    Unchanged,
    Refused {
        errors: Vec<ProblemField>,
    },
    /// Somebody else wrote it meanwhile, and that was left alone.
    ChangedMeanwhile,
    NoSuchGateway,
    /// Redis failed before its turn.
    NotWritten,
    /// Redis did not answer: it was written or not.
    Unknown,
}

impl BulkAnswer {
    /// `outcomes` are in the order of `drafts`.
    pub(super) fn new(
        dry_run: bool,
        drafts: &[Drafted],
        outcomes: Vec<BulkOutcome>,
        plan: Vec<SwitchForecast>,
    ) -> Self {
        let mut counts = BulkCounts::default();
        for outcome in &outcomes {
            counts.add(outcome);
        }
        let shown = drafts.iter().zip(outcomes).map(|(drafted, outcome)| BulkItem {
            domain: drafted.domain.to_string(),
            name: drafted.name.clone(),
            outcome,
        });
        let shown = shown.filter(|item| item.outcome != BulkOutcome::Unchanged);
        let (well, mut items): (Vec<_>, Vec<_>) =
            shown.partition(|item| matches!(item.outcome, BulkOutcome::Changed { .. }));
        items.extend(well);
        let left_out = items.len().saturating_sub(MAX_ITEMS);
        items.truncate(MAX_ITEMS);
        Self {
            dry_run,
            counts,
            items,
            left_out,
            plan,
        }
    }
}

impl BulkCounts {
    fn add(&mut self, outcome: &BulkOutcome) {
        self.matched += 1;
        *match outcome {
            BulkOutcome::Changed { .. } => &mut self.changed,
            BulkOutcome::Unchanged => &mut self.unchanged,
            BulkOutcome::Refused { .. } => &mut self.refused,
            BulkOutcome::ChangedMeanwhile => &mut self.changed_meanwhile,
            BulkOutcome::NoSuchGateway => &mut self.missing,
            BulkOutcome::NotWritten => &mut self.not_written,
            BulkOutcome::Unknown => &mut self.unknown,
        } += 1;
    }
}
