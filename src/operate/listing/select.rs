//! Filters, counts, sorts, and cuts out a page.

use std::cmp::Ordering;

use memchr::memmem::Finder;

use super::super::status::SwitchNotes;
use super::counts::{Counts, Tally};
use super::index::Index;
use super::item::{Item, OnSwitch, profile};
use super::query::{Cursor, Direction, ListQuery, QueryError, Sort, SortKey, StateWord, is_parked, sort_key};

/// A page of items.
pub(super) struct Selected {
    pub(super) items: Vec<Item>,
    pub(super) total: usize,
    pub(super) counts: Counts,
    pub(super) next: Option<Cursor>,
}

/// Compiled once for all items.
struct Filter<'a> {
    query: &'a ListQuery,
    words: Vec<Finder<'static>>,
    states: Vec<StateWord>,
    basis: Basis<'a>,
}

/// What else items are compared with.
#[derive(Clone, Copy)]
pub(super) struct Basis<'a> {
    /// The profile of gateways that name none.
    pub(super) default_profile: &'a str,
    pub(super) notes: &'a SwitchNotes,
}

/// `sees` says whether the caller may see a domain; `None` is what no domain has.
pub(super) fn select(
    index: &Index,
    query: &ListQuery,
    basis: Basis<'_>,
    sees: impl Fn(Option<&str>) -> bool,
) -> Result<Selected, QueryError> {
    let (selected, counts) = matching(index, query, basis, sees)?;
    let total = selected.len();
    let (items, next) = page(selected, query);
    Ok(Selected {
        items: items.into_iter().cloned().collect(),
        total,
        counts,
        next,
    })
}

/// Every item that the query selects, by name, and the counts for its filter.
pub(super) fn matching<'a>(
    index: &'a Index,
    query: &ListQuery,
    basis: Basis<'_>,
    sees: impl Fn(Option<&str>) -> bool,
) -> Result<(Vec<&'a Item>, Counts), QueryError> {
    let filter = Filter::new(query, basis)?;
    let mut counts = Tally::default();
    let mut selected = Vec::new();
    for item in index.items().values() {
        if !sees(item.domain.as_deref()) {
            continue;
        }
        let on = query
            .switch
            .as_ref()
            .map(|switch| item.on.iter().find(|on| *on.switch == **switch));
        if on == Some(None) || !filter.selects(item) {
            continue;
        }
        // Chips show how many there are of each state, whichever states are chosen.
        let on = on.flatten();
        let has_state = filter.has_state(item, on);
        let has_validity = query.validity.is_empty() || item.validity.is_some_and(|of| query.validity.contains(&of));
        if has_validity {
            counts.add_state(on.map_or(item.state, |on| on.condition.into()));
            counts.add_parked(is_parked(item, on, basis.notes));
        }
        if has_state {
            counts.add_validity(item.validity);
        }
        if has_state && has_validity {
            selected.push(item);
        }
    }
    Ok((selected, counts.counts()))
}

/// What comes after the cursor, and where the next page begins. The selected items come by name.
fn page<'a>(mut selected: Vec<&'a Item>, query: &ListQuery) -> (Vec<&'a Item>, Option<Cursor>) {
    let mut items = if query.sort == Sort::Name && query.direction == Direction::Ascending {
        if let Some(Cursor(_, name, domain)) = &query.after {
            let last = (name.as_str(), domain.as_deref());
            selected.drain(..selected.partition_point(|item| (&*item.name, item.domain.as_deref()) <= last));
        }
        selected.truncate(query.limit + 1);
        selected
    } else {
        first(&selected, query)
    };
    let is_more = items.len() > query.limit;
    items.truncate(query.limit);
    let next = items
        .last()
        .filter(|_| is_more)
        .map(|last| Cursor::of(last, query.sort));
    (items, next)
}

