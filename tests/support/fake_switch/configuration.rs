//! Where FreeSWITCH has its configuration from, and what it starts with it: mod_xml_curl or the disk, then mod_sofia's
//! profiles and gateways (`sofia.c`).

use super::super::fs_xml::Element;
use super::calls::Calls;
use super::core::Shared;
use super::event::Origin;
use super::sofia::{Profile, Sofia};
use super::xml_curl::{self, Binding};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

impl Shared {
    /// `switch_xml_open_cfg("sofia.conf")` with what mod_sofia adds to the request
    pub(super) async fn fetch_sofia_conf(&self, origin: Origin, params: &[(&str, &str)]) -> Option<Element> {
        let _one_at_a_time = self.fetching.lock().await;
        let (binding, text, globals, disk) = self.with(|core| {
            let mut event = core.bus.create("REQUEST_PARAMS", None, origin);
            for (name, value) in params {
                event = event.with(name, *value);
            }
            let text = event.to_params(&basic_params(&core.bus.switchname, "sofia.conf"));
            (core.binding.clone(), text, core.globals.clone(), core.disk.clone())
        });
        let Some(binding) = binding else {
            return disk.and_then(|disk| xml_curl::from_disk(&disk, "sofia.conf", &globals));
        };
        self.locate(&binding, &text, "sofia.conf", &globals, disk.as_deref())
            .await
    }

    async fn locate(
        &self,
        binding: &Binding,
        params: &str,
        name: &str,
        globals: &BTreeMap<String, String>,
        disk: Option<&[u8]>,
    ) -> Option<Element> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            (found, request) = xml_curl::locate(binding, params, name, globals, disk) => {
                self.with(|core| core.requests.push(request));
                found
            }
        }
    }

    /// FACTS 2: with `bindings="configuration"` every configuration is asked for.
    pub(super) async fn fetch_other_configurations(&self, names: &[&str]) {
        let (binding, switchname) = self.read(|core| {
            (
                core.binding.clone().filter(|_| core.other_configurations),
                core.bus.switchname.clone(),
            )
        });
        for name in names {
            let Some(binding) = &binding else { return };
            let _one_at_a_time = self.fetching.lock().await;
            self.locate(binding, &basic_params(&switchname, name), name, &BTreeMap::new(), None)
                .await;
        }
    }

    /// mod_sofia loads: all profiles, then the gateways of each. False: no configuration, so no mod_sofia (FACTS 7).
    pub(super) async fn load_sofia(self: &Arc<Self>) -> bool {
        let built_in = self.read(|core| core.binding.is_none() && core.disk.is_none());
        if built_in {
            for (name, port) in ["external", "internal"].into_iter().zip(self.built_in_ports) {
                self.with(|core| core.sofia.start_profile(Profile::new(name, port), &mut core.bus));
                self.open_sip(name).await;
            }
            self.with(|core| core.sofia.loaded = true);
            return true;
        }
        let loaded = self.config_sofia(None, false).await;
        self.with(|core| core.sofia.loaded = loaded);
        loaded
    }

    /// `mod_sofia_shutdown_cleanup`: its commands are gone first, then its profiles end.
    pub(super) fn unload_sofia(&self) {
        let profiles: Vec<String> = self.with(|core| {
            core.sofia.loaded = false;
            core.sofia.profiles.iter().map(|profile| profile.name.clone()).collect()
        });
        for profile in profiles {
            self.end_profile(&profile);
        }
    }

    pub(super) async fn boot(self: &Arc<Self>) {
        self.with(|core| {
            core.bus.boot();
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs() as i64);
            // The fake's clock continues over a restart. Only the first start sets it.
            let (now, ticks) = if core.sofia.now == 0 {
                (now, 0)
            } else {
                (core.sofia.now, core.sofia.ticks)
            };
            core.sofia = Sofia::starting_at(now, ticks);
            core.calls = Calls::default();
            core.running = true;
        });
        self.fetch_other_configurations(&["acl.conf", "loopback.conf", "timezones.conf"])
            .await;
        self.load_sofia().await;
        self.listening.send_replace(true);
    }

    /// `config_sofia`: a running profile is scanned again, one that isn't running is started. False: no such profile.
    pub(super) async fn config_sofia(self: &Arc<Self>, name: Option<&str>, rescan: bool) -> bool {
        let mut params = Vec::new();
        params.extend(name.map(|name| ("profile", name)));
        if rescan {
            params.push(("reconfig", "true"));
        }
        let origin = Origin("sofia.c", "config_sofia", 4486);
        let Some(configuration) = self.fetch_sofia_conf(origin, &params).await else {
            return false;
        };
        let profiles = configuration.child("profiles");
        let mut found = false;
        for profile in profiles
            .into_iter()
            .flat_map(|profiles| profiles.children_named("profile"))
        {
            let this = profile.attribute("name").unwrap_or_default();
            let Some(made) = Profile::from_xml(profile) else {
                self.with(|core| core.sofia.log.push("No Settings, check the new config!".to_owned()));
                continue;
            };
            if name.is_some_and(|name| !name.eq_ignore_ascii_case(this)) {
                continue;
            }
            found = true;
            if self.read(|core| core.sofia.profile(this).is_some()) {
                self.with(|core| {
                    core.sofia.reread_settings(profile);
                    if let Some(gateways) = profile.child("gateways") {
                        core.sofia.parse_gateways(this, gateways, None, &mut core.bus);
                    }
                });
            } else {
                self.with(|core| core.sofia.start_profile(made, &mut core.bus));
                self.open_sip(this).await;
                self.launch_worker(this).await;
            }
        }
        found || name.is_none()
    }

    /// `launch_sofia_worker_thread`: the gateways of a profile that just started
    async fn launch_worker(self: &Arc<Self>, name: &str) {
        let origin = Origin("sofia.c", "launch_sofia_worker_thread", 3046);
        match self.fetch_sofia_conf(origin, &[("profile", name)]).await {
            None => self.end_profile(name), // no worker, so the profile's thread ends too
            configuration => self.add_gateways_of(configuration, name, None),
        }
    }

    pub(super) fn end_profile(&self, name: &str) {
        self.with(|core| {
            let (sofia, mut world) = core.sofia_in_its_world();
            sofia.stop_profile(name, &mut world);
            core.sip.remove(name);
        });
    }

    /// `config_gateway`
    pub(super) async fn config_gateway(self: &Arc<Self>, profile: &str, gateway: &str) -> bool {
        let origin = Origin("sofia.c", "config_gateway", 4432);
        let params = [("profile", profile), ("reconfig", "true"), ("gateway", gateway)];
        let configuration = self.fetch_sofia_conf(origin, &params).await;
        let opened = configuration.is_some();
        self.add_gateways_of(configuration, profile, (gateway != "_all_").then_some(gateway));
        opened
    }

    fn add_gateways_of(&self, configuration: Option<Element>, name: &str, only: Option<&str>) {
        let gateways = configuration
            .as_ref()
            .and_then(|configuration| configuration.child("profiles"))
            .and_then(|profiles| profiles.child_where("profile", "name", name))
            .and_then(|profile| profile.child("gateways"));
        if let Some(gateways) = gateways {
            self.with(|core| core.sofia.parse_gateways(name, gateways, only, &mut core.bus));
        }
    }
}

/// The first five pairs of a request (FACTS 1), not encoded
fn basic_params(switchname: &str, name: &str) -> String {
    format!("hostname={switchname}&section=configuration&tag_name=configuration&key_name=name&key_value={name}")
}
