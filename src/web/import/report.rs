//! What an import would do, or has done, as a page shows it. Everything has a bound: a file may have a hundred
//! thousand gateways, and a gateway as many variables.

use std::collections::HashSet;

use super::row::{List, Row, Said};
use crate::import::{Imported, Verdict};
use crate::operate::foreign::ImportAnswer;
use crate::operate::transfer::{Difference, DomainOutcome, TransferDomain, TransferItem, TransferReport};
use crate::shown::shown;
use crate::web::address::gateways_url;
use crate::web::forecast::{Name, OnSwitch, counted, interruption};
use crate::web::texts::Texts;

/// Gateways of one list.
const MOST_GATEWAYS: usize = 50;
const MOST_DOMAINS: usize = 50;
const MOST_REMARKS: usize = 50;

/// What would happen.
pub(super) struct Review {
    /// How many gateways would be written.
    pub(super) writes: usize,
    pub(super) counts: Vec<(String, usize)>,
    pub(super) switches: Vec<OnSwitch>,
    pub(super) interruption: Option<String>,
    /// Domains with a refused gateway: nothing of them would be written.
    pub(super) refused: List<String>,
    /// What differs, refused ones first.
    pub(super) differences: List<Row>,
    /// What is left as it is stored.
    pub(super) existing: List<Row>,
    /// What the source says of gateways that are not simply taken, skipped ones first.
    pub(super) gateways: List<Row>,
    /// How many are taken as they are.
    pub(super) plain: usize,
    /// About the source as a whole.
    pub(super) remarks: List<Said>,
}

/// What has happened.
pub(super) struct Outcome {
    /// How many gateways were written.
    pub(super) written: usize,
    pub(super) domains: List<OnDomain>,
    /// Somebody else changed one of them meanwhile.
    pub(super) is_other: bool,
    pub(super) switches: Vec<OnSwitch>,
    /// Those that were added and changed.
    pub(super) names: List<Name>,
}

pub(super) struct OnDomain {
    pub(super) name: String,
    /// Its gateways.
    pub(super) url: String,
    pub(super) changes: usize,
    pub(super) outcome: String,
}

impl Review {
    pub(super) fn new(t: Texts, answer: ImportAnswer) -> Self {
        let ImportAnswer {
            import,
            existing,
            mut difference,
            ..
        } = answer;
        let skipped = import.count(Verdict::Skipped);
        let counts = counts(t, &difference, skipped, existing.len());
        let is_last = |item: &TransferItem| item.difference != Difference::Refused;
        difference.items.sort_by_key(is_last);
        difference.limit_items(MOST_GATEWAYS);
        let differences = difference.items.iter();
        // What is wrong with the values of a file of another system, its remarks say.
        let is_document = import.gateways.is_empty();
        let item = |item: &TransferItem| Row::of_item(t, item, is_document);
        let is_plain = |gateway: &&Imported| gateway.verdict == Verdict::Taken && gateway.remarks.is_empty();
        let (plain, mut told): (Vec<_>, Vec<_>) = import.gateways.iter().partition(is_plain);
        told.sort_by_key(|gateway| gateway.verdict != Verdict::Skipped);
        let refused = difference.domains.iter();
        let refused = refused.filter(|domain| domain.outcome == DomainOutcome::Refused);
        let refused: Vec<_> = refused.map(|domain| shown(&domain.domain).to_string()).collect();
        let switches = OnSwitch::all(t, &difference.plan);
        Self {
            writes: difference.changes(DomainOutcome::Ready),
            counts,
            interruption: interruption(t, &switches),
            switches,
            refused: List::new(t, refused.into_iter(), MOST_DOMAINS),
            differences: List::of_some(t, differences.map(item).collect(), difference.left_out),
            existing: List::new(t, existing.iter().map(|item| Row::of_existing(t, item)), MOST_GATEWAYS),
            plain: plain.len(),
            gateways: List::new(t, told.iter().map(|gateway| Row::of_gateway(t, gateway)), MOST_GATEWAYS),
            remarks: List::new(t, import.remarks.iter().map(|remark| Said::of(t, remark)), MOST_REMARKS),
        }
    }
}

