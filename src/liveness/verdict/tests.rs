use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    failover_after: Duration::from_secs(6),
    failover_on_event_socket: false,
};
const NOW_MS: u64 = 1_764_000_000_000;
const LONG: u64 = 3_600_000;

const ALIVE: Signal = Signal::Alive { ago_ms: 0 };
const UP: Sight = both(ALIVE);
const ONLY_SIP: Sight = Sight {
    event_socket: Signal::Lost { for_ms: LONG },
    sip: ALIVE,
};
const ONLY_EVENT_SOCKET: Sight = Sight {
    event_socket: ALIVE,
    sip: Signal::Lost { for_ms: LONG },
};

const fn both(signal: Signal) -> Sight {
    Sight {
        event_socket: signal,
        sip: signal,
    }
}

const fn lost(for_ms: u64) -> Sight {
    both(Signal::Lost { for_ms })
}

const fn never(for_ms: u64) -> Sight {
    both(Signal::Never { for_ms })
}

/// What the trunkd `a`, `b`, … see of the switches `fs1`, `fs2`, …
fn sights(of_trunkd: &[&[Sight]]) -> Sights {
    let aged: Vec<_> = of_trunkd.iter().map(|switches| (0, switches.to_vec())).collect();
    aged_sights(&aged)
}

fn aged_sights(of_trunkd: &[(i64, Vec<Sight>)]) -> Sights {
    let trunkd = |(number, (age_ms, switches)): (usize, &(i64, Vec<Sight>))| {
        let name = char::from(b'a' + u8::try_from(number).unwrap());
        let switches = switches.iter().enumerate();
        let sights = TrunkdSights {
            at_ms: NOW_MS.checked_add_signed(-age_ms).unwrap(),
            places: true,
            switches: switches
                .map(|(number, sight)| (format!("fs{}", number + 1), *sight))
                .collect(),
        };
        (name.to_string(), sights)
    };
    Sights {
        now_ms: NOW_MS,
        by_trunkd: of_trunkd.iter().enumerate().map(trunkd).collect(),
    }
}

/// Judged each second for two minutes.
fn watched(rules: Rules, sights: &Sights) -> Judgement {
    let (mut judge, start) = (Judge::new(rules), Instant::now());
    let seconds = (0..120).map(Duration::from_secs);
    let judgements = seconds.map(|second| judge.judge(sights, start + second));
    judgements.last().unwrap()
}

/// Of `fs1`.
fn verdict(of_trunkd: &[&[Sight]]) -> Verdict {
    watched(RULES, &sights(of_trunkd)).of("fs1")
}

fn dead_for(lasts_ms: u64) -> Verdict {
    Verdict {
        life: Life::Dead {
            since: before(NOW_MS, Duration::from_millis(lasts_ms)),
        },
        why: Why::Silent,
    }
}

const fn unknown(why: Why) -> Verdict {
    Verdict {
        life: Life::Unknown,
        why,
    }
}

#[test]
fn a_switch_is_dead_if_all_have_lost_it_in_both_ways_for_long_enough() {
    assert_eq!(verdict(&[&[lost(7000), UP], &[lost(9000), UP]]), dead_for(7000));
    assert_eq!(verdict(&[&[lost(5999), UP], &[lost(9000), UP]]), unknown(Why::Silent));
    // The way that answered last counts.
    let sip_was_last = Sight {
        event_socket: Signal::Lost { for_ms: LONG },
        sip: Signal::Lost { for_ms: 3000 },
    };
    assert_eq!(verdict(&[&[sip_was_last, UP]]), unknown(Why::Silent));
}

#[test]
fn one_trunkd_that_reaches_it_in_either_way_keeps_it_alive() {
    let live = Verdict {
        life: Life::Live,
        why: Why::Connected,
    };
    assert_eq!(verdict(&[&[lost(LONG), UP], &[ONLY_EVENT_SOCKET, UP]]), live);
    let degraded = verdict(&[&[lost(LONG), UP], &[ONLY_SIP, UP]]);
    assert_eq!(
        degraded,
        Verdict {
            life: Life::Degraded {
                since: before(NOW_MS, Duration::from_millis(LONG))
            },
            why: Why::OnlySip,
        }
    );
}

#[test]
fn a_trunkd_that_never_reached_it_agrees_but_does_not_know_since_when() {
    // It started after the death, and nobody else is left who saw it.
    assert_eq!(verdict(&[&[never(7000), UP]]), dead_for(7000));
    assert_eq!(verdict(&[&[never(5000), UP]]), unknown(Why::Silent));
    // Somebody else knows when: neither an old nor a young trunkd changes that.
    assert_eq!(verdict(&[&[never(LONG), UP], &[lost(2000), UP]]), unknown(Why::Silent));
    assert_eq!(verdict(&[&[never(10), UP], &[lost(8000), UP]]), dead_for(8000));
}

