//! One `<gateway>` element, read as `parse_gateways` in sofia.c reads it.

use super::super::draft::{Draft, field};
use super::super::words::quoted;
use super::super::{Level, Place, Remark};
use super::element::Element;
use super::globals::{Globals, is_broken};
use crate::gateway::Direction;
use crate::language::{Text, message, text};

/// Whose gateway it is.
pub(super) enum Owner {
    Profile(String),
    /// A user of the directory, in this domain.
    User {
        domain: Option<String>,
    },
    /// Nobody's: it stands alone in a file, whose folder may tell the profile.
    File(Option<String>),
}

/// A gateway as it stands in the XML.
pub(super) struct RawGateway {
    owner: Owner,
    name: String,
    place: Place,
    params: Items,
    variables: Items,
    /// The names of the elements that are open inside of it.
    open: Vec<String>,
    /// What FreeSWITCH doesn't read.
    ignored: Vec<(Place, Ignored)>,
}

/// The `<param>`s or `<variable>`s, which stand in the gateway or in one element of their own.
#[derive(Default)]
struct Items {
    direct: Vec<Item>,
    wrapped: Option<Vec<Item>>,
}

struct Item {
    name: Option<String>,
    value: Option<String>,
    direction: Option<String>,
    place: Place,
}

enum Ignored {
    /// A second wrapper.
    Again(&'static str),
    Subscriptions,
    Element(String),
}

const PARAMS: &str = "params";
const VARIABLES: &str = "variables";

impl RawGateway {
    pub(super) fn new(element: &Element, owner: Owner) -> Self {
        Self {
            owner,
            name: element.attribute("name").unwrap_or_default().to_owned(),
            place: element.place.clone(),
            params: Items::default(),
            variables: Items::default(),
            open: Vec::new(),
            ignored: Vec::new(),
        }
    }

    /// Whether one of its own elements is open.
    pub(super) fn is_inside(&self) -> bool {
        !self.open.is_empty()
    }

    pub(super) fn open(&mut self, element: &Element) {
        let place = &element.place;
        let around: Vec<_> = self.open.iter().map(String::as_str).collect();
        match (&around[..], element.name.as_str()) {
            ([], "param") => self.params.direct.push(Item::of(element)),
            ([], "variable") => self.variables.direct.push(Item::of(element)),
            ([PARAMS], "param") => self.params.push_wrapped(element),
            ([VARIABLES], "variable") => self.variables.push_wrapped(element),
            ([], PARAMS) if self.params.wrapped.is_none() => self.params.wrapped = Some(Vec::new()),
            ([], VARIABLES) if self.variables.wrapped.is_none() => self.variables.wrapped = Some(Vec::new()),
            ([], PARAMS) => return self.ignore(place, Ignored::Again(PARAMS)),
            ([], VARIABLES) => return self.ignore(place, Ignored::Again(VARIABLES)),
            ([], "subscriptions") => self.ignored.push((place.clone(), Ignored::Subscriptions)),
            ([], name) => self.ignored.push((place.clone(), Ignored::Element(name.to_owned()))),
            _ => {}
        }
        self.open.push(element.name.clone());
    }

    /// What is in a second wrapper is no item.
    fn ignore(&mut self, place: &Place, what: Ignored) {
        self.ignored.push((place.clone(), what));
        self.open.push(String::new());
    }

    pub(super) fn close(&mut self) {
        self.open.pop();
    }

