//! Tells systemd how far trunkd is, if it was started with `Type=notify`.

use sd_notify::NotifyState;

pub(super) fn ready() {
    notify(NotifyState::Ready);
}

pub(super) fn stopping() {
    notify(NotifyState::Stopping);
}

fn notify(state: NotifyState<'_>) {
    let states = [state];
    if let Err(error) = sd_notify::notify(&states) {
        tracing::warn!("cannot notify systemd of {states:?}: {error}");
    }
}
