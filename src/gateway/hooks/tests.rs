use std::collections::BTreeSet;

use super::*;

fn refused(name: &str, value: &str) -> bool {
    is_forbidden(name, value, &AllowedHooks::None)
}

#[test]
fn what_a_real_freeswitch_executed_is_refused() {
    for (name, value) in [
        ("api_hangup_hook", "system touch x"),
        ("api_reporting_hook", "system touch x"),
        ("api_on_originate", "system touch x"),
        ("api_on_answer_7", "system touch x"),
        ("API_ON_ANSWER", "system touch x"),
        ("api_hangup_hook[0]", "system touch x"),
        ("api_before_bridge", "system touch x"),
        ("api_on_pre_originate", "system touch x"),
        ("execute_on_answer", "system touch x"),
        ("execute_on_answer", "ARRAY::system touch x|:system touch y"),
        ("execute_on_media", "system:touch x"),
        ("execute_on_post_bridge", "system touch x"),
        ("execute_on_sip_extra_headers", "system touch x"),
        ("nolocal:execute_on_answer", "system touch x"),
        ("_nolocal_execute_on_answer", "system touch x"),
        ("group_confirm_key", "exec"),
        ("group_confirm_file", "system touch x"),
        ("bridge_pre_execute_app", "system"),
        ("bridge_pre_execute_data", "touch x"),
        ("exec_after_bridge_app", "system"),
        ("exec_after_bridge_arg", "touch x"),
        ("transfer_after_bridge", "'system:touch x':inline"),
        ("transfer_after_bridge", "system\\:touch x:inline"),
        ("hold_music", "system::touch x"),
        ("temp_hold_music", "system::touch x"),
        ("p:dialplan", "${system(touch x)}"),
    ] {
        assert!(refused(name, value), "{name}={value}");
    }
}

#[test]
fn what_freeswitchs_source_executes_is_refused() {
    for (name, value) in [
        ("session_in_hangup_hook", "true"),
        ("api_after_bridge", "x"),
        ("sip_execute_on_image", "x"),
        ("sip_api_on_image", "x"),
        ("opal_execute_on_t38", "x"),
        ("execute_on_hangup", "x"),
        ("bridge_pre_execute_bleg_app", "x"),
        ("bridge_post_execute_app", "x"),
        ("record_post_process_exec_app", "x"),
        ("record_post_process_exec_api", "x"),
        ("system_on_fax_success", "x"),
        ("loopback_app", "x"),
        ("inline_destination", "system:x"),
        ("transfer_on_fail", "user_busy 1000 inline"),
        ("transfer_after_early_bridge", "1000:lua"),
        ("force_transfer_dialplan", "inline"),
        ("sip_redirect_dialplan", "XML,inline"),
        ("page_dp", "inline"),
        ("p:dialplan", "inline"),
        ("p:p:execute_on_answer", "x"),
        ("drop_dtmf_masking_file", "system::x"),
        ("video_pre_call_banner_bleg", "system::x"),
        ("fifo_import_prefix", "execute_on_"),
        ("python_script_path", "/tmp"),
        ("ringback", "shell_stream://touch x"),
        ("conference_moh_sound", "SHELL_STREAM://touch x"),
        ("fifo_record_template", "{spool_path=/tmp/x;touch y}a.wav"),
        ("conference_auto_outcall_prefix", "{execute_on_answer='system x'}user/"),
        ("p:ani", "${system(touch x)}"),
        ("p:ani", "a$\\{system touch x}"),
        ("p:ani", "${${a}(x)}"),
        ("p:ani", "${expr(1"),
    ] {
        assert!(refused(name, value), "{name}={value}");
    }
}

#[test]
fn what_executes_nothing_is_let_through() {
    for (name, value) in [
        ("absolute_codec_string", "PCMA,PCMU"),
        ("sip_sticky_contact", "true"),
        ("p:caller_id_number", "1001"),
        ("p:caller_id_name", "${number}"),
        ("hold_music", "local_stream://moh"),
        ("hold_music", "http://[2001:db8::1]/moh.wav"),
        ("ringback", "%(2000,4000,440,480)"),
        ("transfer_ringback", "$${hold_music}"),
        ("log_audio_stats_on_hangup", "true"),
        ("hangup_after_bridge", "true"),
        ("transfer_after_bridge", "9000:XML:survey"),
        ("transfer_after_bridge", "9000"),
        ("transfer_on_fail", "user_busy 9000 xml public"),
        ("transfer_on_fail", "true"),
        ("force_transfer_dialplan", "XML"),
        ("force_transfer_context", "public"),
        ("sip_execution", "x"),
        ("rapid_answer", "x"),
        ("continue_on_fail", "true"),
        ("presence_id", "a (b) {c}"),
        ("tts_engine", "flite"),
    ] {
        assert!(!refused(name, value), "{name}={value}");
    }
}

#[test]
fn settings_allow_all_of_them_or_some_by_name() {
    let hook = |allowed| is_forbidden("API_hangup_hook", "lua x.lua", &allowed);
    let names =
        |names: &[&str]| AllowedHooks::Names(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
    assert!(hook(AllowedHooks::None) && hook(names(&[])) && hook(names(&["api_on_answer"])));
    assert!(!hook(AllowedHooks::All) && !hook(names(&["api_on_answer", "api_hangup_hook"])));
    // A name is allowed however it is dressed.
    assert!(!is_forbidden("p:api_on_answer[3]", "x", &names(&["api_on_answer"])));
}

#[test]
fn a_long_value_is_looked_through_once() {
    let value = format!("{}(", "${".repeat(30_000));
    assert!(refused("p:ani", &value));
    assert!(!refused("p:ani", &"$\\".repeat(30_000)));
}
