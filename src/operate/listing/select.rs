//! Filters, counts, sorts, and cuts out a page.

use std::cmp::Ordering;

use memchr::memmem::Finder;

use super::counts::Counts;
use super::index::Index;
use super::item::{Item, OnSwitch, profile};
use super::query::{Cursor, Direction, ListQuery, QueryError, Sort, SortKey, StateWord, sort_key};

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
    default_profile: &'a str,
}

/// `sees` says whether the caller may see a domain; `None` is what no domain has.
pub(super) fn select(
    index: &Index,
    query: &ListQuery,
    default_profile: &str,
    sees: impl Fn(Option<&str>) -> bool,
) -> Result<Selected, QueryError> {
    let (selected, counts) = matching(index, query, default_profile, sees)?;
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
    default_profile: &str,
    sees: impl Fn(Option<&str>) -> bool,
) -> Result<(Vec<&'a Item>, Counts), QueryError> {
    let filter = Filter::new(query, default_profile)?;
    let mut counts = Counts::default();
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
        }
        if has_state {
            counts.add_validity(item.validity);
        }
        if has_state && has_validity {
            selected.push(item);
        }
    }
    Ok((selected, counts))
}

/// What comes after the cursor, and where the next page begins.
fn page<'a>(selected: Vec<&'a Item>, query: &ListQuery) -> (Vec<&'a Item>, Option<Cursor>) {
    let sort = query.sort;
    let order = |a: &SortedItem<'_>, b: &SortedItem<'_>| compare(a.place(), b.place(), query.direction);
    let mut sorted: Vec<SortedItem<'a>> = selected
        .into_iter()
        .map(|item| SortedItem {
            key: sort_key(item, sort),
            item,
        })
        .collect();
    if let Some(Cursor(key, name, domain)) = &query.after {
        let last = (key, name.as_str(), domain.as_deref());
        sorted.retain(|item| compare(item.place(), last, query.direction) == Ordering::Greater);
    }
    let is_more = sorted.len() > query.limit;
    if is_more && !(sort == Sort::Name && query.direction == Direction::Ascending) {
        // Only the page itself is sorted.
        sorted.select_nth_unstable_by(query.limit, order);
    }
    sorted.truncate(query.limit);
    sorted.sort_by(order);
    let items: Vec<_> = sorted.iter().map(|sorted| sorted.item).collect();
    let next = items.last().filter(|_| is_more).map(|last| Cursor::of(last, sort));
    (items, next)
}

struct SortedItem<'a> {
    key: SortKey,
    item: &'a Item,
}

type Place<'a> = (&'a SortKey, &'a str, Option<&'a str>);

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
    fn new(query: &'a ListQuery, default_profile: &'a str) -> Result<Self, QueryError> {
        let words = query.search.as_deref().unwrap_or_default().split_whitespace();
        let words = words.map(|word| Finder::new(&word.to_lowercase()).into_owned());
        let states = query.states.iter().map(|word| StateWord::parse(word));
        Ok(Self {
            query,
            words: words.collect(),
            states: states.collect::<Result<_, _>>()?,
            default_profile,
        })
    }

    /// Everything but state, validity and switch.
    fn selects(&self, item: &Item) -> bool {
        let query = self.query;
        let is =
            |wanted: &Option<String>, value: Option<&str>| wanted.as_deref().is_none_or(|wanted| value == Some(wanted));
        is(&query.domain, item.domain.as_deref())
            && is(&query.carrier, item.text.carrier.as_deref())
            && query.profile.as_deref().is_none_or(|wanted| {
                let served = item.served.as_ref().map(|entry| &entry.gateway);
                profile(&item.text, served, self.default_profile) == wanted
            })
            && query.tag.as_ref().is_none_or(|tag| item.text.tags.contains(tag))
            && self.words.iter().all(|word| item.text.contains(word))
    }

    fn has_state(&self, item: &Item, on: Option<&OnSwitch>) -> bool {
        self.states.is_empty() || self.states.iter().any(|state| state.selects(item, on))
    }
}

impl PartialEq for OnSwitch {
    fn eq(&self, other: &Self) -> bool {
        self.switch == other.switch
    }
}
