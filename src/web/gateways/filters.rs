//! Filters, chips and sortable columns: links and fields that change the page's address.

use crate::operate::listing::{Choices, Counts, ListState};
use crate::portal::ListParams;
use crate::web::texts::Texts;
use crate::web::words;

/// A state with its count. Following it shows those alone, or all again.
pub(super) struct Chip {
    pub(super) word: &'static str,
    pub(super) label: String,
    pub(super) count: usize,
    pub(super) is_on: bool,
    pub(super) url: String,
}

/// A column of the table.
pub(super) struct Column {
    pub(super) label: String,
    /// `None`: it can't be sorted by.
    pub(super) url: Option<String>,
    /// As `aria-sort` says it.
    pub(super) order: Option<&'static str>,
    pub(super) is_number: bool,
}

/// An order of the list.
pub(super) struct Order {
    /// As in the address.
    pub(super) value: String,
    pub(super) label: String,
    pub(super) is_chosen: bool,
}

/// A choice among known values.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: String,
    pub(super) value: String,
    pub(super) options: Vec<String>,
}

/// The address of the list with these filters.
pub(super) fn url(params: &ListParams) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs(params) {
        query.append_pair(name, value);
    }
    if let Some(after) = &params.after {
        query.append_pair("after", after);
    }
    with_query(&query.finish())
}

/// The filters alone, as in an address.
pub(super) fn filter(params: &ListParams) -> String {
    let filters = pairs(params).into_iter().filter(|(name, _)| *name != "sort");
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(filters).finish()
}

/// The list with filters from [`filter`].
pub(super) fn with_query(query: &str) -> String {
    match query.is_empty() {
        true => "/gateways".to_owned(),
        false => format!("/gateways?{query}"),
    }
}

/// The filters and the order, without the place.
fn pairs(params: &ListParams) -> Vec<(&'static str, &str)> {
    let all = [
        ("q", &params.q),
        ("domain", &params.domain),
        ("state", &params.state),
        ("switch", &params.switch),
        ("profile", &params.profile),
        ("carrier", &params.carrier),
        ("tag", &params.tag),
        ("validity", &params.validity),
        ("sort", &params.sort),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect()
}

pub(super) fn is_filtered(params: &ListParams) -> bool {
    pairs(params).iter().any(|(name, _)| *name != "sort")
}

/// What the form must keep although it shows no field for it.
pub(super) fn hidden(params: &ListParams) -> Vec<(&'static str, String)> {
    let shown = ["q", "domain", "switch", "sort"];
    let kept = pairs(params).into_iter().filter(|(name, _)| !shown.contains(name));
    kept.map(|(name, value)| (name, value.to_owned())).collect()
}

pub(super) fn chips(t: Texts, params: &ListParams, counts: &Counts) -> Vec<Chip> {
    let chosen: Vec<&str> = params.state.iter().flat_map(|states| states.split(',')).collect();
    let chip = |(word, label, count): (&'static str, &str, usize)| {
        let is_on = chosen.contains(&word);
        Chip {
            word,
            label: t.get(label).into_owned(),
            count,
            is_on,
            url: url(&ListParams {
                state: (!is_on).then(|| word.to_owned()),
                after: None,
                ..params.clone()
            }),
        }
    };
    let states = ListState::ALL.into_iter().map(|state| {
        let count = counts.state.get(state.as_str()).copied();
        (state.as_str(), words::state(state), count.unwrap_or_default())
    });
    let all = states.chain([("parked", "state-parked", counts.parked)]).map(chip);
    all.filter(|chip| chip.count > 0 || chip.is_on).collect()
}

/// The columns: the text's id, the word to sort by, and whether it is a number.
const COLUMNS: [(&str, Option<&str>, bool); 9] = [
    ("column-name", Some(DEFAULT_SORT), false),
    ("column-domain", Some("domain"), false),
    ("column-carrier", Some("carrier"), false),
    ("column-profile", Some("profile"), false),
    ("column-state", Some("state"), false),
    ("column-ping", Some("ping_ms"), true),
    ("column-since", Some("since"), false),
    ("column-switches", None, true),
    ("column-calls", None, true),
];
const DEFAULT_SORT: &str = "name";

pub(super) fn columns(t: Texts, params: &ListParams) -> Vec<Column> {
    let now = params.sort.as_deref().unwrap_or(DEFAULT_SORT);
    let column = |(id, sort, is_number): (&str, Option<&str>, bool)| Column {
        label: t.get(id).into_owned(),
        order: sort.and_then(|sort| match now.strip_prefix('-') {
            Some(descending) if descending == sort => Some("descending"),
            None if now == sort => Some("ascending"),
            _ => None,
        }),
        url: sort.map(|sort| {
            let turned = if now == sort {
                format!("-{sort}")
            } else {
                sort.to_owned()
            };
            url(&ListParams {
                sort: Some(turned),
                after: None,
                ..params.clone()
            })
        }),
        is_number,
    };
    COLUMNS.map(column).into()
}

/// The same orders for narrow screens, which have no heads of columns.
pub(super) fn orders(t: Texts, params: &ListParams) -> Vec<Order> {
    let now = params.sort.as_deref().unwrap_or(DEFAULT_SORT);
    let sorts = COLUMNS.into_iter().filter_map(|(id, sort, _)| Some((id, sort?)));
    let orders = sorts.flat_map(|(id, sort)| {
        let label = t.get(id).into_owned();
        let down = t.with("sort-down", &label).into_owned();
        [(sort.to_owned(), label), (format!("-{sort}"), down)]
    });
    let order = |(value, label): (String, String)| Order {
        is_chosen: value == now,
        value,
        label,
    };
    orders.map(order).collect()
}

/// A field for each thing that there is more than one of.
pub(super) fn fields(t: Texts, params: &ListParams, choices: &Choices) -> Vec<Field> {
    let field = |name: &'static str, id: &str, value: &Option<String>, options: &[String]| Field {
        name,
        label: t.get(id).into_owned(),
        value: value.clone().unwrap_or_default(),
        options: options.to_vec(),
    };
    let all = [
        field("domain", "column-domain", &params.domain, &choices.domains),
        field("switch", "filter-switch", &params.switch, &choices.switches),
    ];
    all.into_iter()
        .filter(|field| field.options.len() > 1 || !field.value.is_empty())
        .collect()
}
