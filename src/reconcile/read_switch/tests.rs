use super::*;
use crate::registration::{PingStatus, State};

fn status(name: &str, profile: &str) -> GatewayStatus {
    GatewayStatus {
        name: name.to_owned(),
        profile: profile.to_owned(),
        state: State::Reged,
        ping: PingStatus::Up,
        uptime: None,
        details: crate::event_socket::GatewayDetails::default(),
    }
}

#[test]
fn of_one_name_the_first_is_live_and_the_others_are_predecessors_or_ghosts() {
    let all = [
        status("a", "external"),
        status("b", "internal"),
        status("a", "external"),
        status("a", "internal"),
    ];
    let (live, ghosts) = live_and_ghosts(&all);
    assert!(live.iter().map(|status| &**status).eq([&all[0], &all[1]]));
    assert_eq!(ghosts, [("a", "internal")]);
}
