//! How gateways and profiles are shown (`mod_sofia.c`).

use super::{Gateway, RegState, Sofia};

const XML_HEADER: &str = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n";
const LINE: &str = "=================================================================================================";

impl Sofia {
    /// `sofia xmlstatus gateway`
    pub fn xml_status_of_all(&self) -> String {
        let mut text = format!("{XML_HEADER}<gateways>\n");
        for gateway in self.listed() {
            self.write_xml(gateway, &mut text);
        }
        text + "</gateways>\n"
    }

    /// `sofia xmlstatus gateway G`
    pub fn xml_status_of(&self, name: &str) -> Option<String> {
        let gateway = self.gateway(name)?;
        let mut text = XML_HEADER.to_owned();
        self.write_xml(gateway, &mut text);
        Some(text)
    }

    /// `xml_gateway_status`
    fn write_xml(&self, gateway: &Gateway, out: &mut String) {
        out.push_str("  <gateway>\n");
        let mut element = |name: &str, value: &str| {
            out.push_str(&format!("    <{name}>{value}</{name}>\n"));
        };
        let number = |n: i64| n.to_string();
        element("name", &gateway.name);
        element("profile", &gateway.profile);
        element("scheme", &gateway.scheme);
        element("realm", &gateway.realm);
        element("username", &gateway.username);
        element("password", if gateway.password.is_empty() { "no" } else { "yes" });
        element("from", &amp_encode(&gateway.from));
        element("contact", &amp_encode(&gateway.contact));
        element("exten", &amp_encode(&gateway.extension));
        element("to", &gateway.to);
        element("proxy", &gateway.proxy);
        element("context", &gateway.context);
        element("expires", &gateway.expires_str);
        element("freq", &number(gateway.freq));
        element("ping", &number(gateway.ping));
        element("pingfreq", &number(gateway.ping_freq));
        element("pingmin", &number(gateway.ping_min));
        element("pingcount", &number(gateway.ping_count));
        element("pingmax", &number(gateway.ping_max));
        element("pingtime", &format!("{:.2}", gateway.ping_time));
        element("pinging", &number(i64::from(gateway.pinging)));
        element("state", gateway.state.name());
        element("status", gateway.status_name());
        element("uptime-usec", &number(self.uptime_usec(gateway)));
        let calls = gateway.calls;
        element("calls-in", &calls.incoming.to_string());
        element("calls-out", &calls.out.to_string());
        element("failed-calls-in", &calls.incoming_failed.to_string());
        element("failed-calls-out", &calls.out_failed.to_string());
        match self.retry_of(gateway) {
            Some(Some(seconds)) => element("retry", &format!("{seconds}s")),
            Some(None) => element("retry", "NEVER"),
            None => {}
        }
        out.push_str("  </gateway>\n");
    }

    fn uptime_usec(&self, gateway: &Gateway) -> i64 {
        if gateway.up {
            (self.now - gateway.uptime_start) * 1_000_000
        } else {
            0
        }
    }

    /// None: no retry to speak of. Some(None): NEVER
    fn retry_of(&self, gateway: &Gateway) -> Option<Option<i64>> {
        matches!(gateway.state, RegState::Failed | RegState::FailWait | RegState::Trying)
            .then(|| (gateway.retry >= self.now).then(|| gateway.retry - self.now))
    }

    fn retry_text(&self, gateway: &Gateway) -> String {
        match self.retry_of(gateway) {
            Some(Some(seconds)) => format!(" (retry: {seconds}s)"),
            Some(None) => " (retry: NEVER)".to_owned(),
            None => String::new(),
        }
    }

    /// `sofia xmlstatus`
    pub fn xml_status(&self) -> String {
        let mut text = format!("{XML_HEADER}<profiles>\n");
        let entry = |tag: &str, name: &str, data: &str, state: &str| {
            format!(
                "<{tag}>\n<name>{name}</name>\n<type>{tag}</type>\n<data>{data}</data>\n<state>{state}</state>\n</{tag}>\n"
            )
        };
        for profile in self.profiles.iter().filter(|profile| profile.running) {
            text += &entry("profile", &profile.name, &profile.url(profile.sip_port), "RUNNING (0)");
            if profile.tls {
                text += &entry(
                    "profile",
                    &profile.name,
                    &profile.url(profile.tls_port),
                    "RUNNING (0) (TLS)",
                );
            }
            for &index in &profile.gateways {
                let gateway = &self.gateways[index];
                text += &entry("gateway", &gateway.name, &gateway.to, gateway.state.name());
                text += &self.retry_text(gateway);
                text.push('\n');
            }
        }
        text + "</profiles>\n"
    }

