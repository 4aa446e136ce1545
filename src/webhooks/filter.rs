//! Which entries a webhook is told.

use crate::history::RawEntry;
use crate::settings::{WebhookEvent, WebhookSettings};

#[derive(Debug)]
pub(super) struct Filter {
    events: Vec<WebhookEvent>,
    /// Empty: all.
    domains: Vec<String>,
}

impl Filter {
    pub(super) fn new(settings: &WebhookSettings) -> Self {
        Self {
            events: settings.events.clone(),
            domains: settings.domains.clone(),
        }
    }

    /// With `domains`, entries about no domain are not for this receiver: a hold, for example, is
    /// about the gateways of everybody.
    pub(super) fn selects(&self, entry: &RawEntry) -> bool {
        let is_event = |kind| self.events.iter().any(|event| event.as_str() == kind);
        let is_domain = |domain| self.domains.iter().any(|wanted| wanted == domain);
        entry.text("kind").is_some_and(is_event)
            && (self.domains.is_empty() || entry.text("domain").is_some_and(is_domain))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::{Flags, Settings, Sources};

    fn filter(webhook: &str) -> Filter {
        let variable = (
            "TRUNKD_WEBHOOK".into(),
            format!("[{{url = 'http://h', {webhook}}}]").into(),
        );
        let sources = Sources {
            environment: vec![variable],
            ..Sources::default()
        };
        let settings = Settings::load_from(&sources, Flags::new()).unwrap();
        Filter::new(&settings.webhooks[0])
    }

    fn entry(json: &serde_json::Value) -> RawEntry {
        RawEntry {
            id: "1-0".to_owned(),
            json: json.as_object().cloned(),
        }
    }

    #[test]
    fn an_entry_is_selected_by_its_kind() {
        let filter = filter("events = ['outage', 'switch_lost']");
        for (kind, selected) in [("outage", true), ("switch_lost", true), ("edit", false), ("new", false)] {
            assert_eq!(filter.selects(&entry(&json!({ "kind": kind }))), selected, "{kind}");
        }
        assert!(!filter.selects(&entry(&json!({"kind": 7}))));
        assert!(!filter.selects(&entry(&json!([]))));
    }

    #[test]
    fn with_domains_only_entries_about_these_are_selected() {
        let filter = filter("domains = ['acme']");
        let of = |domain: &str| filter.selects(&entry(&json!({"kind": "outage", "domain": domain})));
        assert!(of("acme") && !of("other"));
        assert!(!filter.selects(&entry(&json!({"kind": "hold", "switch": "fs1"}))));
    }
}
