use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::gateway::{Desired, GatewayName, ProfileFacts, ProfileName, RawDomain, RawDomains};
use crate::sofia_conf::{GatewayQuery, Query, RevisionKey};

const SOFIA_CONF: &str = "<configuration name=\"sofia.conf\">\n  <profiles>\n  </profiles>\n</configuration>\n";
const KEY: RevisionKey = RevisionKey::new([7; 32]);

fn folder(sofia_conf: &str, profiles: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sofia.conf.xml"), sofia_conf).unwrap();
    fs::create_dir(dir.path().join("sip_profiles")).unwrap();
    for (name, text) in profiles {
        fs::write(dir.path().join("sip_profiles").join(name), text).unwrap();
    }
    dir
}

/// Templates with that one profile file.
fn load(profile: &str) -> Result<Templates, TemplateError> {
    Templates::load(folder(SOFIA_CONF, &[("a.xml", profile)]).path())
}

#[track_caller]
fn loaded(profile: &str) -> Templates {
    load(profile).unwrap_or_else(|error| panic!("{error}"))
}

/// The error of a profile file, behind the folder's name.
#[track_caller]
fn error(profile: &str) -> String {
    let error = load(profile).unwrap_err();
    format!("{error}").split_once("sip_profiles/").unwrap().1.to_owned()
}

/// The warnings of a profile file, behind the folder's name.
fn warnings(profile: &str) -> Vec<String> {
    loaded(profile)
        .warnings()
        .iter()
        .map(|w| w.to_string().split_once("sip_profiles/").unwrap().1.to_owned())
        .collect()
}

fn facts(profile: &str) -> ProfileFacts {
    let templates = loaded(profile);
    let name = templates.profile_names().next().unwrap().clone();
    templates.rules(&name).unwrap().profiles[&name].clone()
}

/// The profile `a` with one gateway of ours.
fn with_gateway(templates: &Templates, gateway: GatewayQuery<'_>) -> String {
    let fields = [(
        b"gw".to_vec(),
        br#"{"param":{"register":false},"profile":"a"}"#.to_vec(),
    )];
    let raw: RawDomains = [("acme".to_owned(), RawDomain::hash(fields))].into();
    let rules = templates.rules(&ProfileName::parse("a").unwrap()).unwrap();
    let desired = Desired::build(&raw, &rules, None);
    let query = Query {
        profile: Some("a"),
        gateway,
        node: None,
    };
    templates.document(&desired, &KEY, &query).unwrap()
}

/// The content of `<profiles>` in a document.
fn profiles_of(document: &str) -> &str {
    let (_, rest) = document.split_once("<profiles>\n").unwrap();
    rest.split_once("  </profiles>").unwrap().0
}

/// The gateway as it is rendered, its revision aside, behind an indent.
fn ours(indent: &str) -> String {
    [
        "<gateway name=\"gw\">",
        "  <param name=\"register\" value=\"false\"/>",
        "  <variables>",
    ]
    .map(|line| format!("{indent}{line}\n"))
    .concat()
}

#[test]
fn a_profile_file_passes_through_byte_for_byte() {
    for profile in [
        "<profile name=\"a\">\n  <gateways>\n  </gateways>\n  <settings>\n    <param name='x' value = \"$${y}\"/><!-- odd  spacing -->\n\n  </settings>\n</profile>\n",
        "<profile name=\"a\">\r\n\t<settings/>\r\n\t<gateways></gateways>\r\n</profile>\n",
        "<!-- before -->\n<profile name=\"a\"><settings/></profile>\n<!-- after -->\n",
        "<X-PRE-PROCESS cmd=\"set\" data=\"x=1\"/>\n  <profile name=\"a\">\n  <settings/>\n</profile>\n",
    ] {
        assert_eq!(profiles_of(&loaded(profile).without_gateways()), profile);
    }
}

