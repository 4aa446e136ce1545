use std::sync::Arc;

use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;

use super::super::super::gateways::Validity;
use super::super::item::{ListState, Texts};
use super::*;

/// Few values for many gateways, so that most are equal.
fn items() -> impl Strategy<Value = Vec<Item>> {
    let key = ("[ab][0-9]{1,2}", option::of("[ab]"));
    let values = (option::of("c[0-3]"), 0..ListState::ALL.len());
    let item = |((name, domain), (carrier, state)): ((String, Option<String>), (Option<String>, usize))| {
        let mut text = Texts::default();
        text.carrier = carrier.map(Arc::from);
        let mut item = Item::new(&name.into(), domain.map(Arc::from), text);
        item.state = ListState::ALL[state];
        item
    };
    // By name and domain, as in the index.
    btree_map(key, values, 0..60).prop_map(move |all| all.into_iter().map(item).collect())
}

proptest! {
    #[test]
    fn pages_one_after_the_other_are_the_sorted_list(
        items in items(),
        sort in prop::sample::select(vec![Sort::Name, Sort::Domain, Sort::State, Sort::Carrier]),
        is_descending in any::<bool>(),
        limit in 1..9usize,
    ) {
        let direction = if is_descending { Direction::Descending } else { Direction::Ascending };
        let mut query = ListQuery { sort, direction, limit, ..ListQuery::default() };
        let (mut pages, mut paged) = (0, Vec::new());
        loop {
            let (page, next) = page(items.iter().collect(), &query);
            prop_assert!(page.len() == limit || next.is_none());
            paged.extend(page.into_iter().map(|item| (item.name.clone(), item.domain.clone())));
            pages += 1;
            let Some(next) = next else { break };
            query.after = Some(Cursor::parse(&next.to_text()).unwrap());
        }
        let mut sorted: Vec<_> = items.iter().map(|item| SortedItem { key: sort_key(item, sort), item }).collect();
        sorted.sort_by(|a, b| compare(a.place(), b.place(), direction));
        let sorted: Vec<_> = sorted.iter().map(|s| (s.item.name.clone(), s.item.domain.clone())).collect();
        prop_assert_eq!(paged, sorted);
        prop_assert_eq!(pages, items.len().div_ceil(limit).max(1));
    }
}

#[test]
fn counts_have_the_words_of_the_states_and_validities_that_there_are() {
    let mut tally = Tally::default();
    for state in [ListState::Up, ListState::Down, ListState::Up] {
        tally.add_state(state);
    }
    for validity in Validity::ALL.into_iter().map(Some).chain([None, None]) {
        tally.add_validity(validity);
    }
    let counts = tally.counts();
    assert_eq!(counts.state, [("down", 1), ("up", 2)].into());
    let each = Validity::ALL.map(|validity| (validity.as_str(), 1));
    assert_eq!(counts.validity, each.into_iter().chain([("not_ours", 2)]).collect());
}
