//! The life of an order in the executor of one switch: read once, begun, carried out and finished.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{Decision, DesiredSource, Executor, Switch};
use crate::control::{Control, Order, OrderContent, OrderReport, Term, trouble};
use crate::gateway::Desired;
use crate::reconcile::plan::Ordered;
use crate::shown::shown;

/// An order that was not begun within this time is dropped. Long enough for clocks that differ.
const ORDER_LASTS: SignedDuration = SignedDuration::from_mins(10);
/// An order that was begun is dropped after this time, even if it is not finished.
const BEGUN_ORDER_LASTS: SignedDuration = SignedDuration::from_mins(60);

/// An order and its content.
pub(super) struct ReadOrder {
    pub(super) head: Order,
    pub(super) changes: Ordered,
    /// Whether this trunkd has begun it.
    is_begun: bool,
    pub(super) is_finished: bool,
    /// Since when only gateways that are on their way are left of it.
    waits_since: Option<Instant>,
}

/// What is to be done about the order of a switch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OrderState {
    None,
    /// This order is to be carried out.
    Current,
    /// Another trunkd has carried it out.
    CarriedOut,
}

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    /// The state of the current order, whose content is read when it is first seen.
    pub(super) async fn order(&mut self, control: &Control, term: Option<Term>) -> OrderState {
        let name = self.switch.name().to_owned();
        let Some(head) = control.orders.get(&name) else {
            return OrderState::None;
        };
        let is_forgotten = head.done_at.is_none() && self.is_forgotten(head);
        if is_forgotten || !head.is_current(Timestamp::now()) {
            if term.is_some() {
                if is_forgotten {
                    let id = shown(&head.id);
                    tracing::warn!(
                        switch = name,
                        order = %id,
                        "ordered at {}, too long ago to be meant still",
                        head.at
                    );
                }
                let _ = self.store.drop_order(&name, &head.id).await;
            }
            return OrderState::None;
        }
        let is_read = self.memory.order.as_ref().is_some_and(|read| read.head.id == head.id);
        if !is_read && !self.read_order(&name, head, term).await {
            return OrderState::None;
        }
        let is_finished = self.memory.order.as_ref().is_some_and(|read| read.is_finished);
        match head.done_at {
            Some(_) if !is_finished => OrderState::CarriedOut,
            None if !is_finished => OrderState::Current,
            _ => OrderState::None,
        }
    }

    /// An order that was carried out stays, for other trunkd to see, until an edit outdates it.
    pub(super) async fn drop_outdated_order(&self, control: &Control, desired: &Desired) {
        let name = self.switch.name();
        if let (Some(head), Some(read)) = (control.orders.get(name), &self.memory.order)
            && head.done_at.is_some()
            && head.id == read.head.id
            && read.changes.is_outdated(desired, name)
        {
            let _ = self.store.drop_order(name, &head.id).await;
        }
    }

    async fn read_order(&mut self, switch: &str, head: &Order, term: Option<Term>) -> bool {
        let Ok(content) = self.store.read_order(switch, &head.id).await else {
            return false;
        };
        if content.is_none() && term.is_some() {
            let id = shown(&head.id);
            tracing::warn!(
                switch,
                order = %id,
                "this order does not say what to do: it is of an older trunkd, or was cut off; run `trunkd apply` again"
            );
            let _ = self.store.drop_order(switch, &head.id).await;
        }
        let Some(content) = content else { return false };
        self.memory.order = Some(ReadOrder::new(head.clone(), &content));
        true
    }

    /// Whether the order is too old to be carried out.
    fn is_forgotten(&self, head: &Order) -> bool {
        let read = self.memory.order.as_ref();
        let is_begun = read.is_some_and(|read| read.head.id == head.id && read.is_begun);
        let lasts = if is_begun { BEGUN_ORDER_LASTS } else { ORDER_LASTS };
        Timestamp::now().duration_since(head.at) > lasts
    }

    /// Records the progress of the order.
    pub(super) fn begin_order(&mut self, state: OrderState, decision: &Decision) {
        let memory = &mut self.memory;
        let is_ours = memory.leads;
        let Some(read) = memory.order.as_mut().filter(|_| state != OrderState::None) else {
            return;
        };
        if is_ours && state == OrderState::Current && !read.is_begun {
            read.is_begun = true;
            // The operator may have fixed what FreeSWITCH refused.
            memory.troubles.forget(&decision.progress.to_do);
        }
        let progress = &decision.progress;
        let is_done = !is_ours || state == OrderState::CarriedOut;
        let left = progress.to_do.len() + progress.on_its_way.len();
        memory.last_order = Some(OrderReport {
            id: read.head.id.clone(),
            done: is_done,
            left: if is_done { 0 } else { left },
            undone: BTreeMap::new(),
        });
    }

    /// Finishes the order when nothing is left of it that can be done now.
    pub(super) async fn finish_order(&mut self, decision: &Decision) {
        let name = self.switch.name().to_owned();
        let now = Instant::now();
        let memory = &mut self.memory;
        let Some(read) = &mut memory.order else { return };
        let progress = &decision.progress;
        let is_on_its_way = !progress.on_its_way.is_empty();
        let waits_since = read.waits_since.get_or_insert(now);
        if is_on_its_way && now.duration_since(*waits_since) < self.timing.delete {
            return;
        }
        if self.store.order_done(&name, &read.head).await.is_err() {
            return;
        }
        read.is_finished = true;
        let mut undone = BTreeMap::new();
        for gateway in &progress.changed {
            undone.insert(gateway.to_string(), trouble::CHANGED_SINCE_SHOWN.en.to_owned());
        }
        for gateway in &progress.on_its_way {
            undone.insert(gateway.to_string(), trouble::ON_ITS_WAY.en.to_owned());
        }
        for gateway in &progress.to_do {
            let reason = memory.troubles.reason(gateway).unwrap_or(trouble::NOT_DONE.en);
            undone.insert(gateway.to_string(), reason.to_owned());
        }
        let id = shown(&read.head.id);
        match undone.len() {
            0 => tracing::info!(switch = name, order = %id, "carried out what was ordered"),
            left => {
                tracing::warn!(switch = name, order = %id, left, "carried out what was ordered, as far as it could be")
            }
        }
        memory.last_order = Some(OrderReport {
            id: read.head.id.clone(),
            done: true,
            left: 0,
            undone,
        });
    }
}

impl ReadOrder {
    fn new(head: Order, content: &OrderContent) -> Self {
        Self {
            head,
            changes: Ordered::of(content),
            is_begun: false,
            is_finished: false,
            waits_since: None,
        }
    }
}