#[test]
fn our_gateways_go_in_after_what_stands_there() {
    let own = "    <gateway name=\"own\">\n    </gateway>\n    <!-- <gateways> in a comment </gateways> -->\n";
    let templates = loaded(&format!(
        "<profile name=\"a\">\n  <!-- <gateways> -->\n  <gateways>\n{own}  </gateways>\n  <settings/>\n</profile>"
    ));
    let document = with_gateway(&templates, GatewayQuery::None);
    assert!(
        document.contains(&format!("  <gateways>\n{own}{}", ours("    "))),
        "{document}"
    );
    assert!(
        document.contains("    </gateway>\n  </gateways>\n  <settings/>\n</profile>\n  </profiles>"),
        "{document}"
    );
}

#[test]
fn a_profile_without_open_gateways_gets_them() {
    for (profile, before, after) in [
        (
            "<profile name=\"a\">\n  <gateways/>\n  <settings/>\n</profile>",
            "<profile name=\"a\">\n  <gateways>\n",
            "  </gateways>\n  <settings/>\n</profile>\n",
        ),
        (
            "<profile name=\"a\">\n  <gateways />\n</profile>",
            "<profile name=\"a\">\n  <gateways>\n",
            "  </gateways>\n</profile>\n",
        ),
        (
            "<profile name=\"a\">\n  <gateways></gateways>\n</profile>",
            "<profile name=\"a\">\n  <gateways>\n",
            "  </gateways>\n</profile>\n",
        ),
        (
            "<profile name=\"a\">\n  <settings/>\n</profile>",
            "<profile name=\"a\">\n  <gateways>\n",
            "  </gateways>\n  <settings/>\n</profile>\n",
        ),
        (
            "<profile name=\"a\"><settings/></profile>",
            "<profile name=\"a\">\n  <gateways>\n",
            "  </gateways>\n<settings/></profile>\n",
        ),
        (
            "<profile name=\"a\"/>",
            "<profile name=\"a\">\n  <gateways>\n",
            "  </gateways>\n</profile>\n",
        ),
    ] {
        let document = with_gateway(&loaded(profile), GatewayQuery::None);
        let inside = profiles_of(&document);
        assert!(
            inside.starts_with(&format!("{before}{}", ours("    "))),
            "{profile}:\n{inside}"
        );
        assert!(
            inside.ends_with(&format!("    </gateway>\n{after}")),
            "{profile}:\n{inside}"
        );
    }
}

#[test]
fn what_wraps_a_file_does_not_go_along() {
    for file in [
        "\u{FEFF}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<include>\n  <profile name=\"a\"/>\n</include>\n",
        "<?xml version=\"1.0\"?><profile name=\"a\"/>",
        "<include><profile name=\"a\"/></include>",
        "\r\n<include>\r\n  <profile name=\"a\"/>\r\n</include>\r\n",
    ] {
        let document = loaded(file).without_gateways();
        assert_eq!(
            profiles_of(&document).trim_start(),
            "<profile name=\"a\"/>\n",
            "{file:?}"
        );
        assert!(warnings(file).iter().all(|w| w.contains("no <settings>")), "{file:?}");
    }
}

#[test]
fn a_file_may_have_several_profiles() {
    let templates = loaded(
        "<include>\n  <!-- both -->\n  <profile name=\"a\">\n    <gateways/>\n  </profile>\n  <profile name=\"b\"/>\n  <!-- last -->\n</include>",
    );
    assert_eq!(
        templates.profile_names().map(ProfileName::as_str).collect::<Vec<_>>(),
        ["a", "b"]
    );
    let document = with_gateway(&templates, GatewayQuery::None);
    let expected = format!(
        "  <!-- both -->\n  <profile name=\"a\">\n    <gateways>\n{}",
        ours("      ")
    );
    assert!(profiles_of(&document).starts_with(&expected), "{document}");
    assert!(
        !document.contains("name=\"b\"") && document.contains("  <!-- last -->\n"),
        "{document}"
    );
}

#[test]
fn files_come_sorted_and_others_are_passed_over() {
    let files = [
        ("b.xml", "<profile name=\"b\"/>"),
        ("a.xml", "<profile name=\"z\"/>"),
        ("c.xml.bak", "junk"),
        (".d.xml", "junk"),
    ];
    let dir = folder(SOFIA_CONF, &files);
    fs::create_dir(dir.path().join("sip_profiles/external.xml")).unwrap();
    let templates = Templates::load(dir.path()).unwrap();
    assert_eq!(
        templates.profile_names().map(ProfileName::as_str).collect::<Vec<_>>(),
        ["z", "b"]
    );
}

