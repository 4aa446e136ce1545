//! Relative paths of `X-PRE-PROCESS` includes.

/// Names in FreeSWITCH's configuration folder. A path that starts with one of them is taken to be right.
const CONFIGURATION_FOLDER: [&str; 12] = [
    "autoload_configs",
    "chatplan",
    "dialplan",
    "directory",
    "ivr_menus",
    "jingle_profiles",
    "lang",
    "mrcp_profiles",
    "sip_profiles",
    "skinny_profiles",
    "tls",
    "vars.xml",
];

/// Rewrites a path relative to `folder` as one relative to FreeSWITCH's configuration folder. `None` if the path is
/// right already or unknowable.
pub(super) fn path_that_works(path: &str, folder: &str) -> Option<String> {
    let absolute = path.starts_with(['/', '\\']) || path.as_bytes().get(1) == Some(&b':');
    if absolute || path.starts_with("$${") || path.is_empty() {
        return None;
    }
    let plain = path.trim_start_matches("./");
    if let Some(up) = plain.strip_prefix("../") {
        // Up from the folder is the configuration folder; further up can only be said in full.
        return Some(if up.starts_with("../") {
            format!("$${{conf_dir}}/{plain}")
        } else {
            up.to_owned()
        });
    }
    let first = plain.split('/').next().unwrap_or_default();
    if CONFIGURATION_FOLDER.contains(&first) {
        None
    } else {
        Some(format!("{folder}/{plain}"))
    }
}
