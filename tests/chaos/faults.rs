//! The faults: how each begins, lasts and ends.

use std::time::Duration;

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use redis::aio::MultiplexedConnection;

use crate::life::TRUNKS;
use crate::program::Trunkd;
use crate::schedule::{World, pause};
use crate::support::fake_switch::{
    ALL, BUSY, CHALLENGED_AGAIN, Carrier, DECLINE, FORBIDDEN, FakeSwitch, NOT_FOUND, Outcome, UNAVAILABLE, Window,
};
use crate::support::proxy::Proxy;
use crate::support::redis::{Data, RedisServer};
use crate::verdict;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Redis(RedisFault),
    RedisComesBackEmpty,
    Switch(SwitchFault),
    Carrier(CarrierFault),
    /// One is killed, and usually started again.
    Trunkd,
    /// The carrier fails meanwhile.
    TrunkdAndCarrier,
    /// Several of these at once
    Storm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedisFault {
    IsKilled,
    Stalls,
    RunsOutOfMemory,
    BecomesAReplica,
    AsksForAPassword,
    CutsReplies,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SwitchFault {
    DropsConnections,
    /// Existing connections are silent from now on; new ones work.
    HalfOpen,
    /// For a while all connections hang, or one does, or all answers are slow.
    ReadsNothing,
    Restarts,
    LosesEvents,
    DoublesEvents,
    DelaysEvents,
}

/// What the carrier of the trunks does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CarrierFault {
    /// One account, some, or all, for good
    Refuses,
    /// It has too much to do: REGISTERs beyond a number are refused for now, or all are, or all wait.
    Throttles,
    /// It says nothing any more, or the network to it is cut.
    Vanishes,
}

impl Fault {
    pub(crate) async fn strike(self, world: &mut World, random: &mut StdRng) {
        match self {
            Fault::Redis(fault) => fault.strike(&mut world.redis, &world.proxy, random).await,
            Fault::RedisComesBackEmpty => lose_everything(world, random).await,
            Fault::Switch(fault) => fault.strike(&world.switch, random).await,
            Fault::Carrier(fault) => fault.strike(&world.carrier, random).await,
            Fault::Trunkd => kill_one(&mut world.trunkds, random).await,
            Fault::TrunkdAndCarrier => trunkd_and_carrier(world, random).await,
            Fault::Storm => storm(world, random).await,
        }
    }

    pub(crate) fn needs_the_proxy(self) -> bool {
        matches!(self, Fault::Redis(RedisFault::CutsReplies) | Fault::Storm)
    }

    /// Only what nobody can notice is left to the regular snapshot.
    pub(crate) fn resync_interval(self) -> &'static str {
        match self {
            Fault::Switch(SwitchFault::LosesEvents) | Fault::Storm => "1s",
            _ => "1h",
        }
    }

    /// A switch that starts gets all gateways in one answer from a trunkd that never reached its event socket.
    pub(crate) fn keeps_the_pace(self) -> bool {
        self != Fault::Storm
    }

    /// trunkd hears of every answer of a carrier.
    pub(crate) fn keeps_the_events(self) -> bool {
        matches!(self, Fault::Carrier(_))
    }

    pub(crate) fn keeps_the_data_of_redis(self) -> bool {
        self != Fault::RedisComesBackEmpty
    }
}

impl RedisFault {
    pub(crate) const ALL: [Self; 6] = [
        Self::IsKilled,
        Self::Stalls,
        Self::RunsOutOfMemory,
        Self::BecomesAReplica,
        Self::AsksForAPassword,
        Self::CutsReplies,
    ];

    pub(crate) async fn strike(self, redis: &mut RedisServer, proxy: &Proxy, random: &mut StdRng) {
        match self {
            Self::IsKilled => {
                for _ in 0..random.random_range(1..4) {
                    redis.kill();
                    pause(random, 0..1000).await;
                    redis.restart(Data::Kept).await;
                    pause(random, 0..300).await;
                }
            }
            Self::Stalls => {
                redis.sigstop();
                pause(random, 5000..5500).await;
                redis.sigcont();
            }
            Self::RunsOutOfMemory => {
                let mut console = console(redis).await;
                run(&mut console, "CONFIG SET maxmemory 1").await;
                pause(random, 200..2000).await;
                run(&mut console, "CONFIG SET maxmemory 0").await;
            }
            Self::BecomesAReplica => {
                let mut console = console(redis).await;
                run(&mut console, "REPLICAOF 127.0.0.1 1").await; // nobody listens there
                pause(random, 200..2000).await;
                run(&mut console, "REPLICAOF NO ONE").await;
            }
            Self::AsksForAPassword => {
                let mut console = console(redis).await;
                run(&mut console, "CONFIG SET requirepass another").await;
                run(&mut console, "CLIENT KILL TYPE normal SKIPME yes").await;
                pause(random, 200..2000).await;
                run(&mut console, "CONFIG SET requirepass \"\"").await;
            }
            Self::CutsReplies => {
                proxy.cut_replies(Some(StdRng::from_rng(random)));
                pause(random, 1500..4000).await;
                proxy.cut_replies(None);
                assert!(proxy.cuts() > 0, "no reply was cut");
            }
        }
    }
}

