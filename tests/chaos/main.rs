//! Everything fails here at random moments and for random times, while gateways are edited, carriers
//! change their answers and FreeSWITCH asks for its configuration. Meanwhile no answer may be broken and
//! no carrier hears more than its pace, and afterwards Redis and the switch agree, and no gateway is parked
//! that its carrier accepts. Half of the edits go through the API, the others past it;
//! afterwards the history has them all.
//!
//! In a fleet, gateways of one switch move among three; at no moment may two switches that a trunkd can
//! reach have registered the same one.
//!
//! Each test plays one fault by random schedules. `TRUNKD_CHAOS_SCHEDULES=10` plays ten of each,
//! `make chaos N=1000` a thousand in all, and `TRUNKD_CHAOS_SEED=123` repeats the one that was printed
//! as `seed 123`. A seed decides what happens but not how fast, so a failure that depends on timing
//! may take several tries. trunkd is a process of its own, so that it can be killed as `kill -9` does.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod api;
mod faults;
mod fleet;
mod life;
mod past;
mod program;
mod schedule;
mod verdict;

use faults::CarrierFault::{Refuses, Throttles, Vanishes};
use faults::Fault::{Carrier, Redis, RedisComesBackEmpty, Storm, Switch, Trunkd, TrunkdAndCarrier};
use faults::RedisFault::{AsksForAPassword, BecomesAReplica, CutsReplies, IsKilled, RunsOutOfMemory, Stalls};
use faults::SwitchFault::{
    DelaysEvents, DoublesEvents, DropsConnections, HalfOpen, LosesEvents, ReadsNothing, Restarts,
};
use fleet::Fault::{
    Dies, DiesInAMove, Everything, IsCutOff, IsCutOffFromSome, LosesTheCarrier, PlacementsAreLostInAMove,
    RedisFailsInAMove, RedisFailsOverInAMove, TrunkdDiesInAMove,
};
use schedule::{Schedule, play};
use verdict::Listed::{Every, EveryInAnyOrder, Part, PartInAnyOrder};

/// How many tests share the schedules of `TRUNKD_CHAOS_IN_ALL`.
const TESTS: usize = OF_ONE_SWITCH + OF_A_FLEET;

/// One test per line: its name, the fault, the number of trunkd processes, and which of the events
/// that the switch sent are in the list afterwards.
macro_rules! schedules {
    ($($name:ident: $fault:expr, $trunkds:literal, $listed:expr;)*) => {
        const OF_ONE_SWITCH: usize = [$(stringify!($name)),*].len();

        $(
            #[test]
            fn $name() {
                let schedule = Schedule { fault: $fault, trunkds: $trunkds, listed: $listed };
                play(stringify!($name), |random, folder| schedule::act(schedule, random, folder));
            }
        )*
    };
}

/// One test per line: its name and the fault.
macro_rules! fleets {
    ($($name:ident: $fault:expr;)*) => {
        const OF_A_FLEET: usize = [$(stringify!($name)),*].len();

        $(
            #[test]
            fn $name() {
                play(stringify!($name), |random, folder| fleet::act($fault, random, folder));
            }
        )*
    };
}

schedules! {
    redis_is_killed_and_comes_back_with_its_data:            Redis(IsKilled),          1, Every;
    redis_comes_back_empty:                                  RedisComesBackEmpty,      1, Part;
    redis_stalls_for_seconds:                                Redis(Stalls),            1, Every;
    redis_runs_out_of_memory:                                Redis(RunsOutOfMemory),   1, Every;
    redis_becomes_a_replica:                                 Redis(BecomesAReplica),   1, Every;
    redis_asks_for_another_password:                         Redis(AsksForAPassword),  1, Every;
    the_connection_to_redis_is_cut_in_the_middle_of_a_reply: Redis(CutsReplies),       1, Every;
    the_switch_drops_the_connection:                         Switch(DropsConnections), 1, Part;
    the_switch_is_half_open:                                 Switch(HalfOpen),         1, Part;
    the_switch_reads_nothing:                                Switch(ReadsNothing),     1, Part;
    the_switch_restarts:                                     Switch(Restarts),         1, Part;
    events_are_lost:                                         Switch(LosesEvents),      1, Every;
    events_come_twice:                                       Switch(DoublesEvents),    1, Every;
    events_come_out_of_order:                                Switch(DelaysEvents),     1, Every;
    a_carrier_refuses:                                       Carrier(Refuses),         1, Every;
    a_carrier_throttles:                                     Carrier(Throttles),       1, Every;
    a_carrier_vanishes:                                      Carrier(Vanishes),        1, Every;
    trunkd_is_killed:                                        Trunkd,                   1, Part;
    one_of_two_trunkd_is_killed:                             Trunkd,                   2, EveryInAnyOrder;
    one_of_two_trunkd_is_killed_while_a_carrier_fails:       TrunkdAndCarrier,         2, EveryInAnyOrder;
    storm:                                                   Storm,                    2, PartInAnyOrder;
}

fleets! {
    a_switch_dies:                                   Dies;
    a_switch_dies_in_the_middle_of_a_move:           DiesInAMove;
    a_switch_is_cut_off_from_every_trunkd:           IsCutOff;
    two_trunkd_disagree_about_who_is_dead:           IsCutOffFromSome;
    a_switch_is_cut_off_from_its_carrier:            LosesTheCarrier;
    trunkd_is_killed_in_the_middle_of_a_move:        TrunkdDiesInAMove;
    redis_fails_in_the_middle_of_a_move:             RedisFailsInAMove;
    redis_fails_over_in_the_middle_of_a_move:        RedisFailsOverInAMove;
    placements_are_lost_in_the_middle_of_a_move:     PlacementsAreLostInAMove;
    everything_fails_in_a_fleet:                     Everything;
}

/// Not a test: the schedules start this as trunkd.
#[test]
fn trunkd_itself() {
    program::run_if_asked();
}
