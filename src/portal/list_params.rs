//! How a list of gateways is asked for, by API and pages alike.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::problem::Problem;
use crate::language::{Bilingual, message, text};
use crate::operate::gateways::Validity;
use crate::operate::listing::{Cursor, Direction, ListQuery, Sort};

/// Items of a page, if the request doesn't say, and at most.
const DEFAULT_PAGE: usize = 100;
pub(crate) const MAX_PAGE: usize = 1000;

/// How many items a page has.
pub(crate) fn page_limit(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(DEFAULT_PAGE);
    match (1..=MAX_PAGE).contains(&limit) {
        true => Ok(limit),
        false => Err(Problem::bad_request(
            "limit",
            message!("limit is not from 1 to {MAX_PAGE}", "limit 不在 1 到 {MAX_PAGE} 之间"),
            text(
                "ask for fewer, and for the next page with `after`",
                "请减少数量，并用 `after` 取下一页",
            ),
        )),
    }
}

/// The words of a parameter, with commas between.
pub(crate) fn words(text: Option<&str>) -> impl Iterator<Item = &str> {
    let words = text.unwrap_or_default().split(',').map(str::trim);
    words.filter(|word| !word.is_empty())
}

/// Which gateways, in which order.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ListParams {
    pub(crate) domain: Option<String>,
    /// Words that all occur in name, description, carrier, realm, proxy, username or tags.
    pub(crate) q: Option<String>,
    /// Words with commas between: `up`, `down` (with `missing`), `missing`, `trying`, `unknown`, `idle`,
    /// `parked`, or FreeSWITCH's own, such as `REGED` and `FAIL_WAIT`.
    pub(crate) state: Option<String>,
    /// Only gateways that this switch has or is to have. `state` then means that on it.
    pub(crate) switch: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) carrier: Option<String>,
    pub(crate) tag: Option<String>,
    /// Words with commas between: `valid`, `disabled`, `kept`, `invalid`, `shadowed`.
    pub(crate) validity: Option<String>,
    /// `name`, `domain`, `state`, `since`, `ping_ms`, `profile` or `carrier`; `-` in front turns it round.
    pub(crate) sort: Option<String>,
    /// 100, at most 1000.
    pub(crate) limit: Option<usize>,
    /// The `next` of the page before.
    pub(crate) after: Option<String>,
}

impl ListParams {
    pub(crate) fn query(self) -> Result<ListQuery, Problem> {
        let limit = page_limit(self.limit)?;
        let (sort, direction) = sort(self.sort.as_deref())?;
        let after = self.after.as_deref().map(Cursor::parse).transpose();
        Ok(ListQuery {
            states: words(self.state.as_deref()).map(str::to_owned).collect(),
            validity: words(self.validity.as_deref())
                .map(validity)
                .collect::<Result<_, _>>()?,
            after: after.map_err(|error| {
                let fix = text("send back the `next` of the page before", "请送回上一页的 `next`");
                Problem::bad_request("after", error.message(), fix)
            })?,
            domain: self.domain,
            search: self.q,
            switch: self.switch,
            profile: self.profile,
            carrier: self.carrier,
            tag: self.tag,
            sort,
            direction,
            limit,
        })
    }
}

fn sort(order: Option<&str>) -> Result<(Sort, Direction), Problem> {
    let Some(order) = order else {
        return Ok((Sort::default(), Direction::default()));
    };
    Sort::parse(order).ok_or_else(|| {
        let names = Sort::ALL.map(|(name, _)| name).join(", ");
        Problem::bad_request(
            "sort",
            text("there is no such order", "没有这样的排序"),
            message!("write one of {names}, or - and one", "可用 {names} 之一，或在前面加 -"),
        )
    })
}

fn validity(word: &str) -> Result<Validity, Problem> {
    Validity::parse(word).ok_or_else(|| {
        let names = Validity::ALL.map(Validity::as_str).join(", ");
        Problem::bad_request(
            "validity",
            text("there is no such word", "没有这样的词"),
            message!("write some of {names}", "可用 {names}"),
        )
    })
}
