//! Importing what trunkd itself renders gives the same gateways, and no input makes an import panic, hang, read
//! outside of its folder or execute anything.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use trunkd::gateway::params::PARAMS;
use trunkd::gateway::{Desired, Gateway, ProfileName, RawDomain, Rules, parse};
use trunkd::import::{Import, Options, ProfileNames, Verdict, fs_xml, fusionpbx, sheet};
use trunkd::sofia_conf::{GatewayQuery, Query, RevisionKey, Templates};

#[path = "support/nasty.rs"]
#[allow(dead_code, unreachable_pub)]
mod nasty;

const KEY: RevisionKey = RevisionKey::new([7; 32]);

fn rules() -> Rules {
    Rules::new(ProfileName::parse("external").unwrap(), BTreeMap::new())
}

fn options() -> Options {
    Options {
        domain: Some("acme".to_owned()),
        profiles: ProfileNames::default(),
        globals: Vec::new(),
        rules: rules(),
    }
}

/// Noncharacters mark what has no value while a file is read. No operator writes them.
fn value() -> impl Strategy<Value = String> {
    nasty::text(false).prop_map(|text| text.replace(['\u{FDD0}', '\u{FDD1}', '\u{FDD2}'], ""))
}

/// Params that FreeSWITCH knows and others, variables of each direction. What the import maps is not among them.
fn gateway() -> impl Strategy<Value = String> {
    let known = select(PARAMS.iter().map(|spec| spec.name).collect::<Vec<_>>()).prop_map(str::to_owned);
    let name = prop_oneof![4 => known, 1 => "[a-z]{3,8}"];
    let direction = select(vec!["inbound", "outbound", "both"]);
    let params = btree_map(name, value(), 0..6);
    let variables = btree_map(prop_oneof!["[a-z_]{1,8}", value()], (value(), direction), 0..5);
    (params, variables).prop_map(|(params, variables)| {
        let variables: BTreeMap<_, _> = variables
            .into_iter()
            .map(|(name, (value, direction))| (name, serde_json::json!({"value": value, "direction": direction})))
            .collect();
        let mut value = serde_json::json!({"param": params, "variables": variables, "profile": "external"});
        // Without it most would lack an account.
        value["param"]["register"] = "false".into();
        value.to_string()
    })
}

fn templates() -> Templates {
    Templates::load(Path::new("templates")).unwrap()
}

fn meant(name: &str, value: &str) -> Option<Gateway> {
    parse("acme", name.as_bytes(), value.as_bytes(), &rules()).gateway
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_trunkd_renders_is_imported_as_the_same_gateways(values in vec(gateway(), 1..6)) {
        let named: BTreeMap<_, _> = values.iter().enumerate().map(|(at, value)| (format!("gw{at}"), value)).collect();
        let expected: BTreeMap<_, _> = named
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), meant(name, value)?)))
            .collect();
        let fields = named.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let raw = [("acme".to_owned(), RawDomain::hash(fields))].into();
        let templates = templates();
        let desired = Desired::build(&raw, &templates.rules(&rules().default_profile).unwrap(), None);
        let query = Query { profile: Some("external"), gateway: GatewayQuery::None, node: None };
        let document = templates.document(&desired, &KEY, &query).unwrap();

        let import = fs_xml::import_texts([("sofia.conf", document.as_bytes())], &options()).unwrap();
        let imported: BTreeMap<_, _> = import
            .gateways
            .iter()
            .map(|gateway| (gateway.name.clone(), meant(&gateway.name, &gateway.value)))
            .collect();
        let expected: BTreeMap<_, _> = expected.into_iter().map(|(name, gateway)| (name, Some(gateway))).collect();
        prop_assert_eq!(imported, expected);
        prop_assert!(import.gateways.iter().all(|gateway| gateway.verdict == Verdict::Taken), "{:?}", import);
    }
}

/// Files in FreeSWITCH's shape, and pieces to put anywhere into them.
const FILES: [(&str, &str); 6] = [
    (
        "freeswitch.xml",
        "<?xml version=\"1.0\"?>\n\
             <document type=\"freeswitch/xml\">\n\
               <!--#comment\n\
               text -->\n\
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
               <X-PRE-PROCESS cmd=\"set\" data=\"host=r.example\"/>\n\
               <X-PRE-PROCESS cmd=\"stun-set\" data=\"ip=stun:stun.example\"/>\n\
             </include>\n",
    ),
    (
        "autoload_configs/sofia.conf.xml",
        "<configuration name=\"sofia.conf\" description=\"x\">\n\
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
               <domains><domain name=\"all\" parse=\"true\"/></domains>\n\
               <settings><param name=\"sip-port\" value=\"5080\"/></settings>\n\
             </profile>\n",
    ),
    (
        "sip_profiles/external/a.xml",
        "<include>\n\
               <gateway name=\"a\">\n\
                 <params>\n\
                   <param name=\"realm\" value=\"$${host}\"/>\n\
                   <param name=\"register\" value=\"false\"/>\n\
                 </params>\n\
                 <variables>\n\
                   <variable name=\"x\" value=\"&lt;1&gt;\" direction=\"inbound\"/>\n\
                 </variables>\n\
               </gateway>\n\
             </include>\n",
    ),
    (
        "directory/default.xml",
        "<include>\n\
               <domain name=\"$${domain}\">\n\
                 <user id=\"1\">\n\
                   <gateways>\n\
                     <gateway name=\"b\">\n\
                       <param name=\"realm\" value=\"$${ip}\"/>\n\
                     </gateway>\n\
                   </gateways>\n\
                 </user>\n\
               </domain>\n\
             </include>\n",
    ),
];

