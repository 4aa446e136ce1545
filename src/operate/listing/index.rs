//! All gateways by name and domain, kept up to date with what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fleet::{Changed, Fleet};
use super::item::{Item, Texts, Words, validity};
use crate::carriers::Carriers;
use crate::desired::Current;
use crate::gateway::{DomainName, EntryChange, Fields, RawDomain};

/// Name, and domain; a gateway that no domain has comes first.
pub(super) type Key = (Arc<str>, Option<Arc<str>>);

/// Every gateway.
#[derive(Default)]
pub struct Index {
    items: BTreeMap<Key, Item>,
    words: Words,
    carriers: Carriers,
    /// What the items were made from.
    source: Option<Current>,
}

impl Index {
    pub(super) fn new(carriers: Carriers) -> Self {
        Self {
            carriers,
            ..Self::default()
        }
    }

    pub(in crate::operate) fn items(&self) -> &BTreeMap<Key, Item> {
        &self.items
    }

    /// What the items were made from.
    pub(super) fn source(&self) -> Option<&Current> {
        self.source.as_ref()
    }

    /// The first domain that has a gateway of this name.
    pub(super) fn domain_of(&self, name: &Arc<str>) -> Option<Arc<str>> {
        self.of_name(name).find_map(|(_, item)| item.domain.clone())
    }

    fn of_name<'a>(&'a self, name: &Arc<str>) -> impl Iterator<Item = (&'a Key, &'a Item)> {
        let (name, first) = (name.clone(), (name.clone(), None));
        self.items
            .range(first..)
            .take_while(move |((found, _), _)| *found == name)
    }

    /// Brings every item up to date.
    pub(super) fn update(&mut self, current: &Current, fleet: &Fleet, changed: &Changed) {
        let mut touched = self.read_desired(current);
        if changed.all {
            let rows = fleet.switches().flat_map(|(_, rows)| rows.rows.keys().cloned());
            touched.extend(rows);
            touched.extend(self.items.keys().map(|(name, _)| name.clone()));
        } else if !changed.switches.is_empty() {
            // A switch that is connected or not changes what is known of its gateways.
            touched.extend(self.items.keys().map(|(name, _)| name.clone()));
        }
        touched.extend(changed.rows.values().flatten().cloned());
        for name in touched {
            self.observe(&name, current, fleet);
        }
        self.source = Some(current.clone());
    }

    /// Reads the fields that changed. Returns the names whose items may say something else now.
    fn read_desired(&mut self, current: &Current) -> BTreeSet<Arc<str>> {
        let mut touched = BTreeSet::new();
        let before = self.source.take();
        let is_same = before
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(&before.desired, &current.desired));
        if is_same {
            return touched;
        }
        let nothing = Fields::default();
        let fields = |of: Option<&Current>, domain: &DomainName| match of.and_then(|of| of.domains.get(domain)) {
            Some(RawDomain::Hash(fields)) => Some(fields.clone()),
            Some(RawDomain::WrongType(_)) | None => None,
        };
        let domains = before.iter().flat_map(|before| before.domains.keys());
        let domains: BTreeSet<_> = domains.chain(current.domains.keys()).collect();
        for domain in domains {
            let (was, now) = (fields(before.as_ref(), domain), fields(Some(current), domain));
            if let (Some(was), Some(now)) = (&was, &now)
                && Arc::ptr_eq(was, now)
            {
                continue;
            }
            let (was, now) = (was.as_deref().unwrap_or(&nothing), now.as_deref().unwrap_or(&nothing));
            for change in now.changes(was) {
                let Ok(name) = std::str::from_utf8(change.name) else {
                    continue;
                };
                let name: Arc<str> = name.into();
                self.set_texts(&name, domain.text(), change.now);
                touched.insert(name);
            }
        }
        if let Some(before) = &before {
            let served = EntryChange::between(before.desired.served(), current.desired.served());
            touched.extend(served.map(|change| change.name.as_str().into()));
            let refused = before.desired.refused().diff(current.desired.refused());
            touched.extend(refused.map(|item| Arc::from(diff_name(&item))));
        }
        touched
    }

    fn set_texts(&mut self, name: &Arc<str>, domain: &Arc<str>, value: Option<&[u8]>) {
        let key = (name.clone(), Some(domain.clone()));
        let Some(value) = value else {
            self.items.remove(&key);
            return;
        };
        let text = Texts::of(name, value, &mut self.words);
        let item = self.items.entry(key);
        let item = item.or_insert_with(|| Item::new(name, Some(domain.clone()), Texts::default()));
        item.text = text;
    }

    /// Brings the items of one name up to date.
    fn observe(&mut self, name: &Arc<str>, current: &Current, fleet: &Fleet) {
        let keys: Vec<_> = self.of_name(name).map(|(key, _)| key.clone()).collect();
        let mut is_desired = false;
        for key in keys {
            let Some(item) = self.items.get_mut(&key) else { continue };
            let Some(domain) = &item.domain else { continue };
            is_desired = true;
            let (validity, served) = validity(current, domain, name, &item.text);
            let carrier = served.as_ref().and_then(|entry| self.carriers.name_of(&entry.gateway));
            item.carrier = carrier.map(|carrier| self.words.share(carrier));
            (item.validity, item.served) = (Some(validity), served);
            item.observe(fleet);
        }
        let rows = fleet.switches().filter_map(|(_, rows)| rows.rows.get(name));
        match rows.map(|row| Texts::of_row(name, row, &mut self.words)).next() {
            Some(text) if !is_desired => {
                let mut item = Item::new(name, None, text);
                item.observe(fleet);
                self.items.insert((name.clone(), None), item);
            }
            _ => {
                self.items.remove(&(name.clone(), None));
            }
        }
    }
}

fn diff_name<'a, V>(item: &imbl::ordmap::DiffItem<'a, 'a, crate::gateway::GatewayName, V>) -> &'a str {
    use imbl::ordmap::DiffItem;
    match item {
        DiffItem::Add(name, _) | DiffItem::Remove(name, _) => name.as_str(),
        DiffItem::Update { new, .. } => new.0.as_str(),
    }
}