#[test]
fn a_trunkd_that_reaches_nothing_has_no_vote() {
    let cut_off: &[Sight] = &[lost(LONG), lost(LONG)];
    assert_eq!(verdict(&[cut_off, &[UP, UP]]).life, Life::Live);
    assert_eq!(verdict(&[cut_off, &[lost(8000), UP]]), dead_for(8000));
    // All of them together kill nothing.
    let judgement = watched(RULES, &sights(&[cut_off, cut_off, cut_off]));
    assert_eq!(judgement.cut_off, Some(CutOff::Everything));
    for switch in ["fs1", "fs2"] {
        assert_eq!(judgement.of(switch), unknown(Why::CutOff(CutOff::Everything)));
    }
    // At a start nothing is connected yet, which is no news.
    let first = Judge::new(RULES).judge(&sights(&[cut_off]), Instant::now());
    assert_eq!(first.of("fs1"), unknown(Why::Silent));
    // So the only switch is never dead: nobody could tell it from a broken network.
    assert_eq!(verdict(&[&[lost(LONG)]]), unknown(Why::CutOff(CutOff::Everything)));
}

#[test]
fn nothing_is_dead_if_more_than_half_are_lost_within_a_minute() {
    let together = [lost(70_000), lost(60_000), lost(11_000), UP];
    let judgement = watched(RULES, &sights(&[&together]));
    let many = CutOff::Many { lost: 3, of: 4 };
    assert_eq!(judgement.cut_off, Some(many));
    for switch in ["fs1", "fs2", "fs3"] {
        assert_eq!(judgement.of(switch), unknown(Why::CutOff(many)));
    }
    assert_eq!(judgement.of("fs4").life, Life::Live);

    let apart = [lost(LONG), lost(60_000), lost(11_000), UP];
    let judgement = watched(RULES, &sights(&[&apart]));
    assert_eq!(judgement.cut_off, None);
    assert!(["fs1", "fs2", "fs3"].iter().all(|switch| judgement.is_dead(switch)));
    // One that is not dead yet counts too.
    assert_eq!(
        watched(RULES, &sights(&[&[lost(7000), lost(100), UP]])).cut_off,
        Some(CutOff::Many { lost: 2, of: 3 })
    );
    assert_eq!(
        verdict(&[&[lost(7000), UP]]),
        dead_for(7000),
        "half is not more than half"
    );
}

#[test]
fn a_lost_event_socket_alone_is_a_death_only_if_the_settings_say_so_and_after_a_minute() {
    let on = Rules {
        failover_on_event_socket: true,
        ..RULES
    };
    let of = |for_ms, sip| {
        let sight = Sight {
            event_socket: Signal::Lost { for_ms },
            sip,
        };
        sights(&[&[sight, UP, UP]])
    };
    for sip in [ALIVE, Signal::Unknown] {
        assert!(!watched(RULES, &of(LONG, sip)).is_dead("fs1"));
        assert!(!watched(on, &of(59_000, sip)).is_dead("fs1"));
        assert!(watched(on, &of(61_000, sip)).is_dead("fs1"));
    }
    let why = watched(RULES, &of(LONG, Signal::Unknown)).of("fs1");
    assert!(
        matches!(why.life, Life::Degraded { .. }) && why.why == Why::SipUnknown,
        "{why:?}"
    );
    // Most switches lose their event socket together: that is the network.
    let all = [ONLY_SIP, ONLY_SIP, UP];
    let judgement = watched(on, &sights(&[&all]));
    assert_eq!(judgement.cut_off, Some(CutOff::Many { lost: 2, of: 3 }));
    assert!(matches!(judgement.of("fs1").life, Life::Degraded { .. }));
}

#[test]
fn a_judge_must_have_watched_for_as_long_without_a_gap() {
    let (mut judge, start) = (Judge::new(RULES), Instant::now());
    let lost = sights(&[&[lost(LONG), UP]]);
    let vetoed = sights(&[&[self::lost(LONG), UP], &[UP, UP]]);
    let mut is_dead = |sights: &Sights, second| judge.judge(sights, start + Duration::from_secs(second)).is_dead("fs1");
    assert!((0..6).all(|second| !is_dead(&lost, second)), "just started");
    assert!(is_dead(&lost, 6));
    // Another trunkd reaches it, until Redis loses what that one wrote.
    assert!(!is_dead(&vetoed, 7));
    assert!((8..13).all(|second| !is_dead(&lost, second)));
    assert!(is_dead(&lost, 13));
    // Redis was away: others may not be back yet.
    assert!((17..23).all(|second| !is_dead(&lost, second)));
    assert!(is_dead(&lost, 23));
}

#[test]
fn the_time_counts_from_the_last_sign_of_life_and_not_from_when_it_was_told() {
    let (mut judge, start) = (Judge::new(RULES), Instant::now());
    let mut is_dead = |sights: &Sights, ms| judge.judge(sights, start + Duration::from_millis(ms)).is_dead("fs1");
    let old = Sight {
        event_socket: Signal::Lost { for_ms: 500 },
        sip: Signal::Alive { ago_ms: 2500 },
    };
    let alive = aged_sights(&[(1000, vec![old, UP])]);
    let lost = sights(&[&[lost(LONG), UP]]);
    // It may have been told before we watched.
    assert!(!is_dead(&alive, 0));
    assert!((1..6).all(|second| !is_dead(&lost, second * 1000)));
    assert!(is_dead(&lost, 6000));

    assert!(!is_dead(&alive, 7000), "its last sign of life was at 3.5 s");
    assert!(!is_dead(&lost, 9499));
    assert!(is_dead(&lost, 9500));
}

