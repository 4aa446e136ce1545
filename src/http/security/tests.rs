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
fn each_configured_pair_is_accepted_and_no_similar_one() {
    let credentials = credentials(&["fs1:s3cret", "fs2:顶顶通:密码"]);
    for pair in ["fs1:s3cret", "fs2:顶顶通:密码"] {
        assert_eq!(
            credentials.check(Some(&header(pair))),
            Authentication::Accepted,
            "{pair}"
        );
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
        assert_eq!(credentials.check(Some(&header(pair))), Authentication::Wrong, "{pair}");
    }
}

#[test]
fn a_malformed_header_is_wrong() {
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
        assert_eq!(
            credentials.check(Some(given.as_bytes())),
            Authentication::Wrong,
            "{given}"
        );
    }
    assert_eq!(credentials.check(None), Authentication::Missing);
    assert_eq!(
        credentials.check(Some(b"bAsIc  ZnMxOnMzY3JldA==")),
        Authentication::Accepted
    );
}

#[test]
fn without_pairs_everybody_is_accepted() {
    assert_eq!(credentials(&[]).check(None), Authentication::Accepted);
    assert_eq!(credentials(&[]).check(Some(b"Bearer x")), Authentication::Accepted);
}

#[test]
fn both_spellings_of_a_network_mean_the_same() {
    for network in ["192.0.2.0/24", "::ffff:192.0.2.0/120"] {
        let allow = AllowList::new([network.parse().unwrap()]);
        for (peer, permitted) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.3.7", false),
            ("::ffff:192.0.3.7", false),
            ("2001:db8::7", false),
        ] {
            assert_eq!(allow.permits(peer.parse().unwrap()), permitted, "{peer} in {network}");
        }
    }
    assert!(AllowList::new(["2001:db8::/32".parse().unwrap()]).permits("2001:db8::7".parse().unwrap()));
    assert!(AllowList::new([]).permits("203.0.113.1".parse().unwrap()));
}