#[test]
fn a_broken_file_is_refused_with_its_place() {
    for (profile, expected) in [
        (
            "<profile name=\"a\">\n  <gateways>\n</profile>",
            "a.xml:3:1: the XML is not well-formed: expected `</gateways>`, but `</profile>` was found; correct it",
        ),
        (
            "<profile name=\"a\">\n  <gateways>",
            "a.xml:2:3: the XML is not well-formed: <gateways> is not closed; correct it",
        ),
        (
            "<profile name=\"a\">\n<!-- x",
            "a.xml:2:1: the XML is not well-formed: comment not closed",
        ),
        (
            "<profile name=\"a\">\n <x y=z/></profile>",
            "a.xml:2:2: the XML is not well-formed: an attribute of <x> is malformed",
        ),
        ("<profile name=\"a\">\n<!-- x -- y --></profile>", "a.xml:2:"),
        (
            "<!DOCTYPE x>\n<profile name=\"a\"/>",
            "a.xml:1:1: the XML is not well-formed: a DOCTYPE can't be part",
        ),
        (
            "<profile/>",
            "a.xml:1:1: the profile has no name; write <profile name=\"…\">",
        ),
        (
            "\n<profile name=\"a b\"/>",
            "a.xml:2:1: the profile's name can't be used: character 2 of the name",
        ),
        (
            "<profile name=\"_all_\"/>",
            "a.xml:1:1: the profile's name can't be used",
        ),
        (
            "<profile name=\"$${domain}\"/>",
            "a.xml:1:1: the profile's name is left to a FreeSWITCH global",
        ),
        (
            "<profile name=\"a\"/>\n<profile name=\"A\"/>",
            "a.xml:2:1: there is a profile 'A' already, at ",
        ),
        (
            "<include>\n  <gateway name=\"x\"/>\n</include>",
            "a.xml:2:3: expected <profile>, found <gateway>; gateways belong in Redis",
        ),
        ("<settings/>", "a.xml:1:1: expected <profile>, found <settings>"),
        ("<!-- nothing -->", "a.xml:1:1: there is no <profile> in this file"),
        ("", "a.xml:1:1: there is no <profile> in this file"),
        ("<profile name=\"a\"/>\n\0", "a.xml:2:1: the file has a NUL"),
    ] {
        let error = error(profile);
        assert!(error.starts_with(expected), "{profile:?}: {error}");
    }
    let dir = folder(SOFIA_CONF, &[]);
    fs::write(
        dir.path().join("sip_profiles/a.xml"),
        b"<profile name=\"a\">\n <!-- \xe9 -->",
    )
    .unwrap();
    let error = Templates::load(dir.path()).unwrap_err();
    assert_eq!(
        (error.line, error.column, error.reason.as_str()),
        (Some(2), Some(7), "the file is not UTF-8")
    );
}

#[test]
fn a_folder_without_what_is_needed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = Templates::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("sofia.conf.xml: the file can't be read"), "{error}");
    fs::write(dir.path().join("sofia.conf.xml"), SOFIA_CONF).unwrap();
    let error = Templates::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("sip_profiles: the folder can't be read"), "{error}");
    fs::create_dir(dir.path().join("sip_profiles")).unwrap();
    let error = Templates::load(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("sip_profiles: there is no profile in this folder"),
        "{error}"
    );
    let error = loaded("<profile name=\"a\"/>")
        .rules(&ProfileName::parse("external").unwrap())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("there is no template for the default profile 'external'") && error.contains("one of a"),
        "{error}"
    );
}

