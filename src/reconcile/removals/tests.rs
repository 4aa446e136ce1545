use super::*;

const WINDOW: Duration = Duration::from_secs(600);

fn gateway(name: &str) -> GatewayName {
    GatewayName::parse(name).unwrap()
}

fn names(removals: &Removals) -> Vec<String> {
    removals.names().map(ToString::to_string).collect()
}

#[test]
fn what_went_counts_for_one_window() {
    let start = Instant::now();
    let mut removals = Removals::new(WINDOW);
    removals.lose(gateway("a"), start);
    removals.leave_out([gateway("b")], start + WINDOW / 2);
    removals.expire(start + WINDOW - Duration::from_millis(1));
    assert_eq!(names(&removals), ["a", "b"]);
    assert_eq!(removals.next_end(), Some(start + WINDOW));
    removals.expire(start + WINDOW);
    assert_eq!(names(&removals), ["b"]);
}

#[test]
fn what_is_back_counts_only_if_somebody_was_without_it() {
    let start = Instant::now();
    let mut removals = Removals::new(WINDOW);
    removals.leave_out([gateway("a")], start);
    removals.take_back(|_| true);
    assert_eq!(names(&removals), [""; 0]);
    removals.leave_out([gateway("b")], start);
    removals.give(start + WINDOW / 2);
    removals.lose(gateway("c"), start);
    removals.take_back(|_| true);
    assert_eq!(names(&removals), ["b", "c"]);
    removals.expire(start + WINDOW);
    assert_eq!(names(&removals), ["b"], "it is lost since it was given");
}

#[test]
fn what_is_lost_is_for_other_trunkd_to_know() {
    let (start, confirm) = (Instant::now(), Duration::from_millis(250));
    let mut removals = Removals::new(WINDOW);
    removals.leave_out([gateway("a")], start);
    removals.lose(gateway("b"), start);
    removals.confirm(confirm, start);
    let unshared = |removals: &Removals, now| {
        let all = removals.unshared(now).map(|(gateway, age)| (gateway.to_string(), age));
        all.collect::<Vec<_>>()
    };
    assert_eq!(unshared(&removals, start), []);
    removals.confirm(confirm, start + confirm);
    removals.take_back(|_| true);
    assert_eq!(unshared(&removals, start + confirm), [("a".to_owned(), confirm)]);
    removals.lose(gateway("a"), start + confirm);
    assert_eq!(unshared(&removals, start), []);
    // It was removed again after it was recorded.
    removals.leave_out([gateway("a")], start + WINDOW / 2);
    removals.lose(gateway("a"), start + confirm);
    assert_eq!(
        unshared(&removals, start + WINDOW / 2),
        [("a".to_owned(), Duration::ZERO)]
    );
    removals.lose(gateway("a"), start + WINDOW / 2);
    // Redis forgot it.
    removals.share_again(&[gateway("b")].into());
    assert_eq!(
        unshared(&removals, start + WINDOW / 2 + confirm),
        [("a".to_owned(), confirm)]
    );
}
