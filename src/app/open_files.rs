//! The limit of open files: every connection is one, and many systems allow a process 1,024 unless
//! it asks for more.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::http;
use crate::settings::Settings;

/// Files for anything but HTTP: Redis, the switches, templates, the log.
const OTHER_FILES: usize = 256;

/// Raises the soft limit to what the settings need, as far as the hard limit allows.
pub(super) fn raise_limit(settings: &Settings) {
    let connections = settings.http.max_connections;
    let needed = files_needed(connections, settings.switches.len());
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    if soft >= needed {
        return;
    }
    if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard) {
        tracing::warn!("the limit of open files stays {soft}: {error}");
    } else if hard < needed {
        tracing::warn!(
            "this process may open {hard} files, and http.max_connections = {connections} needs {needed}: \
             raise the hard limit (systemd: LimitNOFILE, shell: ulimit -Hn), or lower http.max_connections"
        );
    }
}

fn files_needed(max_connections: usize, switches: usize) -> u64 {
    let connections = http::most_connections(max_connections, switches);
    u64::try_from(connections.saturating_add(OTHER_FILES)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_wait_and_those_of_switches_need_files_too() {
        assert_eq!(files_needed(1000, 0), 1000 + 1000 + 256);
        assert_eq!(files_needed(1000, 3) - files_needed(1000, 0), 3 * 16);
        assert!(
            files_needed(usize::MAX / 4, usize::MAX) > files_needed(1000, 3),
            "nothing overflows"
        );
    }
}