#[test]
fn sofia_conf_may_be_written_in_several_ways() {
    let profile = [("a.xml", "<profile name=\"a\"/>")];
    for (sofia_conf, expected) in [
        (
            "<configuration name=\"sofia.conf\">\n  <profiles/>\n</configuration>",
            "<configuration name=\"sofia.conf\">\n  <profiles>\n<profile name=\"a\"/>\n</profiles>\n</configuration>\n",
        ),
        (
            "<configuration name=\"sofia.conf\">\n</configuration>",
            "<configuration name=\"sofia.conf\">\n  <profiles>\n<profile name=\"a\"/>\n  </profiles>\n</configuration>\n",
        ),
        (
            "<configuration name=\"sofia.conf\"/>",
            "<configuration name=\"sofia.conf\">\n  <profiles>\n<profile name=\"a\"/>\n  </profiles>\n</configuration>\n",
        ),
        (
            "<?xml version=\"1.0\"?>\n<include>\n<configuration name=\"sofia.conf\"><profiles></profiles></configuration>\n</include>",
            "<configuration name=\"sofia.conf\"><profiles>\n<profile name=\"a\"/>\n</profiles></configuration>\n",
        ),
        (
            "<configuration name=\"sofia.conf\">\n  <profiles>\n    <profile name=\"b\"/>\n  </profiles>\n</configuration>\n",
            "<configuration name=\"sofia.conf\">\n  <profiles>\n    <profile name=\"b\"/>\n<profile name=\"a\"/>\n  </profiles>\n</configuration>\n",
        ),
    ] {
        let templates = Templates::load(folder(sofia_conf, &profile).path()).unwrap();
        assert_eq!(templates.without_gateways(), expected, "{sofia_conf}");
    }
    for (sofia_conf, expected) in [
        (
            "<configuration name=\"acl.conf\"/>",
            "sofia.conf.xml:1:1: FreeSWITCH looks for",
        ),
        (
            "<configuration name=\"sofia.conf\"/>\n<configuration name=\"sofia.conf\"/>",
            "sofia.conf.xml:2:1: expected one",
        ),
        (
            "<document/>",
            "sofia.conf.xml:1:1: expected one <configuration name=\"sofia.conf\">, found <document>",
        ),
        ("", "sofia.conf.xml:1:1: there is no <configuration"),
    ] {
        let error = Templates::load(folder(sofia_conf, &profile).path())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{sofia_conf}: {error}");
    }
}

#[test]
fn an_include_that_would_find_nothing_is_a_warning_with_the_path_that_works() {
    for (path, expected) in [
        ("external/*.xml", Some("sip_profiles/external/*.xml")),
        ("./external/*.xml", Some("sip_profiles/external/*.xml")),
        ("extra.xml", Some("sip_profiles/extra.xml")),
        ("../vars.xml", Some("vars.xml")),
        ("../../x.xml", Some("$${conf_dir}/../../x.xml")),
        ("sip_profiles/external/*.xml", None),
        ("autoload_configs/x.xml", None),
        ("vars.xml", None),
        ("/etc/freeswitch/x.xml", None),
        ("$${conf_dir}/x.xml", None),
    ] {
        let profile =
            format!("<profile name=\"a\">\n<settings/>\n<X-PRE-PROCESS cmd=\"include\" data=\"{path}\"/>\n</profile>");
        let expected: Vec<_> = expected
            .map(|works| format!("a.xml:3: FreeSWITCH looks for '{path}' in its configuration folder, not beside the file, and finds nothing; write data=\"{works}\""))
            .into_iter()
            .collect();
        assert_eq!(warnings(&profile), expected);
    }
}

#[test]
fn an_include_of_the_profiles_in_sofia_conf_is_a_warning() {
    for path in [
        "../sip_profiles/*.xml",
        "sip_profiles/*.xml",
        "$${conf_dir}/sip_profiles/*.xml",
    ] {
        let sofia_conf = format!(
            "<configuration name=\"sofia.conf\">\n<profiles>\n<X-PRE-PROCESS cmd=\"include\" data=\"{path}\"/>\n</profiles>\n</configuration>"
        );
        let dir = folder(&sofia_conf, &[("a.xml", "<profile name=\"a\"><settings/></profile>")]);
        let templates = Templates::load(dir.path()).unwrap();
        assert_eq!(templates.warnings().len(), 1);
        let warning = templates.warnings()[0].to_string();
        assert!(
            warning.contains("sofia.conf.xml:3: trunkd puts the profiles in here itself"),
            "{warning}"
        );
    }
}

