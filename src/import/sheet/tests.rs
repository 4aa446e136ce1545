use super::super::tests::{assert_said, in_domain, lines, options};
use super::*;

#[track_caller]
fn read(csv: &str) -> Import {
    import("trunks.csv", csv.as_bytes(), &in_domain("acme")).unwrap()
}

#[test]
fn columns_are_params_variables_and_keys() {
    let import = read(
        "name,profile,realm,username,password,nodes,tags,enabled,var:absolute_codec_string,var-in:x\n\
         carrier1,internal,sip.example.net,u,p,fs1;fs2,\"germany, voice\",no,PCMA,1\n\
         carrier2,,r.example,u2,p2,,,yes,,\n",
    );
    assert_said(&import, &[]);
    assert_eq!(
        lines(&import),
        [
            concat!(
                r#"carrier1 taken {"param":{"realm":"sip.example.net","username":"u","password":"p"},"#,
                r#""variables":{"absolute_codec_string":"PCMA","x":{"value":"1","direction":"inbound"}},"#,
                r#""nodes":["fs1","fs2"],"tags":["germany","voice"],"enabled":false,"profile":"internal"}"#,
            ),
            r#"carrier2 taken {"param":{"realm":"r.example","username":"u2","password":"p2"}}"#,
        ]
    );
}

#[test]
fn the_separator_and_a_byte_order_mark_are_found() {
    for text in [
        "\u{FEFF}name;realm;register\r\na;r.example;false\r\n",
        "name\trealm\tregister\na\tr.example\tfalse\n\n",
        "name,realm,register\n\"a\",\"r.example\",\"false\"",
    ] {
        assert_eq!(
            lines(&read(text)),
            [r#"a taken {"param":{"realm":"r.example","register":"false"}}"#],
            "{text:?}"
        );
    }
}

#[test]
fn a_column_spelt_otherwise_is_read_and_an_unknown_one_is_reported_with_the_likely_name() {
    let import = read("Name,auth_username,pasword,sip_cid_type,Price,register,realm\na,u,p,pid,7,false,r.example\n");
    assert_said(
        &import,
        &[
            "trunks.csv:1: note: the column `auth_username` was read as `auth-username`",
            "trunks.csv:1: warning: the column `pasword` is no param of FreeSWITCH's, and was left out; did \
             you mean password?",
            "trunks.csv:1: note: the column `sip_cid_type`",
            "`Price`",
        ],
    );
}

#[test]
fn every_row_has_its_own_verdict_and_line() {
    let import = read(
        "name,domain,realm,username,password,enabled\n\
         a,,r.example,u,p,\n\
         a,,r.example,u,p,\n\
         b b,,r.example,u,p,\n\
         c,,r.example,u,,\n\
         d,,r.example,u,p,perhaps\n",
    );
    let verdicts: Vec<_> = import.gateways.iter().map(|gateway| gateway.verdict.as_str()).collect();
    assert_eq!(verdicts, ["taken", "skipped", "skipped", "skipped", "skipped"]);
    assert_said(
        &import,
        &[
            "trunks.csv:3: error: the domain has this name already, at trunks.csv:2",
            "trunks.csv:4: error: character 2 of the name",
            "trunks.csv:5: error: param.password: ",
            "trunks.csv:6: error: enabled: ",
        ],
    );
}

#[test]
fn a_row_without_a_domain_needs_one_of_the_call() {
    let csv = b"name,domain,realm,register\na,acme,r.example,false\na,globex,r.example,false\nb,,r.example,false\n";
    let import = import("t.csv", csv, &options()).unwrap();
    let domains: Vec<_> = import
        .gateways
        .iter()
        .map(|gateway| gateway.domain.as_deref())
        .collect();
    assert_eq!(domains, [Some("acme"), Some("globex"), None]);
    assert_said(
        &import,
        &["t.csv:4: error: the source does not say in which domain it is; name a domain"],
    );
}

#[test]
fn what_is_no_table_is_refused_whole() {
    let refused = |csv: &[u8]| import("t.csv", csv, &options()).unwrap_err().to_string();
    assert!(refused(b"").contains("no column `name`"));
    assert!(refused(b"name,realm\na,b,c\n").contains("the row has 3 cells"));
    assert!(refused(b"name\n\xd6\xd0\n").contains("UTF-8"));
}
