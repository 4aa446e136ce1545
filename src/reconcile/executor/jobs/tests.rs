use super::*;
use crate::reconcile::plan::Have;

fn name(name: &str) -> GatewayName {
    GatewayName::parse(name).unwrap()
}

fn want() -> Want {
    Want {
        profile: "external".parse().unwrap(),
        revision: "r1".to_owned(),
        former: Box::default(),
        registers: true,
        domain: "acme".into(),
    }
}

fn have(revision: Option<&str>, registers: bool) -> Have {
    Have {
        profile: "external".parse().unwrap(),
        revision: revision.map(str::to_owned),
        registers,
    }
}

/// A switch that runs `gw`, if `have` is given.
fn known(have: Option<Have>) -> Known {
    let mut known = Known::default();
    known.actual.profiles.insert("external".parse().unwrap());
    known.actual.gateways.extend(have.map(|have| (name("gw"), have)));
    known
}

fn next(action: JobAction, known: &Known, is_wanted: bool, killed: bool) -> Result<Step, String> {
    let wants = is_wanted.then(|| (name("gw"), want())).into_iter().collect();
    step(action, &name("gw"), known, &wants, killed, false)
}

#[test]
fn a_restart_kills_what_runs_and_starts_what_is_wanted() {
    let running = have(Some("r0"), true);
    let restart = Step::Change(Action::Restart {
        gateway: name("gw"),
        from: running.clone(),
        to: want(),
    });
    assert_eq!(
        next(JobAction::Restart, &known(Some(running)), true, false),
        Ok(restart)
    );
    let start = Step::Change(Action::Start {
        gateway: name("gw"),
        to: want(),
    });
    assert_eq!(next(JobAction::Restart, &known(None), true, true), Ok(start));
}

#[test]
fn a_gateway_that_the_plan_started_after_the_kill_is_not_killed_again() {
    let known = known(Some(have(Some("r1"), true)));
    assert_eq!(next(JobAction::Restart, &known, true, true), Ok(Step::Done));
}

#[test]
fn what_is_not_wanted_not_ours_or_in_no_running_profile_is_not_restarted() {
    assert!(next(JobAction::Restart, &known(Some(have(Some("r1"), true))), false, false).is_err());
    assert!(next(JobAction::Restart, &known(Some(have(None, true))), true, false).is_err());
    let mut without_profile = known(None);
    without_profile.actual.profiles.clear();
    let refused = next(JobAction::Restart, &without_profile, true, false);
    assert!(refused.unwrap_err().contains("external"));
}

#[test]
fn only_a_gateway_that_runs_and_registers_is_registered_or_unregistered() {
    for (action, registers) in [(JobAction::Register, true), (JobAction::Unregister, false)] {
        let expected = Step::Registration {
            profile: "external".parse().unwrap(),
            registers,
        };
        let running = known(Some(have(Some("r1"), true)));
        assert_eq!(next(action, &running, true, false), Ok(expected));
        assert!(next(action, &known(None), true, false).is_err());
        assert!(next(action, &known(Some(have(Some("r1"), false))), true, false).is_err());
        assert!(next(action, &known(Some(have(None, true))), true, false).is_err());
    }
}

#[test]
fn a_gateway_is_parked_and_unparked_whether_it_runs_or_not() {
    let wants = [(name("gw"), want())].into();
    let next = |action, known: &Known, is_parked| step(action, &name("gw"), known, &wants, false, is_parked);
    let registration = |registers| {
        Ok(Step::Registration {
            profile: "external".parse().unwrap(),
            registers,
        })
    };
    let (running, absent) = (known(Some(have(Some("r1"), true))), known(None));
    assert_eq!(next(JobAction::Park, &running, false), registration(false));
    assert_eq!(next(JobAction::Park, &absent, false), Ok(Step::Done));
    for action in [JobAction::Unpark, JobAction::Register] {
        assert_eq!(next(action, &running, true), registration(true));
        assert_eq!(next(action, &absent, true), Ok(Step::Done));
    }
    assert!(next(JobAction::Unpark, &running, false).is_err());
    let never = known(Some(have(Some("r1"), false)));
    assert!(next(JobAction::Park, &never, false).is_err());
}

#[test]
fn a_gateway_whose_revision_is_not_known_waits() {
    let mut known = known(None);
    known.unsettled.insert(name("gw"));
    assert_eq!(next(JobAction::Restart, &known, true, false), Ok(Step::Wait));
}

#[test]
fn a_round_takes_each_gateway_once_and_the_oldest_job_first() {
    let job = |action, at: i64, gateways: &[&str]| {
        let mut job = Job::new(action, "user:alice");
        job.at = Timestamp::from_second(at).unwrap();
        let pending = gateways
            .iter()
            .map(|gateway| ((*gateway).to_owned(), JobOutcome::Pending));
        let done = ("done".to_owned(), JobOutcome::Done);
        (job.id.clone(), ActiveJob::new(&job, pending.chain([done]).collect()))
    };
    let jobs = [
        job(JobAction::Restart, 20, &["a", "b", "c"]),
        job(JobAction::Register, 10, &["b"]),
    ]
    .into();
    let busy = [name("c")].into();
    let round = |size| {
        let tasks = due(&jobs, &Troubles::default(), &busy, size);
        let tasks = tasks.into_iter();
        tasks
            .map(|task| (task.action, task.gateway.to_string()))
            .collect::<Vec<_>>()
    };
    let (first, second) = (
        (JobAction::Register, "b".to_owned()),
        (JobAction::Restart, "a".to_owned()),
    );
    assert_eq!(round(8), [first.clone(), second]);
    assert_eq!(round(1), [first]);
}
