//! Names for filters and forms to offer.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::service::Service;
use super::super::{Caller, OperateError};
use super::known::Known;
use crate::gateway::Rules;

/// Profiles, carriers and tags that a form offers at most. With more, people search.
const MOST_OFFERS: usize = 500;

/// By name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Those that the caller sees.
    pub domains: Vec<String>,
    /// Those that Redis or the settings know.
    pub switches: Vec<String>,
    /// Set if Redis can't be read: since when these are the last known ones.
    pub stale_since: Option<Timestamp>,
}

/// What the form of a gateway offers while somebody types. Other texts may be right as well.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Offers {
    pub names: Choices,
    /// The profile of gateways that name none.
    pub default_profile: String,
    /// Those with a template, or if none are known, those of gateways that run or that the caller sees.
    pub profiles: Vec<String>,
    /// Of gateways that the caller sees.
    pub carriers: Vec<String>,
    pub tags: Vec<String>,
}

impl Service {
    /// The names alone. [`Service::domains`] and [`Service::switches`] count all gateways.
    ///
    /// # Errors
    /// Redis can't be read, and no gateways are known.
    pub async fn choices(&self, caller: &Caller) -> Result<Choices, OperateError> {
        self.catch_up().await?;
        let known = self.listing().read();
        let domains = known.current().into_iter().flat_map(|current| current.domains.keys());
        let domains = domains.map(|domain| domain.text()).filter(|domain| caller.sees(domain));
        let domains: BTreeSet<_> = domains.map(ToString::to_string).collect();
        let configured = self.settings.switches.iter().map(|switch| switch.name.clone());
        let seen = known.fleet.switches().map(|(name, _)| name.to_string());
        let switches: BTreeSet<_> = configured.chain(seen).collect();
        Ok(Choices {
            domains: domains.into_iter().collect(),
            switches: switches.into_iter().collect(),
            stale_since: known.stale_since(),
        })
    }

    /// Also what other gateways have. This looks at every gateway, so lists use [`Service::choices`].
    ///
    /// # Errors
    /// Redis can't be read, and no gateways are known.
    pub async fn offers(&self, caller: &Caller) -> Result<Offers, OperateError> {
        let names = self.choices(caller).await?;
        let (listing, rules, caller) = (self.listing().clone(), self.catalog.rules(), caller.clone());
        let looking = tokio::task::spawn_blocking(move || offers(names, &listing.read(), &rules, &caller));
        looking.await.map_err(|_| OperateError::Interrupted)
    }
}

fn offers(names: Choices, known: &Known, rules: &Rules, caller: &Caller) -> Offers {
    let (mut profiles, mut carriers, mut tags) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let items = known.index.items().values();
    for item in items.filter(|item| caller.sees_in(item.domain.as_deref())) {
        profiles.extend(item.text.profile.as_deref());
        carriers.extend(item.text.carrier.as_deref());
        tags.extend(item.text.tags.iter().map(String::as_str));
    }
    let rows = known
        .fleet
        .switches()
        .flat_map(|(_, of_switch)| of_switch.rows.values());
    profiles.extend(rows.filter_map(|row| row.profile.as_deref()));
    if !rules.profiles.is_empty() {
        // FreeSWITCH gets no others.
        profiles = rules.profiles.keys().map(|profile| profile.as_str()).collect();
    }
    let first = |all: BTreeSet<&str>| all.into_iter().take(MOST_OFFERS).map(str::to_owned).collect();
    Offers {
        names,
        default_profile: rules.default_profile.to_string(),
        profiles: first(profiles),
        carriers: first(carriers),
        tags: first(tags),
    }
}