#[test]
fn what_the_preprocessor_would_lose_or_do_is_a_warning() {
    let directive = "<X-PRE-PROCESS cmd=\"set\" data=\"x=1\"/>";
    for (lines, expected) in [
        (directive.to_owned(), ""),
        (format!("  {directive}  <!-- why -->"), ""),
        (
            "<!-- <x-pre-process cmd=\"set\" data=\"x=1\"/> -->".to_owned(),
            "executes a directive inside a comment all the same",
        ),
        (
            format!("<param name=\"a\"/>{directive}"),
            "loses what stands on the line of a directive",
        ),
        (
            format!("{directive} {directive}"),
            "loses what stands on the line of a directive",
        ),
        (
            "<X-PRE-PROCESS data=\"x=1\" cmd=\"set\"/>".to_owned(),
            "can't read this directive",
        ),
        (
            "<X-PRE-PROCESS\n cmd=\"set\" data=\"x=1\"/>".to_owned(),
            "can't read this directive",
        ),
        (
            "<param name=\"x-pre-process\"/>".to_owned(),
            "contains X-PRE-PROCESS, even if it is not a directive",
        ),
        ("<!-- an X-PRE-PROCESS in a comment -->".to_owned(), ""),
        (
            "<!--#set x=1 -->".to_owned(),
            "takes '<!--#' for the start of a directive",
        ),
        // FreeSWITCH looks no further than to the end of the first variable
        ("<a b=\"$${x}\"/> <?pi?>".to_owned(), ""),
        ("<a b=\"$${x}{\"/> <a b=\"$${y\"/> <!-- <?pi?> -->".to_owned(), ""),
        (
            "<param name=\"a\"/> <?pi?>".to_owned(),
            "drops any line that contains '<?'",
        ),
        (
            "<!-- <include> --> <param name=\"a\"/>".to_owned(),
            "drops any line that contains '<include>'",
        ),
    ] {
        let found = warnings(&format!(
            "<profile name=\"a\">\n<settings>\n{lines}\n</settings>\n</profile>"
        ));
        if expected.is_empty() {
            assert_eq!(found, [""; 0], "{lines}");
        } else {
            assert_eq!(found.len(), 1, "{lines}: {found:?}");
            assert!(
                found[0].starts_with("a.xml:3: ") && found[0].contains(expected),
                "{lines}: {found:?}"
            );
        }
    }
}

#[test]
fn a_file_that_the_preprocessor_would_break_is_refused() {
    let directive = "<X-PRE-PROCESS cmd=\"set\" data=\"x=1\"/>";
    for (profile, place) in [
        // the error is where the parser notices it; "<settings>" and "</settings>" are what is lost
        (
            format!("<profile name=\"a\">\n<settings>{directive}\n</settings>\n</profile>"),
            "a.xml:3:1: ",
        ),
        (
            format!("<profile name=\"a\">\n<settings>\n{directive}</settings>\n</profile>"),
            "a.xml:4:1: ",
        ),
    ] {
        let error = error(&profile);
        let words = "FreeSWITCH's preprocessor drops lines of this file that the rest needs to be well-formed: ";
        assert!(error.starts_with(place) && error.contains(words), "{profile}: {error}");
    }
}

#[test]
fn a_directive_beside_the_gateways_tag_costs_nobody_his_gateways() {
    let directive = "<X-PRE-PROCESS cmd=\"include\" data=\"sip_profiles/a/*.xml\"/>";
    for profile in [
        format!("<profile name=\"a\">\n  <gateways>{directive}</gateways>\n  <settings/>\n</profile>"),
        format!("<profile name=\"a\"><gateways>{directive}</gateways><settings/></profile>"),
        format!("<include><profile name=\"a\">\n{directive}<gateways></gateways><settings/></profile></include>"),
    ] {
        let templates = loaded(&profile);
        assert_eq!(templates.warnings().len(), 1, "{profile}");
        let document = with_gateway(&templates, GatewayQuery::None);
        let line_of = |needle: &str| {
            document
                .lines()
                .find(|line| line.contains(needle))
                .unwrap()
                .trim()
                .to_owned()
        };
        assert_eq!(line_of("X-PRE"), directive, "{document}");
        assert!(line_of("<gateways>").ends_with("<gateways>"), "{document}");
        assert!(line_of("<profile name").starts_with("<profile name"), "{document}");
    }
}