    /// The gateway with its params and variables. What uses a variable without a value is an error.
    pub(super) fn into_draft(self, globals: &Globals) -> (Draft, Owner) {
        let mut draft = Draft::new(globals.readable(&self.name), self.place.clone());
        report_missing(&mut draft, globals, &[&self.name], "name", &self.place);
        for (place, ignored) in self.ignored {
            draft.remark(ignored.remark(place));
        }
        for item in self.params.take(&mut draft, PARAMS) {
            let (name, value) = (item.name.unwrap_or_default(), item.value.unwrap_or_default());
            if report_missing(
                &mut draft,
                globals,
                &[&name, &value],
                &field("param", &name),
                &item.place,
            ) {
                continue;
            }
            draft.param(&name, &value, item.place);
        }
        for item in self.variables.take(&mut draft, VARIABLES) {
            let (Some(name), Some(value)) = (item.name, item.value) else {
                let reason = text(
                    "FreeSWITCH ignores a variable without a name or a value",
                    "FreeSWITCH 会忽略没有名称或值的变量",
                );
                draft.remark(Remark::new(item.place, Level::Warning, reason));
                continue;
            };
            let place_in_value = field("variables", &name);
            if report_missing(&mut draft, globals, &[&name, &value], &place_in_value, &item.place) {
                continue;
            }
            match direction(item.direction.as_deref()) {
                Some(direction) => draft.variable(&name, &value, direction, item.place),
                None => {
                    let word = quoted(&item.direction.unwrap_or_default());
                    let reason = message!(
                        "FreeSWITCH sets it on no call, because its direction is {word}; it was left out",
                        "direction 为 {word}，FreeSWITCH 不会在任何呼叫上设置它，已略过"
                    );
                    let fix = text(
                        "leave the direction out if both are meant",
                        "如果两个方向都需要，请删除 direction",
                    );
                    draft.changed(
                        Remark::new(item.place, Level::Warning, reason)
                            .with_fix(fix)
                            .at(place_in_value),
                    );
                }
            }
        }
        (draft, self.owner)
    }
}

/// Reports what these texts lack: the values of variables, and characters that are not UTF-8. Returns whether there is
/// anything.
fn report_missing(draft: &mut Draft, globals: &Globals, texts: &[&String], field: &str, place: &Place) -> bool {
    let mut found = false;
    for missing in texts.iter().flat_map(|text| globals.missing_in(text)) {
        let remark = Remark::new(place.clone(), Level::Error, missing.reason()).with_fix(missing.fix());
        draft.incomplete(remark.at(globals.readable(field)));
        found = true;
    }
    if texts.iter().any(|text| is_broken(text)) {
        let reason = text("the file is not UTF-8 here", "文件在此处不是 UTF-8 编码");
        let remark = Remark::new(place.clone(), Level::Error, reason);
        draft.incomplete(remark.with_fix(text("save it as UTF-8", "请另存为 UTF-8")));
        found = true;
    }
    found
}

/// FreeSWITCH knows both words in any case, and takes any other for neither (FACTS 16).
fn direction(word: Option<&str>) -> Option<Direction> {
    match word {
        None => Some(Direction::Both),
        Some(word) if word.eq_ignore_ascii_case("inbound") => Some(Direction::Inbound),
        Some(word) if word.eq_ignore_ascii_case("outbound") => Some(Direction::Outbound),
        Some(_) => None,
    }
}

impl Items {
    fn push_wrapped(&mut self, element: &Element) {
        self.wrapped.get_or_insert_default().push(Item::of(element));
    }

    /// Those that FreeSWITCH reads: where there is a wrapper, those in it alone.
    fn take(self, draft: &mut Draft, wrapper: &'static str) -> Vec<Item> {
        let Some(wrapped) = self.wrapped else {
            return self.direct;
        };
        if let Some(item) = self.direct.first() {
            let reason = message!(
                "FreeSWITCH ignores what stands beside `<{wrapper}>`, from here on",
                "FreeSWITCH 会忽略 `<{wrapper}>` 之外的内容，从此处开始"
            );
            let fix = message!("move it into `<{wrapper}>`", "请移入 `<{wrapper}>`");
            draft.remark(Remark::new(item.place.clone(), Level::Warning, reason).with_fix(fix));
        }
        wrapped
    }
}

impl Item {
    fn of(element: &Element) -> Self {
        let attribute = |name| element.attribute(name).map(str::to_owned);
        Self {
            name: attribute("name"),
            value: attribute("value"),
            direction: attribute("direction"),
            place: element.place.clone(),
        }
    }
}

impl Ignored {
    fn remark(self, place: Place) -> Remark {
        const LEAVE_OUT: Text = text("remove it, or correct its name", "请删除，或更正其名称");
        match self {
            Self::Again(wrapper) => {
                let reason = message!(
                    "FreeSWITCH reads only the first `<{wrapper}>`, so this one was left out",
                    "FreeSWITCH 只读取第一个 `<{wrapper}>`，此处已略过"
                );
                let fix = message!("put all into one `<{wrapper}>`", "请全部放入一个 `<{wrapper}>`");
                Remark::new(place, Level::Warning, reason).with_fix(fix)
            }
            Self::Subscriptions => {
                let reason = text(
                    "trunkd does not serve `<subscriptions>`, so they were left out",
                    "trunkd 不下发 `<subscriptions>`，已略过",
                );
                let fix = text(
                    "keep this gateway in a file on the switch if it needs them",
                    "如果需要它，请将此网关保留在 FreeSWITCH 本机的文件中",
                );
                Remark::new(place, Level::Warning, reason).with_fix(fix)
            }
            Self::Element(name) => {
                let name = quoted(&format!("<{name}>"));
                let reason = message!("FreeSWITCH ignores {name} here", "FreeSWITCH 会忽略此处的 {name}");
                Remark::new(place, Level::Warning, reason).with_fix(LEAVE_OUT)
            }
        }
    }
}