impl Outcome {
    pub(super) fn new(t: Texts, report: &TransferReport) -> Self {
        let of = |outcome| report.domains.iter().filter(move |domain| domain.outcome == outcome);
        let written: HashSet<_> = of(DomainOutcome::Written).map(|domain| &*domain.domain).collect();
        let is_there = |item: &&TransferItem| written.contains(&*item.domain) && item.difference != Difference::Removed;
        let names: Vec<_> = report.items.iter().filter(is_there).collect();
        let names = names.iter().map(|item| Name::new(&item.domain, &item.name));
        let domains = report.domains.iter();
        let domains: Vec<_> = domains.filter(|domain| domain.outcome != DomainOutcome::Same).collect();
        Self {
            written: report.changes(DomainOutcome::Written),
            domains: List::new(t, domains.iter().map(|domain| OnDomain::new(t, domain)), MOST_DOMAINS),
            is_other: of(DomainOutcome::ChangedMeanwhile).next().is_some(),
            switches: OnSwitch::all(t, &report.plan),
            names: List::new(t, names, MOST_GATEWAYS),
        }
    }
}

impl OnDomain {
    fn new(t: Texts, domain: &TransferDomain) -> Self {
        let outcome = match domain.outcome {
            DomainOutcome::Same => "import-outcome-same",
            DomainOutcome::Refused => "import-outcome-refused",
            DomainOutcome::Written => "import-outcome-written",
            DomainOutcome::ChangedMeanwhile => "import-outcome-meanwhile",
            DomainOutcome::Ready | DomainOutcome::NotWritten => "import-outcome-not-written",
            DomainOutcome::Unknown => "import-outcome-unknown",
        };
        Self {
            name: shown(&domain.domain).to_string(),
            url: gateways_url(&[("domain", &domain.domain)]),
            changes: domain.changes,
            outcome: t.get(outcome).into_owned(),
        }
    }
}

fn counts(t: Texts, difference: &TransferReport, skipped: usize, existing: usize) -> Vec<(String, usize)> {
    let counts = &difference.counts;
    let rows = [
        ("import-count-added", counts.added),
        ("import-count-changed", counts.changed),
        ("import-count-removed", counts.removed),
        ("import-count-refused", counts.refused),
        ("import-count-same", counts.same),
        ("import-count-existing", existing),
        ("import-count-skipped", skipped),
    ];
    counted(t, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::operate::transfer::TransferCounts;

    #[test]
    fn a_domain_that_was_changed_meanwhile_is_told_and_none_of_its_gateways_is_shown_as_written() {
        let domain = |domain: &str, changes, outcome| TransferDomain {
            domain: domain.to_owned(),
            changes,
            outcome,
        };
        let item = |domain: &str, name: &str, difference| TransferItem {
            domain: domain.to_owned(),
            name: name.to_owned(),
            difference,
            changes: Vec::new(),
            findings: Vec::new(),
            at: String::new(),
        };
        let report = TransferReport {
            dry_run: false,
            counts: TransferCounts::default(),
            items: vec![
                item("acme", "theirs", Difference::Changed),
                item("globex", "new", Difference::Added),
                item("globex", "gone", Difference::Removed),
            ],
            left_out: 0,
            domains: vec![
                domain("acme", 1, DomainOutcome::ChangedMeanwhile),
                domain("globex", 2, DomainOutcome::Written),
                domain("initech", 0, DomainOutcome::Same),
            ],
            plan: Vec::new(),
        };
        let outcome = Outcome::new(Texts(Language::En), &report);
        assert!(outcome.is_other);
        assert_eq!(outcome.written, 2);
        let domains = outcome.domains.items.iter();
        let domains: Vec<_> = domains.map(|domain| (&*domain.name, &*domain.outcome)).collect();
        let left = "left alone: somebody else changed one of its gateways meanwhile";
        assert_eq!(domains, [("acme", left), ("globex", "written")]);
        let names: Vec<_> = outcome.names.items.iter().map(|name| &*name.name).collect();
        assert_eq!(names, ["new"]);
    }
}
