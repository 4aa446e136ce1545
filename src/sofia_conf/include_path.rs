//! Paths of includes: FreeSWITCH resolves those in an answer from its configuration folder, not from the
//! profile's folder (FACTS 10).

/// What is in FreeSWITCH's configuration folder.
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

/// For a path relative to `folder`: the same path relative to FreeSWITCH's configuration folder. `None`
/// if it is right already, or can't be known.
pub(super) fn working_path(path: &str, folder: &str) -> Option<String> {
    let absolute = path.starts_with(['/', '\\']) || path.as_bytes().get(1) == Some(&b':');
    if absolute || path.starts_with("$${") || path.is_empty() {
        return None;
    }
    let plain = path.trim_start_matches("./");
    if let Some(up) = plain.strip_prefix("../") {
        // One level up is the configuration folder; further up needs the full path.
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