#[test]
fn whether_a_profile_has_tls_is_read_from_its_settings() {
    let tls = |settings: &str| {
        facts(&format!(
            "<profile name=\"a\">\n<settings>\n{settings}\n</settings>\n</profile>"
        ))
        .tls
    };
    let param = |value: &str| format!("<param name=\"tls\" value=\"{value}\"/>\n");
    assert_eq!(tls(""), Some(false));
    assert_eq!(tls(&param("true")), Some(true));
    assert_eq!(tls("<param name=\"TLS\" value=\"Yes\"/>"), Some(true));
    assert_eq!(tls(&param("no")), Some(false));
    assert_eq!(tls(&(param("true") + &param("false"))), Some(false));
    assert_eq!(tls(&param("$${external_ssl_enable}")), None);
    assert_eq!(tls(&format!("<!-- {} -->", param("true").trim())), Some(false));
    let include = "<X-PRE-PROCESS cmd=\"include\" data=\"sip_profiles/settings/*.xml\"/>\n";
    assert_eq!(tls(include), None);
    assert_eq!(tls(&(param("true") + include)), None);
    assert_eq!(tls(&(include.to_owned() + &param("true"))), Some(true));
    assert_eq!(facts("<profile name=\"a\"/>").tls, Some(false));
}

#[test]
fn whether_a_profile_has_rfc_5626_is_read_from_its_settings() {
    let rfc_5626 = |params: &str| {
        facts(&format!(
            "<profile name=\"a\">\n<settings>\n<param name=\"tls\" value=\"true\"/>\n{params}\n</settings>\n</profile>"
        ))
        .rfc_5626
    };
    let param = |value: &str| format!("<param name=\"Enable-RFC-5626\" value=\"{value}\"/>");
    assert_eq!(rfc_5626(""), Some(false));
    assert_eq!(rfc_5626(&param("true")), Some(true));
    assert_eq!(rfc_5626(&param("false")), Some(false));
    assert_eq!(rfc_5626(&param("$${rfc_5626}")), None);
}

#[test]
fn gateways_of_a_template_own_their_names_and_are_found_by_them() {
    let own = "    <gateway name=\"own\">\n      <param name=\"realm\" value=\"x\"/>\n    </gateway>\n";
    let profile = format!(
        "<profile name=\"a\">\n  <gateways>\n{own}    <!-- <gateway name=\"no\"/> -->\n  </gateways>\n  <settings/>\n</profile>"
    );
    let templates = loaded(&profile);
    let names = facts(&profile).gateways;
    assert_eq!(names.iter().map(GatewayName::as_str).collect::<Vec<_>>(), ["own"]);
    assert!(with_gateway(&templates, GatewayQuery::One("own")).contains(own));
    let document = with_gateway(&templates, GatewayQuery::One("gw"));
    assert!(
        document.contains("name=\"gw\"") && !document.contains("own"),
        "{document}"
    );
    let document = with_gateway(&templates, GatewayQuery::One("other"));
    assert!(!document.contains("<gateway name"), "{document}");
    let document = with_gateway(&templates, GatewayQuery::All);
    assert!(document.contains(own) && document.contains("name=\"gw\""), "{document}");
}

#[test]
fn a_gateway_that_may_be_in_an_included_file_is_left_to_freeswitch_to_find() {
    let include = "<X-PRE-PROCESS cmd=\"include\" data=\"sip_profiles/a/*.xml\"/>";
    let templates = loaded(&format!(
        "<profile name=\"a\">\n  <gateways>\n    {include}\n  </gateways>\n  <settings/>\n</profile>"
    ));
    assert!(with_gateway(&templates, GatewayQuery::One("other")).contains(include));
    assert!(!with_gateway(&templates, GatewayQuery::One("gw")).contains(include));
}

