//! What happens to a fleet.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use redis::AsyncCommands;

use super::{Fleet, Member, NAMES, unrest};
use crate::faults::{RedisFault, console, kill_one, run};
use crate::schedule::pause;
use crate::support::app::{Other, eventually};
use crate::support::redis::RedisServer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A switch crashes, and comes back before or after others took over.
    Dies,
    /// It is drained, or another one is.
    DiesInAMove,
    /// Carriers reach it as before.
    IsCutOff,
    /// Some trunkd still reach it, or each of them misses another one.
    IsCutOffFromSome,
    LosesTheCarrier,
    TrunkdDiesInAMove,
    RedisFailsInAMove,
    /// A replica takes over, which may not have the last writes.
    RedisFailsOverInAMove,
    PlacementsAreLostInAMove,
    /// Several of these, one after the other
    Everything,
}

impl Fault {
    const EACH: [Self; 9] = [
        Self::Dies,
        Self::DiesInAMove,
        Self::IsCutOff,
        Self::IsCutOffFromSome,
        Self::LosesTheCarrier,
        Self::TrunkdDiesInAMove,
        Self::RedisFailsInAMove,
        Self::RedisFailsOverInAMove,
        Self::PlacementsAreLostInAMove,
    ];

    /// Whether gateways may move for other reasons meanwhile.
    pub(super) fn allows_unrest(self) -> bool {
        !matches!(self, Self::Dies | Self::IsCutOff)
    }

    pub(super) async fn strike(self, fleet: &mut Fleet, random: &mut StdRng) {
        match self {
            Self::Everything => {
                for _ in 0..random.random_range(2..5) {
                    let fault = *Self::EACH.choose(random).unwrap();
                    println!("{fault:?}");
                    fault.strike_once(fleet, random, true).await;
                    pause(random, 0..500).await;
                }
            }
            fault => fault.strike_once(fleet, random, self.allows_unrest()).await,
        }
    }

    async fn strike_once(self, fleet: &mut Fleet, random: &mut StdRng, is_restless: bool) {
        let members = fleet.members.clone();
        let victim = members.choose(random).unwrap();
        match self {
            Self::Dies => {
                let before = owners(fleet).await;
                victim.crash().await;
                be_away(fleet, victim, &before, random, is_restless).await;
                victim.boot().await;
            }
            Self::IsCutOff => {
                let before = owners(fleet).await;
                victim.cut_off(true);
                be_away(fleet, victim, &before, random, is_restless).await;
                victim.cut_off(false);
            }
            Self::DiesInAMove => {
                begin_a_move(fleet, random).await;
                victim.crash().await;
                be_away_for(random).await;
                victim.boot().await;
            }
            Self::IsCutOffFromSome => cut_off_from_some(fleet, random).await,
            Self::LosesTheCarrier => {
                fleet.carrier.cut_off(victim.name, true);
                begin_a_move(fleet, random).await;
                be_away_for(random).await;
                fleet.carrier.cut_off(victim.name, false);
            }
            Self::TrunkdDiesInAMove => {
                begin_a_move(fleet, random).await;
                kill_one(&mut fleet.trunkds, random).await;
            }
            Self::RedisFailsInAMove => {
                begin_a_move(fleet, random).await;
                let fault = *RedisFault::ALL.choose(random).unwrap();
                println!("{fault:?}");
                fault.strike(&mut fleet.redis, &fleet.proxy, random).await;
            }
            Self::RedisFailsOverInAMove => fail_over(fleet, random).await,
            Self::PlacementsAreLostInAMove => {
                begin_a_move(fleet, random).await;
                let () = fleet.redis.connection().await.del("trunkd:placement").await.unwrap();
                if random.random_bool(0.5) {
                    kill_one(&mut fleet.trunkds, random).await;
                }
            }
            Self::Everything => unreachable!("it is several others"),
        }
    }
}