pub(crate) async fn console(redis: &RedisServer) -> MultiplexedConnection {
    let client = redis::Client::open(redis.socket_url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

pub(crate) async fn run(console: &mut MultiplexedConnection, line: &str) {
    let mut words = line.split(' ').map(|word| word.trim_matches('"'));
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command.exec_async(console).await.unwrap();
}

/// While Redis is empty, the switch keeps what it has. Then another program puts everything back.
async fn lose_everything(world: &mut World, random: &mut StdRng) {
    let editor = world.editor.clone();
    let mut editor = editor.lock().await; // no edit meanwhile, which would be one of all that there is
    editor.fix().await;
    verdict::wait_until_as_wanted(world).await;
    let instances = |switch: &FakeSwitch| -> Vec<_> {
        switch.view(|view| {
            view.gateways()
                .iter()
                .map(|gateway| (gateway.name.clone(), gateway.instance))
                .collect()
        })
    };
    let before = instances(&world.switch);
    world.redis.kill();
    pause(random, 0..500).await;
    world.redis.restart(Data::Lost).await;
    pause(random, 300..2000).await;
    assert_eq!(
        instances(&world.switch),
        before,
        "Redis lost everything, the switch nothing"
    );
    editor.begin(&world.redis).await;
}

impl SwitchFault {
    const ALL: [Self; 7] = [
        Self::DropsConnections,
        Self::HalfOpen,
        Self::ReadsNothing,
        Self::Restarts,
        Self::LosesEvents,
        Self::DoublesEvents,
        Self::DelaysEvents,
    ];

    async fn strike(self, switch: &FakeSwitch, random: &mut StdRng) {
        match self {
            Self::DropsConnections => {
                for _ in 0..random.random_range(1..5) {
                    switch.drop_connections();
                    pause(random, 0..500).await;
                }
            }
            Self::HalfOpen => {
                for id in connections(switch).into_iter().filter(|_| random.random_bool(0.8)) {
                    switch.stall_connection(id, true);
                }
                pause(random, 500..3000).await;
            }
            Self::ReadsNothing => match random.random_range(0..3) {
                0 => {
                    switch.stall(true);
                    pause(random, 200..4000).await;
                    switch.stall(false);
                }
                1 => {
                    if let Some(&id) = connections(switch).choose(random) {
                        switch.stall_connection(id, true);
                        pause(random, 200..4000).await;
                        switch.stall_connection(id, false);
                    }
                }
                _ => {
                    switch.slow_commands(Duration::from_millis(random.random_range(50..600)));
                    pause(random, 200..4000).await;
                    switch.slow_commands(Duration::ZERO);
                }
            },
            Self::Restarts => {
                match random.random_bool(0.5) {
                    true => switch.shutdown().await,
                    false => switch.crash().await,
                }
                pause(random, 0..1500).await;
                switch.boot().await;
            }
            Self::LosesEvents => {
                for _ in 0..random.random_range(1..10) {
                    switch.lose_next_events(random.random_range(1..20));
                    pause(random, 50..300).await;
                }
                switch.lose_next_events(0);
            }
            Self::DoublesEvents => {
                for _ in 0..random.random_range(1..10) {
                    switch.duplicate_next_events(random.random_range(1..50));
                    pause(random, 50..300).await;
                }
            }
            Self::DelaysEvents => {
                for _ in 0..random.random_range(1..10) {
                    let held = random.random_range(2..12);
                    switch.reorder_next_events(held);
                    pause(random, 50..300).await;
                    // Held back until there are that many; heartbeats count too.
                    (0..held).for_each(|_| switch.fire_heartbeat());
                }
            }
        }
    }
}

impl CarrierFault {
    const ALL: [Self; 3] = [Self::Refuses, Self::Throttles, Self::Vanishes];

    async fn strike(self, carrier: &Carrier, random: &mut StdRng) {
        for _ in 0..random.random_range(1..4) {
            match self {
                Self::Refuses => {
                    let refused = match random.random_bool(0.2) {
                        true => vec![ALL],
                        false => TRUNKS.iter().copied().filter(|_| random.random_bool(0.3)).collect(),
                    };
                    let answers = [FORBIDDEN, NOT_FOUND, CHALLENGED_AGAIN];
                    for account in &refused {
                        carrier.answer(account, answers.choose(random).unwrap().clone());
                    }
                    pause(random, 200..3000).await;
                    refused.iter().for_each(|account| carrier.answer(account, Outcome::Ok));
                }
                Self::Throttles => {
                    match random.random_range(0..3) {
                        0 => carrier.throttle(random.random_range(0..3), Window::Seconds(random.random_range(1..50))),
                        1 => carrier.answer(ALL, [BUSY, UNAVAILABLE, DECLINE].choose(random).unwrap().clone()),
                        _ => carrier.delay(random.random_range(1..50)),
                    }
                    pause(random, 200..2000).await;
                    carrier.throttle_off();
                    carrier.answer(ALL, Outcome::Ok);
                    carrier.delay(0);
                }
                Self::Vanishes => {
                    match random.random_bool(0.5) {
                        true => carrier.vanish(),
                        false => carrier.cut_off("fs1", true),
                    }
                    pause(random, 200..3000).await;
                    carrier.come_back();
                    carrier.cut_off("fs1", false);
                }
            }
            pause(random, 0..500).await;
        }
    }
}

fn connections(switch: &FakeSwitch) -> Vec<u64> {
    switch.view(|view| view.connections().iter().map(|connection| connection.id).collect())
}

pub(crate) async fn kill_one(trunkds: &mut [Trunkd], random: &mut StdRng) {
    let victim = random.random_range(0..trunkds.len());
    let is_alone = trunkds.iter().filter(|one| one.is_alive()).count() <= 1;
    for _ in 0..random.random_range(1..4) {
        trunkds[victim].kill();
        pause(random, 0..1000).await;
        if !is_alone && random.random_bool(0.3) {
            return;
        }
        trunkds[victim].start().await;
        pause(random, 0..800).await;
    }
}

async fn trunkd_and_carrier(world: &mut World, random: &mut StdRng) {
    let mut of_carrier = StdRng::from_rng(random);
    let fault = *CarrierFault::ALL.choose(&mut of_carrier).unwrap();
    println!("{fault:?}");
    tokio::join!(
        fault.strike(&world.carrier, &mut of_carrier),
        kill_one(&mut world.trunkds, random)
    );
}

/// Redis, the switch, the carrier and trunkd, each with independent faults.
async fn storm(world: &mut World, random: &mut StdRng) {
    let (mut of_redis, mut of_switch, mut of_carrier, mut of_trunkd) = (
        StdRng::from_rng(random),
        StdRng::from_rng(random),
        StdRng::from_rng(random),
        StdRng::from_rng(random),
    );
    let World {
        redis,
        proxy,
        switch,
        carrier,
        trunkds,
        ..
    } = world;
    tokio::join!(
        async {
            for _ in 0..of_redis.random_range(1..4) {
                pause(&mut of_redis, 0..500).await;
                let fault = *RedisFault::ALL.choose(&mut of_redis).unwrap();
                println!("{fault:?}");
                fault.strike(redis, proxy, &mut of_redis).await;
            }
        },
        async {
            for _ in 0..of_switch.random_range(1..5) {
                pause(&mut of_switch, 0..500).await;
                let fault = *SwitchFault::ALL.choose(&mut of_switch).unwrap();
                println!("{fault:?}");
                fault.strike(switch, &mut of_switch).await;
            }
        },
        async {
            for _ in 0..of_carrier.random_range(0..3) {
                pause(&mut of_carrier, 0..1000).await;
                let fault = *CarrierFault::ALL.choose(&mut of_carrier).unwrap();
                println!("{fault:?}");
                fault.strike(carrier, &mut of_carrier).await;
            }
        },
        async {
            for _ in 0..of_trunkd.random_range(0..3) {
                pause(&mut of_trunkd, 0..1500).await;
                kill_one(trunkds, &mut of_trunkd).await;
            }
        },
    );
}
