use figment::Figment;
use figment::providers::{Format, Toml};

use super::*;
use crate::gateway::ProfileName;
use crate::settings::Settings;

fn carriers(toml: &str) -> Carriers {
    let settings: Settings = Figment::from(Toml::string(toml)).extract().unwrap();
    Carriers::new(&settings.carriers)
}

fn gateway(name: &str, carrier: Option<&str>, params: &[(&str, &str)]) -> Gateway {
    Gateway {
        domain: "acme".into(),
        name: GatewayName::parse(name).unwrap(),
        profile: ProfileName::parse("external").unwrap(),
        enabled: true,
        nodes: None,
        placement: None,
        carrier: carrier.map(Into::into),
        rollback: true,
        params: params.iter().copied().collect(),
        variables: Default::default(),
    }
}

#[test]
fn the_carrier_is_what_the_gateway_says_or_its_host_or_what_the_settings_call_either() {
    let known = carriers("[[carrier]]\nname='Example'\nmatch=['*.example.net']\n[[carrier]]\nname='b.test'");
    let name = |carrier, params: &[_]| known.name_of(&gateway("gw", carrier, params));
    assert_eq!(
        name(Some("Own"), &[("realm", "sip.example.net")]).as_deref(),
        Some("Own")
    );
    assert_eq!(name(Some("example"), &[]).as_deref(), Some("Example"));
    assert_eq!(
        name(None, &[("realm", "SIP1.example.net:5070")]).as_deref(),
        Some("Example")
    );
    assert_eq!(
        name(None, &[("register-proxy", "B.test:5062"), ("realm", "sip.example.net")]).as_deref(),
        Some("b.test")
    );
    assert_eq!(name(None, &[("realm", "other.test")]).as_deref(), Some("other.test"));
    assert!(known.of(&gateway("gw", None, &[("realm", "other.test")])).is_none());
    assert!(
        Carriers::default()
            .of(&gateway("gw", None, &[("realm", "b.test")]))
            .is_none()
    );
}

#[test]
fn jitter_shortens_expire_seconds_by_a_share_that_stays() {
    let known = carriers("[[carrier]]\nname='a.test'\njitter='10%'\n[[carrier]]\nname='still.test'");
    let expire = |name: &str, more: &[(&str, &str)]| -> Option<u64> {
        let params = [&[("realm", "a.test"), ("username", "u")], more].concat();
        let spread = known.spread(&gateway(name, None, &params))?;
        let names: Vec<_> = spread.params.iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names.iter().filter(|name| *name == "expire-seconds").count(), 1);
        spread.param("expire-seconds")?.parse().ok()
    };
    let all: Vec<_> = (0..200)
        .filter_map(|n| expire(&format!("gw{n}"), &[("expire-seconds", "1000")]))
        .collect();
    assert_eq!(all.len(), 200);
    assert!(all.iter().all(|expire| (900..=1000).contains(expire)), "{all:?}");
    let early = all.iter().filter(|expire| **expire < 950).count();
    assert!((60..140).contains(&early), "unevenly spread: {early} of 200");
    assert_eq!(expire("gw1", &[("expire-seconds", "1000")]), Some(all[1]));
    let default = expire("gw1", &[]).unwrap();
    assert!((3240..=3600).contains(&default));
    assert_eq!(expire("gw1", &[("register", "false")]), None);
    assert_eq!(expire("gw1", &[("expire-seconds", "soon")]), None);
    assert!(expire("gw1", &[("expire-seconds", "5")]) == Some(5));
    assert!(known.spread(&gateway("gw", None, &[("realm", "still.test")])).is_none());
}
