//! What the list and the preview send.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::web::Query;

use super::super::filters;
use crate::gateway::{DomainName, GatewayName};
use crate::language::Message;
use crate::operate::gateways::bulk::{Change, Chosen};
use crate::portal::{ListParams, Problem, words};
use crate::web::texts::Texts;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Enable,
    Disable,
    Tag,
    Untag,
    Restart,
    Delete,
}

pub(super) struct Form {
    pub(super) action: Action,
    pub(super) chosen: Chosen,
    pub(super) tags: Vec<String>,
    /// The filters of the list, as in its address.
    filter: String,
    /// How many gateways the preview was about.
    shown: Option<usize>,
    /// What was typed as their number.
    typed: Option<String>,
}

impl Action {
    const ALL: [(&'static str, Self); 6] = [
        ("enable", Self::Enable),
        ("disable", Self::Disable),
        ("tag", Self::Tag),
        ("untag", Self::Untag),
        ("restart", Self::Restart),
        ("delete", Self::Delete),
    ];

    fn parse(word: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(name, action)| (name == word).then_some(action))
    }

    fn as_str(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(name, action)| (action == self).then_some(name))
            .unwrap_or_default()
    }

    /// `None`: a restart changes no value.
    pub(super) fn change(self, tags: &[String]) -> Option<Change> {
        Some(match self {
            Self::Enable => Change::Enable,
            Self::Disable => Change::Disable,
            Self::Tag => Change::Tag(tags.to_vec()),
            Self::Untag => Change::Untag(tags.to_vec()),
            Self::Delete => Change::Delete,
            Self::Restart => return None,
        })
    }

    /// The ids of texts.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Enable => "bulk-title-enable",
            Self::Disable => "bulk-title-disable",
            Self::Tag => "bulk-title-tag",
            Self::Untag => "bulk-title-untag",
            Self::Restart => "bulk-title-restart",
            Self::Delete => "bulk-title-delete",
        }
    }

    pub(super) fn button(self) -> &'static str {
        match self {
            Self::Enable => "bulk-do-enable",
            Self::Disable => "bulk-do-disable",
            Self::Tag => "bulk-do-tag",
            Self::Untag => "bulk-do-untag",
            Self::Restart => "bulk-do-restart",
            Self::Delete => "bulk-do-delete",
        }
    }

    /// That it would be about another number of gateways than was shown or typed.
    pub(super) fn other_count(self) -> &'static str {
        match self {
            Self::Delete => "bulk-number-wrong",
            _ => "bulk-other-count",
        }
    }
}

impl Form {
    /// # Errors
    /// A 400 for a form that is not ours, or that chooses nothing.
    pub(super) fn parse(t: Texts, body: &[u8]) -> Result<Self, Problem> {
        let bad = |text: Message| Problem::new(StatusCode::BAD_REQUEST, "bad_request", text);
        let (mut action, mut is_all, mut named) = (None, false, BTreeSet::new());
        let (mut filter, mut tags) = (String::new(), Vec::new());
        let (mut shown, mut typed) = (None, None);
        for (name, value) in form_urlencoded::parse(body) {
            match &*name {
                "do" => action = Action::parse(&value),
                "all" => is_all = true,
                "filter" => filter = value.into_owned(),
                "gateway" => named.extend(gateway(&value)),
                "tags" => tags = words(Some(&value)).map(str::to_owned).collect(),
                "shown" => shown = value.parse().ok(),
                "number" => typed = Some(value.into_owned()),
                _ => {}
            }
        }
        let action = action.ok_or_else(|| bad(Message::same(t.get("bulk-bad-form"))))?;
        let chosen = match is_all {
            true => {
                let params =
                    Query::<ListParams>::from_query(&filter).map_err(|error| bad(Message::same(error.to_string())))?;
                Chosen::Filter(Box::new(params.into_inner().query()?))
            }
            false if named.is_empty() => return Err(bad(Message::same(t.get("bulk-none")))),
            false => Chosen::Named(named),
        };
        Ok(Self {
            action,
            chosen,
            tags,
            filter,
            shown,
            typed,
        })
    }

    pub(super) fn lacks_tags(&self) -> bool {
        matches!(self.action, Action::Tag | Action::Untag) && self.tags.is_empty()
    }

    /// How many gateways the person expects to change. To delete, the number must be typed.
    pub(super) fn expected(&self) -> Option<usize> {
        match self.action {
            Action::Delete => self.typed.as_deref()?.trim().parse().ok(),
            _ => self.shown,
        }
    }

    /// The same form again, without tags and numbers.
    pub(super) fn hidden(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![("do", self.action.as_str().to_owned()), ("filter", self.filter.clone())];
        match &self.chosen {
            Chosen::Filter(_) => fields.push(("all", "1".to_owned())),
            Chosen::Named(named) => {
                fields.extend(
                    named
                        .iter()
                        .map(|(domain, name)| ("gateway", format!("{domain}/{name}"))),
                );
            }
        }
        fields
    }

    /// The list that it came from.
    pub(super) fn back(&self) -> String {
        filters::with_query(&self.filter)
    }
}

/// `domain/name`. The name has no slash.
fn gateway(text: &str) -> Option<(DomainName, GatewayName)> {
    let (domain, name) = text.rsplit_once('/')?;
    Some((DomainName::from_text(domain), GatewayName::parse(name).ok()?))
}
