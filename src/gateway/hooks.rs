//! Variables that make FreeSWITCH execute something: an API command, a dialplan application, and through them a shell.
//!
//! A gateway's variables are set on every call over it, so anybody who may write one gateway could run commands on the
//! switch. This is the one list of what does so, each with the file of FreeSWITCH's source that reads it. **seen** was
//! carried out by a real FreeSWITCH.
//!
//! FreeSWITCH does not expand the value of a gateway's variable: it refuses to set one that holds `${…}`
//! (`switch_channel_set_variable_var_check` in switch_channel.c; **seen**). A `p:` variable sets a field of the caller
//! profile instead, without that check, and `${caller_id_number}` in a dialplan expands what it finds there once more.

use super::AllowedHooks;
use super::variables::caller_profile_field;

/// Which names an entry of the list is about, in lower case.
#[derive(Debug, Clone, Copy)]
enum Names {
    Is(&'static str),
    StartWith(&'static str),
    Contain(&'static str),
    EndWith(&'static str),
}

/// Which values of such a variable execute something.
#[derive(Debug, Clone, Copy)]
enum Values {
    All,
    /// `app::argument`, which `switch_ivr_broadcast` executes (switch_ivr_async.c).
    Broadcast,
    /// A dialplan other than XML: `inline` and others take applications, or scripts, from the dialled number.
    Dialplan,
    /// `extension:dialplan:context`.
    TransferByColons,
    /// `causes extension dialplan context`.
    TransferBySpaces,
}

/// In any case: FreeSWITCH finds variables, and prefixes of their names, without regard to case.
const HOOKS: &[(Names, Values)] = &[
    // switch_core_state_machine.c: api_hangup_hook, api_reporting_hook (seen). switch_ivr_bridge.c:
    // api_before_bridge (seen), api_after_bridge. switch_channel.c, switch_ivr_originate.c,
    // switch_ivr_async.c, switch_ivr_play_say.c, sofia_glue.c, mod_conference.c, mod_spandsp_fax.c,
    // mod_spandsp_dsp.c: api_on_… and anything that begins so (seen).
    (Names::StartWith("api_"), Values::All),
    // The same files, mod_sofia.c, sofia.c, switch_ivr.c, switch_rtp.c, switch_core_media.c, mod_fsk.c, mod_avmd.c,
    // mod_cv.cpp: execute_on_… (seen). switch_ivr_bridge.c: exec_after_bridge_app, exec_after_bridge_arg (seen).
    (Names::StartWith("exec"), Values::All),
    // switch_core_media.c: sip_execute_on_image, sip_api_on_image. mod_opal.cpp: opal_execute_on_t38, opal_api_on_t38.
    (Names::Contain("execute_on_"), Values::All),
    (Names::Contain("api_on_"), Values::All),
    // switch_core_state_machine.c: session_in_hangup_hook gives api_hangup_hook the session.
    (Names::EndWith("_hook"), Values::All),
    (Names::Contain("_on_hangup"), Values::All),
    // switch_ivr_bridge.c: …_app, …_data, …_aleg_app, …_bleg_app (seen).
    (Names::StartWith("bridge_pre_execute"), Values::All),
    (Names::StartWith("bridge_post_execute"), Values::All),
    // switch_ivr_async.c, switch_ivr_play_say.c: …_app, …_api.
    (Names::StartWith("record_post_process_exec"), Values::All),
    // mod_spandsp_fax.c: system_on_fax_result, …_success, …_failure run a shell.
    (Names::StartWith("system_on_"), Values::All),
    // switch_ivr_originate.c: with the key `exec` the file is an application (seen).
    (Names::Is("group_confirm_key"), Values::All),
    (Names::Is("group_confirm_file"), Values::All),
    // mod_loopback.c
    (Names::Is("loopback_app"), Values::All),
    (Names::Is("loopback_app_arg"), Values::All),
    // mod_python3.c: a folder to import from.
    (Names::Is("python_script_path"), Values::All),
    // mod_fifo.c: put before the names of variables that are copied, `execute_on_` for instance.
    (Names::Is("fifo_import_prefix"), Values::All),
    // sofia.c, mod_verto.c: a destination in the inline dialplan.
    (Names::Is("inline_destination"), Values::All),
    // switch_ivr_bridge.c (seen)
    (Names::Is("transfer_after_bridge"), Values::TransferByColons),
    (Names::Is("transfer_after_early_bridge"), Values::TransferByColons),
    // switch_channel.c
    (Names::Is("transfer_on_fail"), Values::TransferBySpaces),
    // switch_core_state_machine.c: the caller profile's own, `p:dialplan`, which is expanded too (seen).
    (Names::Is("dialplan"), Values::Dialplan),
    // switch_ivr.c: force_transfer_dialplan. sofia.c: sip_redirect_dialplan, inbound_dialplan. mod_dptools.c:
    // campon_fallback_dialplan, mutex_orbit_dialplan, page_dp. mod_fifo.c: fifo_orbit_dialplan. mod_valet_parking.c:
    // valet_parking_orbit_dialplan. mod_voicemail.c: voicemail_callback_dialplan.
    (Names::EndWith("_dialplan"), Values::Dialplan),
    (Names::Is("page_dp"), Values::Dialplan),
    // switch_core_media.c, switch_ivr.c: hold_music, temp_hold_music (seen). switch_core_io.c: drop_dtmf_masking_file.
    // switch_ivr_bridge.c: video_pre_call_banner.
    (Names::EndWith("hold_music"), Values::Broadcast),
    (Names::Is("drop_dtmf_masking_file"), Values::Broadcast),
    (Names::StartWith("video_pre_call_banner"), Values::Broadcast),
];

/// Names that look like one of the list, and are not.
const HARMLESS: &[&str] = &["log_audio_stats_on_hangup"]; // switch_core_state_machine.c: true or false

/// What no value may hold, whatever the variable, in lower case.
const HOOKS_IN_VALUES: &[&str] = &[
    // mod_shell_stream.c: a file name that is a command.
    "shell_stream:",
    // switch_core_file.c: a parameter of a recorded file that goes into a shell command.
    "spool_path=",
    // switch_ivr_originate.c: variables in a dial string, `{execute_on_answer='…'}`.
    "execute_on_",
    "api_on_",
    "api_hangup_hook",
    "api_reporting_hook",
    "exec_after_bridge_",
];

/// Whether a variable makes FreeSWITCH execute what its value says, and is not allowed to.
pub(super) fn is_forbidden(name: &str, value: &str, allowed: &AllowedHooks) -> bool {
    let written = name.to_ascii_lowercase();
    let effective = effective_name(&written);
    executes(name, effective, value)
        && match allowed {
            AllowedHooks::None => true,
            AllowedHooks::All => false,
            AllowedHooks::Names(names) => !names.contains(&written) && !names.contains(effective),
        }
}

fn executes(name: &str, effective: &str, value: &str) -> bool {
    let by_name = HOOKS
        .iter()
        .any(|(names, values)| names.include(effective) && values.include(value));
    let lower = value.to_ascii_lowercase();
    by_name && !HARMLESS.contains(&effective)
        || HOOKS_IN_VALUES.iter().any(|word| lower.contains(word))
        || caller_profile_field(name).is_some() && calls_api(value)
}

/// The variable that a name finally sets. `p:` is a caller-profile field, used if there is no such variable;
/// `nolocal:` is taken off when it is exported to the other leg (seen), and `[0]` makes an item of an array (seen).
fn effective_name(lower: &str) -> &str {
    let mut name = lower.split('[').next().unwrap_or_default();
    while let Some(rest) = ["p:", "nolocal:", "_nolocal_"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
    {
        name = rest;
    }
    name
}

/// Whether an expansion of this text calls an API command: `${command(arguments)}` or `${command arguments}`
/// (`switch_channel_expand_variables_check` in switch_channel.c).
fn calls_api(value: &str) -> bool {
    let (mut depth, mut after_dollar) = (0_usize, false);
    for c in value.chars() {
        match c {
            '{' if depth > 0 || after_dollar => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '(' | ' ' if depth > 0 => return true,
            _ => {}
        }
        // Escapes are taken off by an expansion before this one.
        after_dollar = c == '$' || (c == '\\' && after_dollar);
    }
    false
}

impl Names {
    fn include(self, name: &str) -> bool {
        match self {
            Self::Is(known) => name == known,
            Self::StartWith(start) => name.starts_with(start),
            Self::Contain(part) => name.contains(part),
            Self::EndWith(end) => name.ends_with(end),
        }
    }
}

impl Values {
    fn include(self, value: &str) -> bool {
        let is_other = |dialplan: Option<&str>| dialplan.is_some_and(|name| !is_xml(name));
        // FreeSWITCH takes quotes and escapes off before it splits such a text.
        let is_quoted = value.contains(['\'', '\\']);
        match self {
            Self::All => true,
            Self::Broadcast => value.split_once(':').is_some_and(|(_, rest)| rest.starts_with(':')),
            Self::Dialplan => !is_xml(value),
            Self::TransferByColons => is_quoted || is_other(value.split(':').nth(1)),
            Self::TransferBySpaces => is_quoted || is_other(value.split(' ').nth(2)),
        }
    }
}

fn is_xml(dialplan: &str) -> bool {
    dialplan.is_empty() || dialplan.eq_ignore_ascii_case("XML")
}

#[cfg(test)]
mod tests;