/// The first after the cursor in the order of the query: a page and one more, if there are so many. Of all
/// others none is kept for long.
fn first<'a>(selected: &[&'a Item], query: &ListQuery) -> Vec<&'a Item> {
    let order = |a: &SortedItem<'_>, b: &SortedItem<'_>| compare(a.place(), b.place(), query.direction);
    let room = 2 * (query.limit + 1);
    let mut kept: Vec<SortedItem<'a>> = Vec::with_capacity(room);
    // How many are the first of those that were looked at. What comes after their last doesn't matter.
    let mut first = 0;
    for item in selected {
        let item = SortedItem {
            key: sort_key(item, query.sort),
            item,
        };
        if let Some(Cursor(key, name, domain)) = &query.after {
            let last = (key, name.as_str(), domain.as_deref());
            if compare(item.place(), last, query.direction).is_le() {
                continue;
            }
        }
        if first > 0 && order(&item, &kept[first - 1]).is_ge() {
            continue;
        }
        kept.push(item);
        if kept.len() == room {
            first = query.limit + 1;
            kept.select_nth_unstable_by(query.limit, order);
            kept.truncate(first);
        }
    }
    kept.sort_by(order);
    kept.truncate(query.limit + 1);
    kept.into_iter().map(|kept| kept.item).collect()
}

struct SortedItem<'a> {
    key: SortKey<'a>,
    item: &'a Item,
}

type Place<'a> = (&'a SortKey<'a>, &'a str, Option<&'a str>);

impl SortedItem<'_> {
    fn place(&self) -> Place<'_> {
        (&self.key, &self.item.name, self.item.domain.as_deref())
    }
}

/// What has no value comes last in either direction.
fn compare(a: Place<'_>, b: Place<'_>, direction: Direction) -> Ordering {
    let values = match (a.0, b.0) {
        (SortKey::Nothing(()), _) | (_, SortKey::Nothing(())) => a.0.cmp(b.0),
        _ if direction == Direction::Descending => b.0.cmp(a.0),
        _ => a.0.cmp(b.0),
    };
    let names = || match direction {
        Direction::Descending if *a.0 == SortKey::Nothing(()) => (b.1, b.2).cmp(&(a.1, a.2)),
        _ => (a.1, a.2).cmp(&(b.1, b.2)),
    };
    values.then_with(names)
}

impl<'a> Filter<'a> {
    fn new(query: &'a ListQuery, basis: Basis<'a>) -> Result<Self, QueryError> {
        let words = query.search.as_deref().unwrap_or_default().split_whitespace();
        let words = words.map(|word| Finder::new(&word.to_lowercase()).into_owned());
        let states = query.states.iter().map(|word| StateWord::parse(word));
        Ok(Self {
            query,
            words: words.collect(),
            states: states.collect::<Result<_, _>>()?,
            basis,
        })
    }

    /// Everything but state, validity and switch.
    fn selects(&self, item: &Item) -> bool {
        let query = self.query;
        let is =
            |wanted: &Option<String>, value: Option<&str>| wanted.as_deref().is_none_or(|wanted| value == Some(wanted));
        is(&query.domain, item.domain.as_deref())
            && query.carrier.as_deref().is_none_or(|wanted| {
                let named = [item.carrier.as_deref(), item.text.carrier.as_deref()];
                named.contains(&Some(wanted))
            })
            && query.profile.as_deref().is_none_or(|wanted| {
                let served = item.served.as_ref().map(|entry| &entry.gateway);
                profile(&item.text, served, self.basis.default_profile) == wanted
            })
            && query.tag.as_ref().is_none_or(|tag| item.text.tags.contains(tag))
            && self.words.iter().all(|word| item.text.contains(word))
    }

    fn has_state(&self, item: &Item, on: Option<&OnSwitch>) -> bool {
        let notes = self.basis.notes;
        self.states.is_empty() || self.states.iter().any(|state| state.selects(item, on, notes))
    }
}

impl PartialEq for OnSwitch {
    fn eq(&self, other: &Self) -> bool {
        self.switch == other.switch
    }
}

#[cfg(test)]
mod tests;