const PIECES: [&str; 30] = [
    "<",
    ">",
    "\"",
    "'",
    "&",
    "&#",
    "&#x110000;",
    "<!--",
    "-->",
    "<!--#",
    "<!--#include \"OUTSIDE/*.xml\"-->\n",
    "<!--#exec \"touch OUTSIDE/ran\"-->",
    "<X-PRE-PROCESS cmd=\"exec\" data=\"touch OUTSIDE/ran\"/>\n",
    "<X-PRE-PROCESS cmd=\"exec-set\" data=\"x=touch OUTSIDE/ran\"/>\n",
    "<X-PRE-PROCESS cmd=\"include\" data=\"OUTSIDE/secret.xml\"/>\n",
    "<X-PRE-PROCESS cmd=\"include\" data=\"../**/../*/*.xml\"/>\n",
    "<X-PRE-PROCESS cmd=\"include\" data=\"link/*.xml\"/>\n",
    "<X-PRE-PROCESS cmd=\"include\" data=\"a.xml\"/>\n",
    "<X-PRE-PROCESS cmd=\"include\" data=\"[\"/>\n",
    "<X-PRE-PROCESS cmd=\"set\" data=\"host=$${host}$${host}\"/>\n",
    "$${",
    "}",
    "<?",
    "<include>",
    "</gateway>",
    "<gateway name=\"c\">",
    "<![CDATA[",
    "]]>",
    "\0",
    "\r",
];

/// Where and what: a piece that is put in, or so many bytes that are taken out.
type Mutation = (Index, Index, Option<usize>, usize);

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let what = prop_oneof![3 => (0..PIECES.len()).prop_map(Some), 1 => Just(None)];
    vec((any::<Index>(), any::<Index>(), what, 1usize..20), 1..8)
}

fn mutated(text: &mut Vec<u8>, mutation: &Mutation, outside: &str) {
    let (_, at, piece, length) = mutation;
    let at = at.index(text.len() + 1);
    match piece {
        Some(piece) => {
            let piece = PIECES[*piece].replace("OUTSIDE", outside);
            text.splice(at..at, piece.into_bytes());
        }
        None => {
            let end = (at + length).min(text.len());
            text.drain(at..end);
        }
    }
}

/// Every remark can be shown, and whatever is taken is a gateway that trunkd would serve.
fn check(import: &Import) {
    for gateway in &import.gateways {
        let is_good = gateway.verdict == Verdict::Skipped || meant(&gateway.name, &gateway.value).is_some();
        assert!(is_good, "{gateway:?}");
    }
    serde_json::to_string(import).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_makes_an_import_panic_or_leave_its_folder_or_execute_anything(mutations in mutations()) {
        let root = tempfile::tempdir().unwrap();
        let (inside, outside) = (root.path().join("conf"), root.path().join("outside"));
        fs::create_dir_all(&outside).unwrap();
        let secret = "<gateway name=\"secret\"><param name=\"register\" value=\"false\"/></gateway>\n";
        fs::write(outside.join("secret.xml"), secret).unwrap();
        let mut files: Vec<_> = FILES.iter().map(|(name, text)| (name, text.as_bytes().to_vec())).collect();
        for mutation in &mutations {
            let file = mutation.0.index(files.len());
            mutated(&mut files[file].1, mutation, &outside.display().to_string());
        }
        for (name, text) in files {
            let path = inside.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        std::os::unix::fs::symlink(&outside, inside.join("sip_profiles/external/link")).unwrap();
        for path in ["", "sip_profiles", "sip_profiles/external"] {
            if let Ok(import) = fs_xml::import(&[inside.join(path)], &options()) {
                check(&import);
                prop_assert!(import.gateways.iter().all(|gateway| gateway.name != "secret"));
            }
        }
        prop_assert!(!outside.join("ran").exists());
    }

    #[test]
    fn no_text_makes_an_import_of_a_table_panic(mutations in mutations(), is_sql: bool) {
        let mut text = match is_sql {
            true => "CREATE TABLE public.v_gateways (gateway_uuid uuid, gateway text);\n\
                 INSERT INTO v_gateways VALUES ('u1', 'it''s'), (E'u2', $$x$$);\n\
                 COPY public.v_gateways (gateway_uuid, gateway, realm, register) FROM stdin;\n\
                 u3\tx\\ty\tr.example\tfalse\n\\.\n",
            false => "gateway_uuid,name,realm,register,enabled,var:x,nodes\n\
                 u1,a,r.example,false,true,\"1,2\",fs1;fs2\n",
        }.as_bytes().to_vec();
        for mutation in &mutations {
            mutated(&mut text, mutation, "x");
        }
        for import in [
            sheet::import("t.csv", &text, &options()),
            fusionpbx::import("t.sql", &text, fusionpbx::Naming::Uuid, &options()),
        ].into_iter().flatten() {
            check(&import);
        }
    }
}
