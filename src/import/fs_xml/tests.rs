use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::super::tests::{assert_said, in_domain, lines, options, said};
use super::super::{Import, Options, Verdict};

#[track_caller]
fn text(xml: &str) -> Import {
    super::import_texts([("a.xml", xml.as_bytes())], &in_domain("acme")).unwrap()
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

#[track_caller]
fn import(path: &Path, options: &Options) -> Import {
    super::import(&[path.to_owned()], options).unwrap()
}

/// What was said, without the folder's own path.
fn said_in(folder: &Path, import: &Import) -> Vec<String> {
    let prefix = format!("{}/", folder.display());
    said(import).iter().map(|line| line.replace(&prefix, "")).collect()
}

const GATEWAY: &str =
    r#"<gateway name="a"><param name="realm" value="r.example"/><param name="register" value="false"/></gateway>"#;
const TAKEN: &str = r#"a taken {"param":{"realm":"r.example","register":"false"}}"#;

#[test]
fn one_fragment_is_read_with_or_without_include() {
    for xml in [
        GATEWAY.to_owned(),
        format!("<include>\n{GATEWAY}\n</include>\n"),
        format!("\u{FEFF}<?xml version=\"1.0\"?>\r\n<include>\r\n  <!-- a -- b -->{GATEWAY}\r\n</include>\r\n"),
        format!("<gateways>\n{GATEWAY}</gateways>"),
    ] {
        assert_eq!(lines(&text(&xml)), [TAKEN], "{xml}");
    }
    let profile = text(&format!(
        "<profile name=\"p1\"><gateways>{GATEWAY}</gateways></profile>"
    ));
    assert_eq!(
        profile.gateways[0].value,
        r#"{"param":{"realm":"r.example","register":"false"},"profile":"p1"}"#
    );
}

#[test]
fn a_line_that_freeswitch_drops_is_reported() {
    let import = text(&format!("<include>{GATEWAY}</include>"));
    assert_eq!(lines(&import), [""; 0]);
    assert_said(
        &import,
        &["a.xml:1: error: FreeSWITCH drops this whole line, because it contains `<include>`"],
    );
}

#[test]
fn gateways_of_other_modules_and_commented_ones_are_none() {
    for xml in [
        format!("<configuration name=\"smpp.conf\"><gateways>{GATEWAY}</gateways></configuration>"),
        format!(
            "<configuration name=\"x.conf\"><profiles><profile name=\"p\"><gateways>\
             {GATEWAY}</gateways></profile></profiles></configuration>"
        ),
        format!("<include>\n<!--\n{GATEWAY}\n-->\n</include>"),
        format!("<dialplan>{GATEWAY}</dialplan>"),
    ] {
        assert_eq!(lines(&text(&xml)), [""; 0], "{xml}");
    }
}

#[test]
fn variables_keep_their_direction_and_wrappers_count_as_for_freeswitch() {
    let import = text(
        r#"<gateway name="a">
  <param name="realm" value="ignored"/>
  <params><param name="realm" value="r.example"/>
    <param name="register" value="false"/></params>
  <params><param name="realm" value="late"/></params>
  <variables>
    <variable name="both" value="1"/>
    <variable name="in" value="&lt;2&gt;" direction="Inbound"/>
    <variable name="out" value="3" direction="outbound"/>
    <variable name="none" value="4" direction="both"/>
    <variable name="two" value="5" direction="inbound"/>
    <variable name="two" value="5" direction="outbound"/>
    <variable name="trunkd_revision" value="abc" direction="inbound"/>
    <variable name="broken"/>
  </variables>
  <subscriptions><subscription event="x"/></subscriptions>
</gateway>"#,
    );
    assert_eq!(
        lines(&import),
        [concat!(
            r#"a changed {"param":{"realm":"r.example","register":"false"},"variables":{"both":"1","#,
            r#""in":{"value":"<2>","direction":"inbound"},"out":{"value":"3","direction":"outbound"},"#,
            r#""two":"5"}}"#,
        )]
    );
    assert_said(
        &import,
        &[
            "a.xml:5: warning: FreeSWITCH reads only the first `<params>`",
            "a.xml:16: warning: trunkd does not serve `<subscriptions>`",
            "a.xml:2: warning: FreeSWITCH ignores what stands beside `<params>`",
            "a.xml:10: warning: variables.none: FreeSWITCH sets it on no call",
            "a.xml:14: warning: FreeSWITCH ignores a variable without a name or a value",
        ],
    );
}

#[test]
fn what_is_not_a_gateways_is_mapped_where_its_meaning_is_certain_and_always_reported() {
    let import = text(
        r#"<gateway name="a">
<param name="realm" value="r.example"/>
<param name="register" value="false"/>
<param name="hostname" value="fs1"/>
<param name="codec-prefs" value="PCMA"/>
<param name="sip_cid_type" value="pid"/>
<param name="dtmf-type" value="rfc2833"/>
<param name="pasword" value="x"/>
<param name="channels" value="10"/>
</gateway>"#,
    );
    assert_eq!(import.gateways[0].verdict, Verdict::Changed);
    let value = &import.gateways[0].value;
    assert!(
        value.contains(r#""variables":{"absolute_codec_string":"PCMA","sip_cid_type":"pid"},"nodes":["fs1"]"#),
        "{value}"
    );
    assert_said(
        &import,
        &[
            "a.xml:4: note: nodes: `hostname` became `nodes`",
            "a.xml:5: note: variables.absolute_codec_string: the param became the variable",
            "a.xml:6: note: variables.sip_cid_type: the param became the variable",
            "a.xml:9: warning: param.channels: ",
            "a.xml:7: warning: param.dtmf-type: ",
            "a.xml:8: warning: param.pasword: FreeSWITCH does not know this param and silently ignores it; \
             did you mean password?",
        ],
    );
}

#[test]
fn what_freeswitch_would_refuse_is_skipped_with_its_line() {
    let import = text(
        "<include>\n\
             <gateway name=\"a\">\n\
             <param name=\"username\" value=\"u\"/>\n\
             </gateway>\n\
             <gateway name=\"b b\"/>\n\
             </include>",
    );
    assert_eq!(import.count(Verdict::Skipped), 2);
    let said = said(&import);
    assert!(
        said.iter()
            .any(|line| line.starts_with("a.xml:2: error: param.password: ")),
        "{said:?}"
    );
    assert!(
        said.iter()
            .any(|line| line.starts_with("a.xml:5: error: character 2 of the name")),
        "{said:?}"
    );
}

#[test]
fn variables_come_from_sets_in_the_order_of_the_files() {
    let folder = folder(&[
        (
            "vars.xml",
            "<include>\n\
                 <X-PRE-PROCESS cmd=\"set\" data=\"host = sip.example.net\"/>\n\
                 <!--#set \"port=5070\"-->\n\
                 <X-PRE-PROCESS cmd=\"set\" data=\"proxy=$${host}:$${port}\"/>\n\
                 </include>",
        ),
        (
            "sip_profiles/external/a.xml",
            "<include>\n\
                 <gateway name=\"a\">\n\
                 <param name=\"proxy\" value=\"$${PROXY}\"/><param name=\"register\" value=\"false\"/>\n\
                 </gateway>\n\
                 </include>",
        ),
    ]);
    let paths = [
        folder.path().join("vars.xml"),
        folder.path().join("sip_profiles/external"),
    ];
    let import = super::import(&paths, &in_domain("acme")).unwrap();
    assert_eq!(
        import.gateways[0].value,
        r#"{"param":{"proxy":"sip.example.net:5070","register":"false"},"profile":"external"}"#
    );
    let place = import.gateways[0].place.to_string();
    assert!(place.ends_with("sip_profiles/external/a.xml:2"), "{place}");
}

#[test]
fn a_variable_without_a_value_is_an_error_and_nothing_is_executed() {
    let folder = folder(&[(
        "a.xml",
        "<include>\n\
             <X-PRE-PROCESS cmd=\"exec-set\" data=\"ip=touch ran\"/>\n\
             <X-PRE-PROCESS cmd=\"exec\" data=\"touch ran\"/>\n\
             <X-PRE-PROCESS cmd=\"stun-set\" data=\"ext=stun:x\"/>\n\
             <!--#exec \"touch ran\"-->\n\
         <gateway name=\"a\">\n\
              <param name=\"realm\" value=\"$${ip}\"/>\n\
              <param name=\"from-domain\" value=\"$${other}\"/>\n\
              </gateway>\n\
              </include>",
    )]);
    let found = import(folder.path(), &in_domain("acme"));
    assert!(!folder.path().join("ran").exists());
    let said = said_in(folder.path(), &found);
    let expected = [
        "a.xml:2: note: `exec-set` is never executed, so the variable `ip` has no value here",
        "a.xml:3: warning: `exec` is never executed",
        "a.xml:4: note: `stun-set` is never executed",
        "a.xml:5: warning: `exec` is never executed",
        "a.xml:7: error: param.realm: `$${ip}` has no value: `exec-set` at a.xml:2 sets it, which is never \
         executed here",
        "a.xml:8: error: param.from-domain: `$${other}` has no value in these files",
    ];
    for expected in expected {
        assert!(
            said.iter().any(|line| line.starts_with(expected)),
            "{expected}\n{said:#?}"
        );
    }
    let options = Options {
        globals: vec![("other".into(), "d.example".into())],
        ..in_domain("acme")
    };
    let with_set = said_in(folder.path(), &import(folder.path(), &options));
    assert!(!with_set.iter().any(|line| line.contains("$${other}")), "{with_set:#?}");
}

#[test]
fn a_gateway_with_an_unknown_value_is_told_that_alone_and_keeps_its_name() {
    let import = text("<gateway name=\"$${who}\">\n<param name=\"password\" value=\"$${pw}\"/>\n</gateway>");
    assert_eq!(import.gateways[0].name, "$${who}");
    assert_said(
        &import,
        &[
            "a.xml:1: error: name: `$${who}` has no value",
            "a.xml:2: error: param.password: `$${pw}` has no value",
        ],
    );
}

/// As FreeSWITCH has it: everything hangs on `freeswitch.xml`, and users of the directory have gateways, too.
fn conf() -> tempfile::TempDir {
    folder(&[
        (
            "freeswitch.xml",
            "<?xml version=\"1.0\"?>\n\
                 <document type=\"freeswitch/xml\">\n\
                   <X-PRE-PROCESS cmd=\"include\" data=\"vars.xml\"/>\n\
                   <section name=\"configuration\">\n\
                     <X-PRE-PROCESS cmd=\"include\" data=\"autoload_configs/*.xml\"/>\n\
                   </section>\n\
                   <section name=\"directory\">\n\
                     <X-PRE-PROCESS cmd=\"include\" data=\"directory/*.xml\"/>\n\
                   </section>\n\
                 </document>\n",
        ),
        (
            "vars.xml",
            "<include>\n\
                   <X-PRE-PROCESS cmd=\"set\" data=\"domain=$${local_ip_v4}\"/>\n\
                   <X-PRE-PROCESS cmd=\"set\" data=\"provider=isp\"/>\n\
                 </include>\n",
        ),
        (
            "autoload_configs/smpp.conf.xml",
            "<configuration name=\"smpp.conf\"><gateways><gateway name=\"smpp\"/></gateways></configuration>\n",
        ),
        (
            "autoload_configs/sofia.conf.xml",
            "<configuration name=\"sofia.conf\">\n\
                   <profiles>\n\
                     <X-PRE-PROCESS cmd=\"include\" data=\"../sip_profiles/*.xml\"/>\n\
                   </profiles>\n\
                 </configuration>\n",
        ),
        (
            "sip_profiles/external.xml",
            "<profile name=\"external\">\n\
                   <gateways>\n\
                     <X-PRE-PROCESS cmd=\"include\" data=\"external/*.xml\"/>\n\
                   </gateways>\n\
                   <domains>\n\
                     <domain name=\"all\" alias=\"false\" parse=\"true\"/>\n\
                   </domains>\n\
                   <settings>\n\
                     <param name=\"sip-port\" value=\"$${external_sip_port}\"/>\n\
                   </settings>\n\
                 </profile>\n",
        ),
        (
            "sip_profiles/internal.xml",
            "<profile name=\"internal\">\n\
                   <domains>\n\
                     <domain name=\"all\" alias=\"true\" parse=\"false\"/>\n\
                   </domains>\n\
                 </profile>\n",
        ),
        (
            "sip_profiles/external/one.xml",
            "<include>\n\
                   <gateway name=\"one\">\n\
                     <param name=\"realm\" value=\"one.example\"/>\n\
                     <param name=\"register\" value=\"false\"/>\n\
                   </gateway>\n\
                 </include>\n",
        ),
        (
            "directory/default.xml",
            "<include>\n\
                   <domain name=\"$${domain}\">\n\
                     <groups>\n\
                       <group name=\"default\">\n\
                         <users>\n\
                           <X-PRE-PROCESS cmd=\"include\" data=\"default/*.xml\"/>\n\
                         </users>\n\
                       </group>\n\
                     </groups>\n\
                   </domain>\n\
                 </include>\n",
        ),
        (
            "directory/default/isp.xml",
            "<include>\n\
                   <user id=\"$${provider}\">\n\
                     <gateways>\n\
                       <gateway name=\"$${provider}\">\n\
                         <param name=\"realm\" value=\"isp.example\"/>\n\
                         <param name=\"register\" value=\"false\"/>\n\
                       </gateway>\n\
                     </gateways>\n\
                     <params><param name=\"password\" value=\"x\"/></params>\n\
                   </user>\n\
                 </include>\n",
        ),
    ])
}

#[test]
fn a_whole_configuration_is_read_as_freeswitch_reads_it() {
    let conf = conf();
    let import = import(conf.path(), &in_domain("acme"));
    assert_eq!(
        lines(&import),
        [
            r#"one taken {"param":{"realm":"one.example","register":"false"},"profile":"external"}"#,
            r#"isp taken {"param":{"realm":"isp.example","register":"false"},"profile":"external"}"#,
        ]
    );
    let places: Vec<_> = import
        .gateways
        .iter()
        .map(|gateway| gateway.place.to_string())
        .collect();
    let place = |name: &str| conf.path().join(name).display().to_string();
    assert_eq!(
        places,
        [
            place("sip_profiles/external/one.xml:2"),
            place("directory/default/isp.xml:4")
        ]
    );
    assert_eq!(
        said_in(conf.path(), &import),
        [
            "sip_profiles/external.xml:8: note: the settings of the profile `external` are not a gateway's, \
             and were not imported; put the profile's file into templates/sip_profiles/ if trunkd is to serve it"
        ]
    );
}

#[test]
fn without_a_domain_the_directorys_counts_and_must_be_known() {
    let conf = conf();
    let found = import(conf.path(), &options());
    let said = said_in(conf.path(), &found);
    assert!(
        said.iter()
            .any(|line| line.contains("isp.xml:4: note: domain: `$${local_ip_v4}` has no value")),
        "{said:#?}"
    );
    assert_eq!(found.count(Verdict::Skipped), 2);
    let options = Options {
        globals: vec![("local_ip_v4".into(), "192.0.2.1".into())],
        ..options()
    };
    let found = import(conf.path(), &options);
    assert_eq!(found.gateways[1].domain.as_deref(), Some("192.0.2.1"));
    assert_eq!(found.gateways[1].verdict, Verdict::Taken);
}

#[test]
fn a_folder_without_freeswitch_xml_and_a_profile_file_are_read_as_well() {
    let conf = conf();
    fs::remove_file(conf.path().join("freeswitch.xml")).unwrap();
    for (path, names) in [
        ("", &["one", "isp"][..]),
        ("sip_profiles", &["one"]),
        ("sip_profiles/external", &["one"]),
        ("sip_profiles/external.xml", &["one"]),
        ("sip_profiles/external/one.xml", &["one"]),
    ] {
        let import = import(&conf.path().join(path), &in_domain("acme"));
        let found: Vec<_> = import.gateways.iter().map(|gateway| &*gateway.name).collect();
        assert_eq!(found, names, "{path}");
        assert!(
            import
                .gateways
                .iter()
                .all(|gateway| gateway.value.contains(r#""profile":"external""#)),
            "{path}"
        );
    }
}

#[test]
fn users_gateways_need_a_profile_that_parses_their_domain() {
    let conf = conf();
    let profile = conf.path().join("sip_profiles/external.xml");
    let content = fs::read_to_string(&profile).unwrap();
    fs::write(&profile, content.replace("parse=\"true\"", "parse=\"false\"")).unwrap();
    let import = import(conf.path(), &in_domain("acme"));
    assert_eq!(import.gateways[1].verdict, Verdict::Skipped);
    assert!(
        said(&import)
            .iter()
            .any(|line| line.contains("FreeSWITCH doesn't load it: no profile has this domain"))
    );
}

#[test]
fn profiles_can_be_renamed_and_given() {
    let conf = conf();
    let mut options = in_domain("acme");
    options.profiles.renamed.insert("external".into(), "carriers".into());
    let renamed = import(&conf.path().join("sip_profiles"), &options);
    assert!(renamed.gateways[0].value.contains(r#""profile":"carriers""#));
    assert_eq!(renamed.gateways[0].verdict, Verdict::Changed);
    options.profiles.default = Some("other".into());
    let alone = super::import_texts([("a.xml", GATEWAY.as_bytes())], &options).unwrap();
    assert!(alone.gateways[0].value.contains(r#""profile":"other""#));
}

#[test]
fn nothing_outside_of_the_folder_is_read() {
    let outside = folder(&[("secret.xml", &GATEWAY.replace("\"a\"", "\"secret\""))]);
    let absolute = outside.path().join("secret.xml").display().to_string();
    let include = |path: &str| format!("<X-PRE-PROCESS cmd=\"include\" data=\"{path}\"/>\n");
    let name = outside.path().file_name().unwrap().to_str().unwrap().to_owned();
    let inside = folder(&[
        ("a.xml", &include(&absolute)),
        ("b.xml", &include(&format!("../{name}/*.xml"))),
        ("c.xml", &include("link.txt")),
        ("d.xml", &include("linked/*.xml")),
        ("e.xml", &include("sub/../../*/secret.xml")),
        ("f.xml", GATEWAY),
    ]);
    symlink(outside.path().join("secret.xml"), inside.path().join("link.txt")).unwrap();
    symlink(outside.path(), inside.path().join("linked")).unwrap();
    let found = import(inside.path(), &in_domain("acme"));
    assert_eq!(lines(&found), [TAKEN]);
    let said = said_in(inside.path(), &found);
    for file in ["a", "b", "c", "d", "e"] {
        let start = format!("{file}.xml:1: warning: ");
        assert!(
            said.iter()
                .any(|line| line.starts_with(&start) && line.contains("outside")),
            "{file}: {said:#?}"
        );
    }
}

#[test]
fn a_link_that_stays_inside_and_an_absolute_path_inside_are_read() {
    let inside = folder(&[("real/x.xml", GATEWAY)]);
    symlink(inside.path().join("real"), inside.path().join("linked")).unwrap();
    fs::write(
        inside.path().join("a.xml"),
        "<X-PRE-PROCESS cmd=\"include\" data=\"linked/*.xml\"/>\n",
    )
    .unwrap();
    assert_eq!(lines(&import(inside.path(), &in_domain("acme"))), [TAKEN]);
    let absolute = "<X-PRE-PROCESS cmd=\"include\" data=\"$${conf_dir}/real/*.xml\"/>\n";
    fs::write(inside.path().join("a.xml"), absolute).unwrap();
    assert_eq!(lines(&import(inside.path(), &in_domain("acme"))), [TAKEN]);
}

#[test]
fn includes_that_never_end_do() {
    let two = "<X-PRE-PROCESS cmd=\"include\" data=\"b.xml\"/>\n<X-PRE-PROCESS cmd=\"include\" data=\"b.xml\"/>\n";
    let inside = folder(&[("a.xml", two), ("b.xml", &two.replace("b.xml", "a.xml"))]);
    let found = import(&inside.path().join("a.xml"), &in_domain("acme"));
    assert!(said(&found).iter().all(|line| line.contains("includes itself")));

    // 2^40 reads without a cycle.
    let doubled = folder(&[]);
    for number in 0..40 {
        let next = number + 1;
        let line = format!("<X-PRE-PROCESS cmd=\"include\" data=\"{next}.inc\"/>\n");
        fs::write(doubled.path().join(format!("{number}.inc")), line.repeat(2)).unwrap();
    }
    fs::write(doubled.path().join("40.inc"), "x").unwrap();
    let refused = super::import(&[doubled.path().join("0.inc")], &in_domain("acme"));
    assert!(refused.unwrap_err().to_string().contains("files are included"));
}

#[test]
fn a_variable_that_doubles_itself_stays_bounded() {
    let set = "<X-PRE-PROCESS cmd=\"set\" data=\"a=$${a}$${a}x\"/>\n".repeat(100);
    let import = text(&format!("<X-PRE-PROCESS cmd=\"set\" data=\"a=x\"/>\n{set}{GATEWAY}"));
    assert_eq!(lines(&import), [TAKEN]);
}

#[test]
fn a_file_that_is_no_xml_says_where_and_harms_no_other() {
    let inside = folder(&[
        ("a.xml", "<include>\n<gateway name=\"x\">\n</include>\n</gatewa>\n"),
        ("b.xml", GATEWAY),
        ("c.xml", "\0"),
        ("d.xml", "<gateway name=\"open\">"),
    ]);
    let found = import(inside.path(), &in_domain("acme"));
    assert_eq!(lines(&found), [TAKEN]);
    let said = said_in(inside.path(), &found);
    for start in [
        "a.xml:4: error: the XML is malformed",
        "c.xml:1: error: the file has a NUL",
        "d.xml:1: error: the element is not closed",
    ] {
        assert!(said.iter().any(|line| line.starts_with(start)), "{start}: {said:#?}");
    }
}

#[test]
fn what_is_not_utf_8_is_an_error_where_a_gateway_has_it() {
    let xml = b"<!-- \xe9 -->\n\
         <gateway name=\"a\">\n\
         <param name=\"realm\" value=\"r.example\"/>\n\
         <param name=\"username\" value=\"\xe9\"/>\n\
         <param name=\"register\" value=\"false\"/></gateway>";
    let import = super::import_texts([("a.xml", &xml[..])], &in_domain("acme")).unwrap();
    assert_said(
        &import,
        &["a.xml:4: error: the file is not UTF-8 here; save it as UTF-8"],
    );
}

#[test]
fn a_file_that_is_named_may_be_a_link() {
    let (inside, elsewhere) = (folder(&[("a.xml", GATEWAY)]), folder(&[]));
    let link = elsewhere.path().join("link.xml");
    symlink(inside.path().join("a.xml"), &link).unwrap();
    assert_eq!(lines(&import(&link, &in_domain("acme"))), [TAKEN]);
    let missing = super::import(&[elsewhere.path().join("none.xml")], &in_domain("acme"));
    assert!(missing.unwrap_err().to_string().contains("none.xml: it can't be read"));
}

#[test]
fn a_second_gateway_of_one_name_is_left_out_as_by_freeswitch() {
    let other = GATEWAY.replace("r.example", "s.example");
    let import = text(&format!("<gateways>{GATEWAY}\n{other}</gateways>"));
    assert_eq!(import.gateways[1].verdict, Verdict::Skipped);
    assert_said(
        &import,
        &["a.xml:2: warning: FreeSWITCH ignores a second gateway of one name; the first is at a.xml:1"],
    );
    let import = text(&format!(
        "<profile name=\"p\"><gateways>{GATEWAY}</gateways>\n<gateways>{other}</gateways></profile>"
    ));
    assert_eq!(import.gateways.len(), 1);
    assert_said(
        &import,
        &["a.xml:2: warning: FreeSWITCH reads only the first `<gateways>`"],
    );
}

#[test]
fn an_upload_includes_nothing() {
    let import = text("<X-PRE-PROCESS cmd=\"include\" data=\"/etc/passwd\"/>\n");
    assert_said(&import, &["a.xml:1: warning: a single text includes no files"]);
}
