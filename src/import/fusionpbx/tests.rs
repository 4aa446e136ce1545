use super::super::tests::{assert_said, in_domain, lines, options};
use super::*;

const DUMP: &str = "COPY public.v_domains (domain_uuid, domain_name) FROM stdin;\n\
    d1\tacme.example\n\\.\n\
    COPY public.v_gateways (gateway_uuid, domain_uuid, gateway, username, password, realm, proxy, register, \
    register_transport, expire_seconds, sip_cid_type, codec_prefs, channels, supress_cng, hostname, profile, \
    enabled, description, insert_date) FROM stdin;\n\
    0A1B2C3D-0000-4000-8000-000000000001\td1\tVoice One\tu\tp&w\tsip.example.net\t\
    sip.example.net\ttrue\ttls\t800\tpid\tPCMA,PCMU\t0\t\\N\tpbx1\texternal\ttrue\tmain\t2026-01-01\n\
    0A1B2C3D-0000-4000-8000-000000000002\t\\N\tVoice-Two\t\\N\t\\N\t192.0.2.1\t\
    192.0.2.1\tfalse\tws\t\\N\t\\N\t\\N\t10\ttrue\t\\N\t\\N\tf\t\\N\t\\N\n\
    \\.\n";

#[test]
fn gateways_are_named_by_their_uuid_as_fusionpbx_dials_them() {
    let import = import("dump.sql", DUMP.as_bytes(), Naming::Uuid, &options()).unwrap();
    assert_eq!(
        lines(&import),
        [
            concat!(
                r#"0a1b2c3d-0000-4000-8000-000000000001 changed {"param":{"username":"u","password":"p&w","#,
                r#""realm":"sip.example.net","proxy":"sip.example.net","expire-seconds":"800","#,
                r#""register":"true","register-transport":"tls"},"variables":{"sip_cid_type":"pid","#,
                r#""absolute_codec_string":"PCMA,PCMU"},"description":"Voice One: main","nodes":["pbx1"],"#,
                r#""profile":"external"}"#,
            ),
            concat!(
                r#"0a1b2c3d-0000-4000-8000-000000000002 skipped {"param":{"realm":"192.0.2.1","#,
                r#""proxy":"192.0.2.1","register":"false","register-transport":"udp"},"#,
                r#""description":"Voice-Two","enabled":false,"profile":"external"}"#,
            ),
        ]
    );
    assert_eq!(import.gateways[0].domain.as_deref(), Some("acme.example"));
    assert_said(
        &import,
        &[
            "dump.sql:5: note: nodes: `hostname` became `nodes`",
            "dump.sql:5: note: variables.absolute_codec_string: ",
            "dump.sql:6: warning: `supress_cng` was left out",
            "dump.sql:6: warning: `channels` was left out",
            "dump.sql:6: error: the source does not say in which domain it is",
        ],
    );
}

#[test]
fn gateways_may_keep_their_names_where_freeswitch_takes_them() {
    let import = import("dump.sql", DUMP.as_bytes(), Naming::Gateway, &in_domain("acme")).unwrap();
    let verdicts: Vec<_> = import
        .gateways
        .iter()
        .map(|gateway| format!("{} {}", gateway.name, gateway.verdict.as_str()))
        .collect();
    assert_eq!(verdicts, ["Voice One skipped", "Voice-Two changed"]);
}

#[test]
fn csv_is_read_as_well() {
    let csv = "gateway_uuid,gateway,realm,register,enabled,something_new\nAB,One,r.example,false,true,x\n";
    let import = import("g.csv", csv.as_bytes(), Naming::Uuid, &in_domain("acme")).unwrap();
    assert_eq!(
        lines(&import),
        [r#"ab taken {"param":{"realm":"r.example","register":"false"},"description":"One","profile":"external"}"#]
    );
    assert_said(&import, &["g.csv:1: warning: the column `something_new` was left out"]);
}

#[test]
fn a_file_without_the_table_says_how_to_export_it() {
    let refused = |text: &str| {
        import("x", text.as_bytes(), Naming::Uuid, &options())
            .unwrap_err()
            .to_string()
    };
    assert!(refused("").contains("pg_dump -t v_gateways"));
    assert!(refused("COPY v_gateways (a) FROM stdin;\nx\n\\.\n").contains("no column `gateway_uuid`"));
}