    /// `sofia xmlstatus profile P`, with the settings of the recording
    pub fn xml_status_of_profile(&self, name: &str) -> Option<String> {
        let profile = self.profile(name).filter(|profile| profile.running)?;
        let (ip, url) = (&profile.sip_ip, profile.url(profile.sip_port));
        let ext_ip = profile.ext_sip_ip.as_ref().unwrap_or(ip);
        let info = [
            ("name", name),
            ("domain-name", "N/A"),
            ("auto-nat", "false"),
            ("db-name", &format!("sofia_reg_{name}")),
            ("pres-hosts", ""),
            ("dialplan", "XML"),
            ("context", profile.context.as_deref().unwrap_or_default()),
            ("challenge-realm", "auto_to"),
            ("rtp-ip", ip),
            ("ext-rtp-ip", ext_ip),
            ("sip-ip", ip),
            ("ext-sip-ip", ext_ip),
            ("url", &url),
            ("bind-url", &format!("{url};maddr={ip};transport=udp,tcp")),
            ("hold-music", "silence"),
            ("outbound-proxy", "N/A"),
            ("inbound-codecs", "PCMU,PCMA"),
            ("outbound-codecs", "PCMU,PCMA"),
            ("tel-event", "101"),
            ("dtmf-mode", "rfc2833"),
            ("cng", "13"),
            ("session-to", "0"),
            ("max-dialog", "0"),
            ("max-recv-rps", "1000"),
            ("nomedia", "false"),
            ("late-neg", "true"),
            ("proxy-media", "false"),
            ("aggressive-nat", "false"),
            ("calls-in", "0"),
            ("calls-out", "0"),
            ("failed-calls-in", "0"),
            ("failed-calls-out", "0"),
            ("registrations", "0"),
        ];
        let lines: String = info
            .iter()
            .map(|(tag, value)| format!("    <{tag}>{value}</{tag}>\n"))
            .collect();
        Some(format!(
            "{XML_HEADER}<profile>\n  <profile-info>\n{lines}  </profile-info>\n</profile>\n"
        ))
    }

    /// `sofia status`
    pub fn status(&self) -> String {
        let mut text = format!("{:>25}\t{}\t  {:>40}\t{}\n{LINE}\n", "Name", "   Type", "Data", "State");
        let mut count = 0;
        for profile in self.profiles.iter().filter(|profile| profile.running) {
            count += 1;
            let url = profile.url(profile.sip_port);
            text += &format!("{:>25}\tprofile\t  {url:>40}\tRUNNING (0)\n", profile.name);
            if profile.tls {
                let url = profile.url(profile.tls_port);
                text += &format!("{:>25}\tprofile\t  {url:>40}\tRUNNING (0) (TLS)\n", profile.name);
            }
            for &index in &profile.gateways {
                let gateway = &self.gateways[index];
                let key = format!("{}::{}", profile.name, gateway.name);
                let (state, retry) = (gateway.state.name(), self.retry_text(gateway));
                text += &format!("{key:>25}\tgateway\t  {:>40}\t{state}{retry}\n", gateway.to);
            }
        }
        let plural = if count == 1 { "" } else { "s" };
        text + &format!("{LINE}\n{count} profile{plural} 0 aliases\n")
    }

    /// `sofia status gateway G`
    pub fn status_of(&self, name: &str) -> Option<String> {
        let g = self.gateway(name)?;
        let uptime = self.uptime_usec(g) / 1_000_000;
        let rows = [
            ("Name    \t", g.name.clone()),
            ("Profile \t", g.profile.clone()),
            ("Scheme  \t", g.scheme.clone()),
            ("Realm   \t", g.realm.clone()),
            ("Username\t", g.username.clone()),
            (
                "Password\t",
                if g.password.is_empty() { "no" } else { "yes" }.to_owned(),
            ),
            ("From    \t", g.from.clone()),
            ("Contact \t", g.contact.clone()),
            ("Exten   \t", g.extension.clone()),
            ("To      \t", g.to.clone()),
            ("Proxy   \t", g.proxy.clone()),
            ("Context \t", g.context.clone()),
            ("Expires \t", g.expires_str.clone()),
            ("Freq    \t", g.freq.to_string()),
            ("Ping    \t", g.ping.to_string()),
            ("PingFreq\t", g.ping_freq.to_string()),
            ("PingTime\t", format!("{:.2}", g.ping_time)),
            ("PingState\t", format!("{}/{}/{}", g.ping_min, g.ping_count, g.ping_max)),
            ("State   \t", g.state.name().to_owned()),
            (
                "Status  \t",
                format!("{}{}", g.status_name(), if g.pinging { " (ping)" } else { "" }),
            ),
            ("Uptime  \t", format!("{uptime}s")),
            ("CallsIN \t", g.calls.incoming.to_string()),
            ("CallsOUT\t", g.calls.out.to_string()),
            ("FailedCallsIN\t", g.calls.incoming_failed.to_string()),
            ("FailedCallsOUT\t", g.calls.out_failed.to_string()),
        ];
        let body: String = rows.iter().map(|(label, value)| format!("{label}{value}\n")).collect();
        Some(format!("{LINE}\n{body}{LINE}\n"))
    }

    /// `sofia profile P gwlist up|down`
    pub fn gateway_list(&self, profile: &str, up: bool) -> String {
        let gateways = self.profile(profile).map(|profile| &profile.gateways);
        gateways
            .into_iter()
            .flatten()
            .map(|&index| &self.gateways[index])
            .filter(|gateway| gateway.up == up)
            .map(|gateway| format!("{} ", gateway.name))
            .collect()
    }
}

/// `switch_amp_encode` into a buffer of 2,096 bytes: what doesn't fit is cut
fn amp_encode(text: &str) -> String {
    let mut encoded: Vec<u8> = Vec::new();
    for c in text.bytes() {
        let piece: &[u8] = match c {
            b'"' => b"&quot;",
            b'\'' => b"&apos;",
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            _ => std::slice::from_ref(&c),
        };
        if encoded.len() + piece.len() > 2095 {
            break;
        }
        encoded.extend_from_slice(piece);
    }
    String::from_utf8_lossy(&encoded).into_owned()
}
