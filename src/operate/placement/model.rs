//! Where a gateway is, as data.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::gateway::{Gateway, Move, PlacedFor};
use crate::language::{Bilingual, Message, Text, text};

/// Which switch has a gateway.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Where {
    pub domain: String,
    pub gateway: String,
    pub placement: PlacementMode,
    /// The switch that has it. `null` if it runs on all of its switches, while it moves, and if no live switch
    /// may have it.
    pub switch: Option<String>,
    /// Where that switch's SIP profile answers, as it told trunkd: `host:port`. For calls that come from another
    /// switch.
    pub sip: Option<String>,
    /// The switches that are to run it now.
    pub switches: Vec<String>,
    /// How it came there. `null` if it runs on all of its switches, or was never placed.
    pub placed: Option<PlacedSince>,
    /// Why it was never placed.
    pub note: Option<Message>,
}

/// On how many switches a gateway runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlacementMode {
    /// On all of its `nodes`.
    All,
    /// On exactly one of them.
    One,
}

impl PlacementMode {
    pub(in crate::operate) fn of(gateway: &Gateway) -> Self {
        match gateway.is_on_one() {
            true => Self::One,
            false => Self::All,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PlacedSince {
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    pub reason: PlacedFor,
    /// Who asked for it; empty if nobody did.
    pub by: String,
    /// Counts the changes.
    pub epoch: u64,
    /// The move that is under way: `waiting` for its turn, `leaving` its switch, `arriving` at the new one.
    #[schema(value_type = Option<Object>)]
    pub step: Option<Move>,
}

/// Why a gateway can't move to a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CannotMove {
    /// It runs on all of its switches.
    NotOnOne,
    /// No switch has it yet.
    NotPlaced,
    /// The switch is none of its `nodes`.
    NotItsNode,
    AlreadyThere,
    /// It is drained, paused, trunkd doesn't change it, or no trunkd is connected to it.
    NotOpen,
    /// It moves already.
    Moves,
}

impl CannotMove {
    fn reason(self) -> Text {
        match self {
            Self::NotOnOne => text(
                "it runs on all of its switches; `\"placement\": \"one\"` lets it run on one",
                "它在其所有 FreeSWITCH 上运行；设置 `\"placement\": \"one\"` 后只在一台上运行",
            ),
            Self::NotPlaced => text(
                "it has no switch yet: a trunkd that serves gives it one when one is live",
                "它还没有所在的 FreeSWITCH：有 FreeSWITCH 在线后，由运行中的 trunkd 分配",
            ),
            Self::NotItsNode => text(
                "that switch is not in its `nodes`: add it",
                "该 FreeSWITCH 不在它的 `nodes` 中：请先加入",
            ),
            Self::AlreadyThere => text("it is there", "它已经在那里"),
            Self::NotOpen => text(
                "that switch is drained, paused, or not connected, or `reconcile.mode` keeps trunkd from changing it",
                "该 FreeSWITCH 正在排空、已暂停、未连接，或 `reconcile.mode` 不允许 trunkd 更改它",
            ),
            Self::Moves => text("it is on its way already: try again later", "它正在迁移中：请稍后再试"),
        }
    }
}

impl fmt::Display for CannotMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason().en)
    }
}

impl Bilingual for CannotMove {
    fn chinese(&self) -> String {
        self.reason().zh.to_owned()
    }
}

/// How a move ended.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MoveAnswer {
    pub outcome: MoveOutcome,
    #[serde(flatten)]
    pub now: Where,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveOutcome {
    /// It is on the switch, and works there as far as that can be told.
    Moved,
    /// It is on its way, or waits for its turn.
    Pending,
    /// It did not work there, or the switch could not take it: it is where it was, or on another one.
    NotMoved,
}

/// What a rebalance moves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rebalance {
    /// Approves exactly these moves.
    pub id: String,
    /// By gateway.
    pub moves: Vec<RebalanceMove>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RebalanceMove {
    pub domain: String,
    pub gateway: String,
    pub from: String,
    pub to: String,
}