#[test]
fn what_freeswitch_passes_over_in_a_profile_is_a_warning() {
    let found = warnings("<profile name=\"a\">\n<gateways/>\n<gateways/>\n</profile>");
    assert!(
        found[0].starts_with("a.xml:1: the profile has no <settings>"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("a.xml:3: FreeSWITCH reads the first <gateways>"),
        "{found:?}"
    );
    let found = warnings(
        "<profile name=\"a\"><settings/>\n<gateways>\n<gateway name=\"g\"/>\n<gateway name=\"g\"/>\n</gateways>\n</profile>",
    );
    assert!(
        found[0].starts_with("a.xml:4: there is a gateway 'g' already, at "),
        "{found:?}"
    );
}

#[test]
fn the_templates_that_come_with_trunkd_are_without_fault() {
    let templates = Templates::load(Path::new("templates")).unwrap();
    assert_eq!(templates.warnings(), []);
    assert_eq!(
        templates.profile_names().map(ProfileName::as_str).collect::<Vec<_>>(),
        ["external", "internal"]
    );
    let rules = templates.rules(&ProfileName::parse("external").unwrap()).unwrap();
    assert!(
        rules
            .profiles
            .values()
            .all(|facts| facts.tls.is_none() && facts.gateways.is_empty())
    );
}

/// As large as a file may be. Compared with each other, its lines would take an hour.
fn full_of(line: &str) -> String {
    let profile = "<profile name=\"a\">\n  <settings/>\n</profile>\n";
    let count = (4 * 1024 * 1024 - profile.len()) / line.len();
    format!("{profile}{}", line.repeat(count))
}

#[test]
fn a_file_of_nothing_but_odd_lines_is_read_in_one_go_and_told_of_in_short() {
    let directive = "<!--<X-PRE-PROCESS cmd=\"set\" data=\"a=b\"/>-->\n";
    let warnings = warnings(&full_of(directive));
    assert_eq!(warnings.len(), 201);
    assert!(
        warnings[0].contains("FreeSWITCH executes a directive inside a comment"),
        "{}",
        warnings[0]
    );
    assert!(warnings[200].contains(" more warnings follow"), "{}", warnings[200]);

    for line in [
        "<!-- a --> <!--# b -->\n",
        "<X-PRE-PROCESS cmd=\"set\" data=\"a=b\"/>\n",
        "<include></include>\n",
        "<!-- a -->",
    ] {
        loaded(&full_of(line));
    }
    // What begins and never ends, in one line of 4 MB.
    for text in ["$${", "$${a}", "{", "<!"] {
        loaded(&full_of(&format!("<!--{}-->\n", text.repeat(500_000))));
    }
}

#[test]
fn profiles_gateways_and_attributes_are_bounded_and_found_in_one_go() {
    let many = |count: usize| -> String {
        let profile = |n| format!("<profile name=\"p{n}\"><gateways/><settings/></profile>");
        (0..count).map(profile).collect()
    };
    assert_eq!(loaded(&many(1000)).profile_names().count(), 1000);
    assert!(error(&many(1001)).contains("there are more than 1000 profiles"));

    let gateways: String = (0..40_000).map(|n| format!("<gateway name=\"g{n}\"/>")).collect();
    let profile = format!("<profile name=\"a\"><gateways>{gateways}</gateways><settings/></profile>");
    assert_eq!(facts(&profile).gateways.len(), 40_000);

    let attributes: String = (0..300_000).map(|n| format!(" a{n}=\"\"")).collect();
    assert!(error(&format!("<profile name=\"a\"{attributes}/>")).contains("more than 256 attributes"));
}

#[test]
fn a_file_that_is_none_is_refused_before_it_is_read() {
    let dir = folder(SOFIA_CONF, &[("a.xml", "<profile name=\"a\"><settings/></profile>")]);
    let path = dir.path().join("sip_profiles/b.xml");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let refused = || Templates::load(dir.path()).unwrap_err().to_string();
    assert!(
        refused().contains("b.xml: the file can't be read: it is a FIFO"),
        "{}",
        refused()
    );
    fs::remove_file(&path).unwrap();
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(
        refused().contains("b.xml: the file has 1099511627776 bytes"),
        "{}",
        refused()
    );
    fs::remove_file(&path).unwrap();
    // A link is how many operators keep their files.
    std::os::unix::fs::symlink(dir.path().join("sip_profiles/a.xml"), &path).unwrap();
    assert!(refused().contains("there is a profile 'a' already"), "{}", refused());
}
