//! `fs-conf/scripts/trunkd_bridge.lua`, run by a Lua interpreter against a model of FreeSWITCH's API.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use mlua::{Lua, Table};

const SCRIPT: &str = include_str!("../fs-conf/scripts/trunkd_bridge.lua");

/// What mod_lua gives a script, on the switch `fs1`. `redis` is nil while Redis is away; as with mod_hiredis,
/// the reply is empty then, and also where there is no such field.
const FREESWITCH: &str = r#"
did, logged, asked = {}, {}, 0
local api = {}
function api:execute(command, text)
  if command == "switchname" then return "fs1" end
  assert(command == "hiredis_raw", command)
  asked = asked + 1
  if not redis then return "" end
  if text == "trunkd PING" then return "PONG" end
  local hash, name = text:match("^trunkd HGET (%S+) (%S+)$")
  return redis[hash .. " " .. name] or ""
end
freeswitch = {
  API = function() return api end,
  consoleLog = function(level, text) table.insert(logged, level .. ": " .. text) end,
  getGlobalVariable = function(name) return globals[name] end,
  setGlobalVariable = function(name, value) globals[name] = value end,
}
session = {
  execute = function(_, application, text) table.insert(did, application .. " " .. text) end,
  hangup = function(_, cause) table.insert(did, "hangup " .. cause) end,
  getVariable = function(_, name) return variables[name] end,
}
"#;

/// One switch, over several calls.
struct Switch {
    lua: Lua,
}

impl Switch {
    /// With these fields in Redis.
    fn new(fields: &[(&str, &str)]) -> Self {
        let lua = Lua::new();
        for name in ["globals", "variables"] {
            lua.globals().set(name, lua.create_table().unwrap()).unwrap();
        }
        lua.load(FREESWITCH).exec().unwrap();
        let switch = Self { lua };
        switch.redis(Some(fields));
        switch
    }

    fn redis(&self, fields: Option<&[(&str, &str)]>) {
        let fields = fields.map(|fields| fields.iter().copied().collect::<BTreeMap<_, _>>());
        self.lua.globals().set("redis", fields).unwrap();
    }

    fn variable(&self, name: &str, value: &str) {
        let variables: Table = self.lua.globals().get("variables").unwrap();
        variables.set(name, value).unwrap();
    }

    /// Makes what was cached older.
    fn pass(&self, seconds: i64) {
        let text = format!(
            "for name, value in pairs(globals) do
               globals[name] = value:gsub('^%d+', function(at) return string.format('%d', at - {seconds}) end)
             end"
        );
        self.lua.load(text).exec().unwrap();
    }

    /// What a call did, and what was logged.
    fn dial(&self, gateway: &str, number: &str) -> (Vec<String>, String) {
        let globals = self.lua.globals();
        globals.set("argv", [gateway, number]).unwrap();
        for list in ["did", "logged"] {
            globals.set(list, self.lua.create_table().unwrap()).unwrap();
        }
        self.lua.load(SCRIPT).exec().unwrap();
        let logged: Vec<String> = globals.get("logged").unwrap();
        (globals.get("did").unwrap(), logged.concat())
    }

    fn asked(&self) -> i64 {
        self.lua.globals().get("asked").unwrap()
    }
}

const HERE: (&str, &str) = (
    "trunkd:placement gw1",
    r#"{"switch":"fs1","epoch":3,"since":"2026-11-26T17:00:00Z","reason":"failover"}"#,
);
const ELSEWHERE: (&str, &str) = ("trunkd:placement gw1", r#"{"switch":"fs2","epoch":4}"#);
const ADDRESS: (&str, &str) = ("trunkd:sip fs2", "10.0.0.12:5080");
const OVER_FS2: &str = "bridge {sip_h_X-Trunkd-Gateway=gw1}sofia/external/+4930123@10.0.0.12:5080";

#[test]
fn a_call_leaves_here_if_this_switch_has_the_gateway_and_through_the_owner_if_not() {
    let here = Switch::new(&[HERE]).dial("gw1", "+4930123");
    assert_eq!(
        here,
        (vec!["bridge sofia/gateway/gw1/+4930123".to_owned()], String::new())
    );
    let elsewhere = Switch::new(&[ELSEWHERE, ADDRESS]).dial("gw1", "+4930123");
    assert_eq!(elsewhere, (vec![OVER_FS2.to_owned()], String::new()));
}

#[test]
fn a_call_that_nobody_can_carry_is_hung_up_with_a_line_in_the_log() {
    let refused = |switch: &Switch, gateway: &str, number: &str, words: &str| {
        let (did, logged) = switch.dial(gateway, number);
        assert!(matches!(&did[..], [one] if one.starts_with("hangup ")), "{did:?}");
        assert!(
            logged.starts_with("ERR: trunkd_bridge: ") && logged.contains(words),
            "{logged}"
        );
    };
    refused(&Switch::new(&[]), "gw1", "1", "no switch has gateway gw1");
    refused(&Switch::new(&[ELSEWHERE]), "gw1", "1", "where fs2 answers SIP");
    let away = Switch::new(&[]);
    away.redis(None);
    refused(&away, "gw1", "1", "Redis does not answer");
    // Handed on by another switch, and the gateway moved meanwhile: no call goes round in circles.
    let handed_on = Switch::new(&[ELSEWHERE, ADDRESS]);
    handed_on.variable("sip_h_X-Trunkd-Gateway", "gw1");
    refused(&handed_on, "gw1", "1", "is on fs2 by now");
    for (gateway, number) in [
        ("gw1 x", "1"),
        ("gw1", "1,sofia/gateway/gw2/1"),
        ("%s", "1"),
        ("gw1", ""),
    ] {
        refused(&Switch::new(&[HERE]), gateway, number, "usage");
    }
}

#[test]
fn an_answer_is_used_for_seconds_and_longer_only_while_redis_is_away() {
    let switch = Switch::new(&[ELSEWHERE, ADDRESS]);
    switch.dial("gw1", "+4930123");
    let asked = switch.asked();
    assert!(asked > 0);
    assert_eq!(switch.dial("gw1", "+4930123").0, [OVER_FS2]);
    assert_eq!(switch.asked(), asked, "from the cache");

    switch.pass(60);
    switch.redis(None);
    let (did, logged) = switch.dial("gw1", "+4930123");
    assert_eq!(did, [OVER_FS2]);
    assert!(logged.contains("gateway gw1 was last on fs2"), "{logged}");

    switch.redis(Some(&[HERE]));
    assert_eq!(switch.dial("gw1", "+4930123").0, ["bridge sofia/gateway/gw1/+4930123"]);
    switch.pass(60);
    switch.redis(Some(&[]));
    assert_eq!(switch.dial("gw1", "+4930123").0, ["hangup NO_ROUTE_DESTINATION"]);
}
