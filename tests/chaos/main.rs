//! Everything fails here at random moments and for random times, while gateways are edited, carriers
//! change their answers and FreeSWITCH asks for its configuration. Meanwhile no answer may be broken and
//! no carrier hears more than its pace, and afterwards Redis and the switch agree, and no gateway is parked
//! that its carrier accepts. Half of the edits go through the API, the others past it;
//! afterwards the history has them all.
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
use schedule::{Schedule, play};
use verdict::Listed::{Every, EveryInAnyOrder, Part, PartInAnyOrder};

/// One test per line: its name, the fault, the number of trunkd processes, and which of the events
/// that the switch sent are in the list afterwards.
macro_rules! schedules {
    ($($name:ident: $fault:expr, $trunkds:literal, $listed:expr;)*) => {
        /// How many tests share the schedules of `TRUNKD_CHAOS_IN_ALL`.
        const TESTS: usize = [$(stringify!($name)),*].len();

        $(
            #[test]
            fn $name() {
                play(Schedule { name: stringify!($name), fault: $fault, trunkds: $trunkds, listed: $listed });
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

/// Not a test: the schedules start this as trunkd.
#[test]
fn trunkd_itself() {
    program::run_if_asked();
}
