use super::*;

const SOFIA: &str = "hostname=fs1&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf";

fn sofia(rest: &str) -> SofiaConfRequest {
    match Request::from_query(format!("{SOFIA}{rest}").as_bytes()) {
        Ok(Request::SofiaConf(request)) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_pairs_tell_why_freeswitch_asks() {
    for (rest, kind) in [
        ("", RequestKind::Startup),
        ("&profile=", RequestKind::Startup),
        ("&profile=external", RequestKind::Profile),
        ("&profile=external&reconfig=true", RequestKind::Rescan),
        ("&profile=external&reconfig=true&gateway=gw_ok", RequestKind::Startgw),
        ("&profile=external&reconfig=true&gateway=_all_", RequestKind::StartgwAll),
        ("&profile=external&reconfig=true&gateway=_ALL_", RequestKind::Startgw),
    ] {
        assert_eq!(sofia(rest).kind(), kind, "{rest}");
    }
    assert_eq!(sofia("&gateway=_ALL_").gateway, RequestedGateway::One("_ALL_".into()));
}

#[test]
fn other_sections_and_configurations_are_recognized_before_anything_is_decoded() {
    for form in [
        "section=directory&tag_name=domain&key_name=name&key_value=example.net",
        "section=dialplan&profile=%zz",
        "hostname=fs1&section=configuration&tag_name=configuration&key_name=name&key_value=acl.conf&profile=%zz",
        "key_value=acl.conf&section=configuration",
        "section=configuration",
        "section=",
        "section",
    ] {
        assert_eq!(Request::from_query(form.as_bytes()), Ok(Request::Other), "{form}");
    }
}

#[test]
fn a_form_without_section_is_refused_with_an_example() {
    for form in [
        "",
        "&",
        "=",
        "{\"a\":1}",
        "hostname=fs1&key_value=sofia.conf",
        "Section=configuration",
    ] {
        let error = Request::from_query(form.as_bytes()).unwrap_err();
        assert_eq!(error, BadRequest::NoSection, "{form}");
        assert!(
            error
                .to_string()
                .contains("section=configuration&tag_name=configuration")
        );
    }
}

#[test]
fn a_broken_encoding_matters_only_in_a_pair_that_is_read() {
    let refused = |rest: &str| Request::from_query(format!("{SOFIA}{rest}").as_bytes()).unwrap_err();
    assert_eq!(refused("&profile=%"), BadRequest::BrokenEscape("profile"));
    assert_eq!(refused("&profile=%4"), BadRequest::BrokenEscape("profile"));
    assert_eq!(refused("&gateway=a%+1"), BadRequest::BrokenEscape("gateway"));
    assert_eq!(refused("&reconfig=%x1"), BadRequest::BrokenEscape("reconfig"));
    assert_eq!(refused("&FreeSWITCH-Switchname=%FF"), BadRequest::NotUtf8(SWITCHNAME));
    assert_eq!(
        sofia("&Event-Name=%&Core-UUID=%FF&profile=external").profile.as_deref(),
        Some("external")
    );
}

#[test]
fn the_first_of_two_pairs_wins() {
    let request = sofia("&profile=external&profile=internal&key_value=acl.conf&profile=%");
    assert_eq!(request.profile.as_deref(), Some("external"));
}

#[test]
fn the_node_is_the_encoded_switchname_or_else_the_raw_hostname() {
    assert_eq!(sofia("&FreeSWITCH-Switchname=fs%20%E9%A1%B6").node, "fs 顶");
    assert_eq!(sofia("").node, "fs1");
    let raw = SOFIA.replace("fs1", "100%+a");
    match Request::from_query(raw.as_bytes()) {
        Ok(Request::SofiaConf(request)) => assert_eq!(request.node, "100%+a"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_switchname_that_is_too_long_is_refused() {
    let asked = |length: usize| {
        let form = SOFIA.replace("fs1", &"x".repeat(length));
        Request::from_query(form.as_bytes())
    };
    assert!(asked(255).is_ok());
    assert_eq!(asked(256), Err(BadRequest::LongSwitchname(256)));
    let encoded = format!("{SOFIA}&{SWITCHNAME}={}", "%41".repeat(256));
    assert_eq!(
        Request::from_query(encoded.as_bytes()),
        Err(BadRequest::LongSwitchname(256))
    );
}

#[test]
fn a_body_needs_the_content_type_of_a_form_or_none() {
    let body = SOFIA.as_bytes();
    for content_type in [
        None,
        Some(FORM),
        Some("Application/X-WWW-Form-URLencoded ; charset=utf-8"),
    ] {
        assert!(
            Request::from_body(content_type.map(str::as_bytes), body).is_ok(),
            "{content_type:?}"
        );
    }
    for content_type in ["application/json", "", "multipart/form-data; boundary=x"] {
        let error = Request::from_body(Some(content_type.as_bytes()), body).unwrap_err();
        assert_eq!(error, BadRequest::NotAForm(content_type.into()));
    }
}