/// Too short for anybody to take over, or long enough, or just in the middle of it
async fn be_away_for(random: &mut StdRng) {
    match random.random_bool(0.4) {
        true => pause(random, 0..3000).await,
        false => pause(random, 2500..5500).await,
    }
}

/// The same. If others take over and nothing else goes on, exactly the gateways of the lost switch move.
async fn be_away(
    fleet: &Fleet,
    lost: &Member,
    before: &BTreeMap<String, String>,
    random: &mut StdRng,
    is_restless: bool,
) {
    if is_restless || random.random_bool(0.3) {
        return be_away_for(random).await;
    }
    let records = Other::new(&fleet.redis).await;
    let values = records.hash(&format!("cti_gateway@{}", super::DOMAIN)).await;
    let may_leave = |name: &str| {
        let nodes = values[name]["nodes"].as_array();
        nodes.is_none_or(|nodes| nodes.iter().any(|node| node != lost.name))
    };
    let must_move = |name: &str, owner: &str| owner == lost.name && may_leave(name);
    let has_moved = |now: &BTreeMap<String, String>| {
        let mut own = before.iter().filter(|(name, owner)| must_move(name, owner));
        own.all(|(name, owner)| now[name] != *owner)
    };
    let after = eventually("others took over", || owners(fleet), has_moved).await;
    for (name, owner) in before {
        assert_eq!(must_move(name, owner), after[name] != *owner, "{name} of {owner} moved");
    }
    pause(random, 0..1000).await;
}

/// gateway → the switch of its record
async fn owners(fleet: &Fleet) -> BTreeMap<String, String> {
    let records = Other::new(&fleet.redis).await.hash("trunkd:placement").await;
    let owners = records.into_iter();
    owners
        .map(|(name, record)| (name, record["switch"].as_str().unwrap().to_owned()))
        .collect()
}

/// A switch is drained. Returns when the first of its gateways moves, if any may.
async fn begin_a_move(fleet: &Fleet, random: &mut StdRng) {
    let other = Other::new(&fleet.redis).await;
    let drained = NAMES.choose(random).unwrap();
    unrest::drain(&mut other.connection.clone(), drained).await.unwrap();
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(2);
    while tokio::time::Instant::now() < until {
        let records = other.hash("trunkd:placement").await;
        if records.values().any(|record| !record["move"].is_null()) {
            break;
        }
        pause(random, 1..20).await;
    }
    pause(random, 0..300).await;
}

/// Each trunkd loses a switch of its own, or one of them loses it, and it may be killed meanwhile.
async fn cut_off_from_some(fleet: &mut Fleet, random: &mut StdRng) {
    for trunkd in 0..fleet.trunkds.len() {
        if random.random_bool(0.7) {
            fleet.members.choose(random).unwrap().links[trunkd].cut(true);
        }
    }
    be_away_for(random).await;
    if random.random_bool(0.5) {
        kill_one(&mut fleet.trunkds, random).await;
        be_away_for(random).await;
    }
    for link in fleet.members.iter().flat_map(|member| &member.links) {
        link.cut(false);
        pause(random, 0..100).await;
    }
}

async fn fail_over(fleet: &mut Fleet, random: &mut StdRng) {
    let replica = RedisServer::start_with_aof().await;
    let mut console = console(&replica).await;
    run(&mut console, &format!("REPLICAOF 127.0.0.1 {}", fleet.redis.port())).await;
    let mut info = redis::cmd("INFO");
    info.arg("replication");
    let follow = || async {
        let info: String = info.query_async(&mut console.clone()).await.unwrap();
        info.contains("master_link_status:up")
    };
    eventually("the replica follows", follow, |follows| *follows).await;
    begin_a_move(fleet, random).await;
    fleet.proxy.set_open(false);
    fleet.redis.kill();
    pause(random, 0..1500).await;
    run(&mut console, "REPLICAOF NO ONE").await;
    *fleet.master.lock().unwrap() = replica.address().parse().unwrap();
    fleet.redis = replica;
    fleet.proxy.set_open(true);
}
