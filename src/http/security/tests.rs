use super::*;

fn credentials(pairs: &[&str]) -> Credentials {
    let pair = |pair: &&str| {
        let (user, password) = pair.split_once(':').unwrap();
        Credential {
            user: user.to_owned(),
            password: password.into(),
        }
    };
    Credentials::new(&pairs.iter().map(pair).collect::<Vec<_>>())
}

fn header(pair: &str) -> Vec<u8> {
    format!("Basic {}", STANDARD.encode(pair)).into_bytes()
}

#[test]
fn any_of_several_pairs_opens_and_nothing_near_it_does() {
    let credentials = credentials(&["fs1:s3cret", "fs2:顶顶通:密码"]);
    for pair in ["fs1:s3cret", "fs2:顶顶通:密码"] {
        assert_eq!(credentials.verdict(Some(&header(pair))), Verdict::Admitted, "{pair}");
    }
    for pair in [
        "fs1:s3cre",
        "fs1:s3cret ",
        "fs1:顶顶通:密码",
        "FS1:s3cret",
        "fs1:",
        ":",
        "",
    ] {
        assert_eq!(credentials.verdict(Some(&header(pair))), Verdict::Wrong, "{pair}");
    }
}

#[test]
fn a_malformed_header_is_wrong_whatever_is_the_matter_with_it() {
    let credentials = credentials(&["fs1:s3cret"]);
    for given in [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Bearer ZnMxOnMzY3JldA==",
        "ZnMxOnMzY3JldA==",
        "Basic\u{a0}Zn",
    ] {
        assert_eq!(credentials.verdict(Some(given.as_bytes())), Verdict::Wrong, "{given}");
    }
    assert_eq!(credentials.verdict(None), Verdict::NotGiven);
    assert_eq!(credentials.verdict(Some(b"bAsIc  ZnMxOnMzY3JldA==")), Verdict::Admitted);
}

#[test]
fn without_pairs_nothing_is_asked() {
    assert_eq!(credentials(&[]).verdict(None), Verdict::Admitted);
    assert_eq!(credentials(&[]).verdict(Some(b"Bearer x")), Verdict::Admitted);
}

#[test]
fn a_network_means_the_same_in_both_of_its_spellings() {
    for network in ["192.0.2.0/24", "::ffff:192.0.2.0/120"] {
        let allow = AllowList::new([network.parse().unwrap()]);
        for (peer, permitted) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.3.7", false),
            ("::ffff:192.0.3.7", false),
            ("2001:db8::7", false),
        ] {
            assert_eq!(
                allow.permits(Some(peer.parse().unwrap())),
                permitted,
                "{peer} in {network}"
            );
        }
        assert!(!allow.permits(None));
    }
    assert!(AllowList::new(["2001:db8::/32".parse().unwrap()]).permits(Some("2001:db8::7".parse().unwrap())));
    assert!(AllowList::new([]).permits(Some("203.0.113.1".parse().unwrap())));
}
