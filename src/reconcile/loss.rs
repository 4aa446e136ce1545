//! What a switch would lose if it were served another state.

use std::sync::Arc;

use super::plan::Weight;
use super::states::Step;
use crate::gateway::{Desired, GatewayName, ProfileName};

/// May a switch be served `newest` after `before`?
pub(super) struct Question<'a> {
    pub(super) switch: &'a str,
    pub(super) before: &'a Arc<Desired>,
    pub(super) newest: &'a Arc<Desired>,
    pub(super) step: &'a Step,
}

impl Question<'_> {
    pub(super) fn is_kept(&self, name: &GatewayName, profile: &ProfileName) -> bool {
        let is_in = |desired: &Desired| {
            let entry = desired.get(name.as_str());
            entry.is_some_and(|entry| entry.gateway.serves(Some(self.switch)) && entry.gateway.profile == *profile)
        };
        is_in(self.before) && is_in(self.newest)
    }
}

pub(super) struct Loss {
    pub(super) removals: usize,
    pub(super) stay: usize,
    pub(super) weight: Weight,
}

/// What happens to a gateway that was removed recently.
pub(super) enum Fate {
    /// It is one of the removals.
    Goes,
    /// It is back and stays.
    Stays,
    Gone,
}
