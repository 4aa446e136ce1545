//! What keeps a wanted gateway from its place on a switch.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::gateway::{GatewayName, ProfileName, shown};
use crate::language::Bilingual;

/// Something on a switch that an operator must fix. `Display` is one line with the fix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "conflict", rename_all = "snake_case")]
pub enum Conflict {
    /// Gateways are wanted in a profile that the switch doesn't run.
    ProfileNotRunning {
        #[schema(value_type = String)]
        profile: ProfileName,
        #[schema(value_type = Vec<String>)]
        gateways: BTreeSet<GatewayName>,
    },
    /// The switch runs a gateway of a wanted name, in `profile`, that carries no revision.
    NotOurs {
        #[schema(value_type = String)]
        gateway: GatewayName,
        #[schema(value_type = String)]
        profile: ProfileName,
        /// The domain that wants the name.
        domain: String,
    },
    /// A second gateway of the name is in `profile` (FACTS 18).
    Ghost {
        #[schema(value_type = String)]
        gateway: GatewayName,
        #[schema(value_type = String)]
        profile: ProfileName,
    },
}

impl Conflict {
    /// The domain, if it is about one alone.
    pub fn domain(&self) -> Option<&str> {
        match self {
            Self::NotOurs { domain, .. } => Some(domain),
            Self::ProfileNotRunning { .. } | Self::Ghost { .. } => None,
        }
    }
}

/// How many names a line repeats.
const MAX_NAMED: usize = 5;

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProfileNotRunning { profile, gateways } => {
                write!(f, "profile {profile} does not run on this switch, and has to for ")?;
                for (at, gateway) in gateways.iter().take(MAX_NAMED).enumerate() {
                    write!(f, "{}{gateway}", if at == 0 { "" } else { ", " })?;
                }
                if let Some(more @ 1..) = gateways.len().checked_sub(MAX_NAMED) {
                    write!(f, " and {more} more")?;
                }
                write!(f, "; `sofia profile {profile} start` starts it")
            }
            Self::NotOurs {
                gateway,
                profile,
                domain,
            } => write!(
                f,
                "gateway {gateway} of domain {} is left alone: profile {profile} has one of this name without a \
                 revision, so it is not ours; \
                 `trunkd apply --adopt` takes it over",
                shown(domain)
            ),
            Self::Ghost { gateway, profile } => write!(
                f,
                "gateway {gateway} has a ghost in profile {profile}, whose answers are booked on the live one; \
                 `sofia profile {profile} restart` removes it, and hangs up the calls of that profile"
            ),
        }
    }
}

impl Bilingual for Conflict {
    fn chinese(&self) -> String {
        match self {
            Self::ProfileNotRunning { profile, gateways } => {
                let names: Vec<_> = gateways.iter().take(MAX_NAMED).map(GatewayName::as_str).collect();
                let more = match gateways.len().checked_sub(MAX_NAMED) {
                    Some(more @ 1..) => format!(" 等，另有 {more} 个"),
                    _ => String::new(),
                };
                format!(
                    "该 FreeSWITCH 上的 profile {profile} 没有运行，而以下网关需要它：{}{more}；\
                     可用 `sofia profile {profile} start` 启动",
                    names.join("、")
                )
            }
            Self::NotOurs {
                gateway,
                profile,
                domain,
            } => format!(
                "域 {} 的网关 {gateway} 保持不动：profile {profile} 中已有同名网关，且没有 revision，\
                 不归 trunkd 管理；可用 `trunkd apply --adopt` 接管",
                shown(domain)
            ),
            Self::Ghost { gateway, profile } => format!(
                "网关 {gateway} 在 profile {profile} 中有一个残留的副本，它收到的应答会记在正在使用的网关上；\
                 可用 `sofia profile {profile} restart` 清除，但该 profile 上的呼叫会被挂断"
            ),
        }
    }
}

/// Skips conflicts that this version doesn't know.
pub(super) fn known_conflicts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Conflict>, D::Error> {
    let values = Vec::<serde_json::Value>::deserialize(deserializer)?;
    let known = values
        .into_iter()
        .filter_map(|value| serde_json::from_value(value).ok());
    Ok(known.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_conflict_has_both_languages() {
        let gateway = |name: &str| GatewayName::parse(name).unwrap();
        let profile = ProfileName::parse("external-7").unwrap();
        let names = |count: u8| (0..count).map(|number| gateway(&format!("gw{number}"))).collect();
        let stopped = |count| Conflict::ProfileNotRunning {
            profile: profile.clone(),
            gateways: names(count),
        };
        let not_ours = Conflict::NotOurs {
            gateway: gateway("carrier-1"),
            profile: profile.clone(),
            domain: "acme-2".to_owned(),
        };
        let ghost = Conflict::Ghost {
            gateway: gateway("carrier-1"),
            profile: profile.clone(),
        };
        for conflict in [stopped(1), stopped(5), stopped(8), not_ours, ghost] {
            conflict.message().check();
        }
    }
}