fn signal() -> impl Strategy<Value = Signal> {
    prop_oneof![
        3 => (0..=2500_u64).prop_map(|ago_ms| Signal::Alive { ago_ms }),
        3 => (0..LONG).prop_map(|for_ms| Signal::Lost { for_ms }),
        1 => (0..LONG).prop_map(|for_ms| Signal::Never { for_ms }),
        1 => Just(Signal::Unknown),
    ]
}

fn sight() -> impl Strategy<Value = Sight> {
    (signal(), signal()).prop_map(|(event_socket, sip)| Sight { event_socket, sip })
}

/// Up to four trunkd and five switches, with ages.
fn fleet() -> impl Strategy<Value = Vec<(i64, Vec<Sight>)>> {
    let of_trunkd = (0..=3000_i64, prop::collection::vec(sight(), 0..5));
    prop::collection::vec(of_trunkd, 0..4)
}

fn rules() -> impl Strategy<Value = Rules> {
    (2..60_u64, any::<bool>()).prop_map(|(seconds, failover_on_event_socket)| Rules {
        failover_after: Duration::from_secs(seconds),
        failover_on_event_socket,
    })
}

proptest! {
    #[test]
    fn a_switch_that_anybody_reaches_is_not_dead(fleet in fleet(), rules in rules()) {
        let judgement = watched(rules, &aged_sights(&fleet));
        for (_, switches) in &fleet {
            for (number, sight) in switches.iter().enumerate() {
                let name = format!("fs{}", number + 1);
                let life = judgement.of(&name).life;
                if sight.event_socket.is_alive() {
                    prop_assert_eq!(life, Life::Live);
                }
                if sight.sip.is_alive() && !rules.failover_on_event_socket {
                    prop_assert!(!judgement.is_dead(&name), "{life:?}");
                }
            }
        }
    }

    #[test]
    fn a_death_is_seen_by_somebody_who_reaches_another_switch(fleet in fleet(), rules in rules()) {
        let judgement = watched(rules, &aged_sights(&fleet));
        for name in judgement.switches.keys().filter(|name| judgement.is_dead(name)) {
            prop_assert_eq!(judgement.cut_off, None);
            let number: usize = name[2..].parse().unwrap();
            let is_witness = |(_, switches): &(i64, Vec<Sight>)| {
                switches.len() >= number && switches.iter().any(|sight| sight.is_alive())
            };
            prop_assert!(fleet.iter().any(is_witness));
        }
    }

    #[test]
    fn the_order_of_sights_does_not_matter(fleet in fleet(), rules in rules()) {
        let reversed: Vec<_> = fleet.iter().rev().cloned().collect();
        prop_assert_eq!(watched(rules, &aged_sights(&fleet)), watched(rules, &aged_sights(&reversed)));
    }

    #[test]
    fn old_sights_and_those_from_the_future_do_not_count(
        fleet in fleet(),
        rules in rules(),
        age_ms in prop_oneof![3001..100_000_i64, -100_000..0_i64],
        other in prop::collection::vec(sight(), 0..5),
    ) {
        let mut with_old = fleet.clone();
        with_old.push((age_ms, other));
        let (without, with) = (watched(rules, &aged_sights(&fleet)), watched(rules, &aged_sights(&with_old)));
        prop_assert_eq!(with.cut_off, without.cut_off);
        for (name, verdict) in &without.switches {
            prop_assert_eq!(with.of(name), *verdict);
        }
    }

    /// `b` reaches `fs1` all the time, `a` never: no jump of Redis's clock may kill it.
    #[test]
    fn a_clock_that_jumps_kills_nothing(jumps in prop::collection::vec((-LONG_MS..LONG_MS, 4..20_u64), 1..8)) {
        let (mut judge, start) = (Judge::new(RULES), Instant::now());
        let (mut second, mut clock) = (0, i64::try_from(NOW_MS).unwrap());
        for (jump_ms, seconds) in jumps {
            // `b` wrote before the jump, `a` reads after it.
            let mut at_ms = clock;
            clock += jump_ms;
            for _ in 0..seconds {
                clock += 1000;
                second += 1;
                let mut read = aged_sights(&[(0, vec![never(LONG), UP]), (0, vec![UP, UP])]);
                read.now_ms = u64::try_from(clock).unwrap();
                for (name, sights) in &mut read.by_trunkd {
                    sights.at_ms = if name == "a" { read.now_ms } else { u64::try_from(at_ms).unwrap() };
                }
                let judgement = judge.judge(&read, start + Duration::from_secs(second));
                prop_assert!(!judgement.is_dead("fs1"), "at second {second}: {judgement:?}");
                at_ms = clock;
            }
        }
    }
}

const LONG_MS: i64 = 3_600_000;
