//! The API commands that trunkd may give (`mod_commands.c`, `mod_sofia.c`), answered in FreeSWITCH's words.

use super::super::fs_xml::{self, Element};
use super::calls;
use super::core::{Shared, duration_words};
use super::event::Origin;
use super::sofia::RegState;
use std::sync::Arc;

const API: Origin = Origin("switch_loadable_module.c", "switch_api_execute", 2996);
const RELOAD: Origin = Origin("switch_xml.c", "__switch_xml_open_root", 2423);

/// The words of an unknown command
fn not_found(command: &str) -> String {
    format!("-ERR {command} Command not found!\n")
}

/// `api LINE`: the reply's body, empty where there is none.
pub(super) async fn execute(shared: &Arc<Shared>, line: &str) -> String {
    let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
    run(shared, command, argument)
        .await
        .unwrap_or_else(|| not_found(command))
}

/// `switch_api_execute`: None for a command that doesn't exist.
async fn run(shared: &Arc<Shared>, command: &str, argument: &str) -> Option<String> {
    let (command, argument) = (command.trim(), argument.trim());
    let event = shared.with(|core| {
        let mut event = core.bus.create("API", None, API).with("API-Command", command);
        if !argument.is_empty() {
            event = event.with("API-Command-Argument", argument);
        }
        event
    });
    let reply = match command.to_ascii_lowercase().as_str() {
        "sofia" if shared.read(|core| core.sofia.loaded) => Some(sofia(shared, argument).await),
        "sofia_gateway_data" if shared.read(|core| core.sofia.loaded) => Some(gateway_data(shared, argument)),
        "eval" => Some(Box::pin(eval(shared, argument)).await),
        "status" => Some(status(shared)),
        "switchname" => Some(shared.read(|core| core.bus.switchname.clone())),
        "hostname" => Some(shared.read(|core| core.bus.hostname.clone())),
        "global_getvar" => Some(shared.read(|core| core.global(argument).unwrap_or_default())),
        "show" => Some(shared.read(|core| calls::show(core, argument))),
        "xml_locate" => Some(xml_locate(shared, argument).await),
        "reloadxml" => {
            reload_xml(shared).await;
            Some("+OK [Success]\n".to_owned())
        }
        "load" if argument == "mod_sofia" => {
            reload_xml(shared).await;
            let loaded = !shared.read(|core| core.sofia.loaded) && shared.load_sofia().await;
            let result = if loaded { "+OK\n" } else { "-ERR [Module load error]\n" };
            Some(format!("+OK Reloading XML\n{result}"))
        }
        "unload" if argument == "mod_sofia" && shared.read(|core| core.sofia.loaded) => {
            shared.unload_sofia();
            Some("+OK\n".to_owned())
        }
        _ => None,
    };
    shared.with(|core| core.bus.fire(event));
    reply
}

async fn reload_xml(shared: &Arc<Shared>) {
    shared.with(|core| {
        let event = core.bus.create("RELOADXML", None, RELOAD);
        core.bus.fire(event);
    });
    shared.fetch_other_configurations(&["acl.conf"]).await;
}

/// `xml_locate_function`: asks for the XML as mod_sofia would, and prints it.
async fn xml_locate(shared: &Arc<Shared>, argument: &str) -> String {
    let words: Vec<&str> = argument.split(' ').filter(|word| !word.is_empty()).collect();
    let found = match words[..] {
        ["configuration", "configuration", "name", "sofia.conf"] => {
            let origin = Origin("mod_commands.c", "xml_locate_function", 1887);
            shared.fetch_sofia_conf(origin, &[]).await
        }
        [section] => shared.read(|core| {
            let disk = core.disk.as_ref()?;
            let root = fs_xml::parse(&fs_xml::preprocess(disk, &core.globals).text).ok()?;
            root.child_where("section", "name", section).cloned()
        }),
        [_, _, _, _] => None,
        _ => return "-ERR bad args\n".to_owned(),
    };
    match found {
        Some(element) => to_xml(&element, 0) + "\n",
        None => "can't find anything\n".to_owned(),
    }
}

/// `switch_xml_toxml_r`, without the white space of the original
fn to_xml(element: &Element, depth: usize) -> String {
    let mut out = format!("{}<{}", "    ".repeat(depth), element.name);
    for (name, value) in &element.attributes {
        out += &format!(" {name}=\"{}\"", encoded(value));
    }
    out.push('>');
    if !element.children.is_empty() {
        out.push('\n');
        let children = element.children.iter().map(|child| to_xml(child, depth + 1) + "\n\n");
        out.extend(children);
        out += &"  ".repeat(depth);
    }
    out + &format!("</{}>", element.name)
}

/// `switch_xml_ampencode` of an attribute
fn encoded(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' => out += "&#xA;",
            '\t' => out += "&#x9;",
            '\r' => out += "&#xD;",
            c if c.is_ascii() => out.push(c),
            c => out += &format!("&#x{:X};", u32::from(c)),
        }
    }
    out
}

/// `status_function`
fn status(shared: &Shared) -> String {
    let uptime = shared.read(|core| duration_words(core.bus.booted.elapsed()));
    format!(
        "UP {uptime}\n\
         FreeSWITCH (Version 1.11.3-dev git cc93a68 2026-08-21 14:10:14Z 64bit) is ready\n\
         0 session(s) since startup\n\
         0 session(s) - peak 0, last 5min 0 \n\
         0 session(s) per Sec out of max 1000, peak 0, last 5min 0 \n\
         1000 session(s) max\n\
         min idle cpu 0.00/90.00\n\
         Current Stack Size/Max 240K/8192K\n"
    )
}

/// `sofia_function`
async fn sofia(shared: &Arc<Shared>, argument: &str) -> String {
    let words: Vec<&str> = argument.split(' ').filter(|word| !word.is_empty()).collect();
    let lower: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match *lower.as_slice() {
        [] => "USAGE:\n".to_owned(),
        ["status"] => shared.read(|core| core.sofia.status()),
        ["status", "gateway", _, ..] => shared
            .read(|core| core.sofia.status_of(words[2]))
            .unwrap_or_else(|| "Invalid Gateway!\n".to_owned()),
        ["xmlstatus"] => shared.read(|core| core.sofia.xml_status()),
        ["xmlstatus", _] => shared.read(|core| core.sofia.xml_status_of_all()),
        ["xmlstatus", "profile", _] => shared
            .read(|core| core.sofia.xml_status_of_profile(words[2]))
            .unwrap_or_else(|| "Invalid Profile!\n".to_owned()),
        ["xmlstatus", "gateway", ..] => shared
            .read(|core| core.sofia.xml_status_of(words[2]))
            .unwrap_or_else(|| "Invalid Gateway!\n".to_owned()),
        ["status" | "xmlstatus", ..] => "Invalid Syntax!\n".to_owned(),
        ["profile"] | ["profile", _] => "Invalid Args!\n".to_owned(),
        ["profile", _, verb, ..] => profile(shared, words[1], verb, words.get(3).copied()).await,
        _ => format!("Unknown Command [{}]\n", words[0]),
    }
}

/// `cmd_profile`
async fn profile(shared: &Arc<Shared>, name: &str, verb: &str, argument: Option<&str>) -> String {
    if verb == "start" {
        reload_xml(shared).await;
        return match shared.config_sofia(Some(name), true).await {
            true => format!("Reload XML [Success]\n{name} started successfully\n"),
            false => format!("Reload XML [Success]\nFailure starting {name}\n"),
        };
    }
    if shared.read(|core| core.sofia.profile(name).is_none()) {
        return format!("Invalid Profile [{name}]");
    }
    match (verb, argument) {
        ("killgw" | "startgw", None) => "-ERR missing gw name\n".to_owned(),
        ("killgw", Some(gateway)) if gateway.eq_ignore_ascii_case("_all_") => {
            shared.with(|core| core.sofia.kill_all(name));
            "+OK every gateway marked for deletion.\n".to_owned()
        }
        ("killgw", Some(gateway)) => match shared.with(|core| core.sofia.kill(gateway)) {
            true => "+OK gateway marked for deletion.\n".to_owned(),
            false => "-ERR no such gateway.\n".to_owned(),
        },
        ("startgw", Some(gateway)) => {
            reload_xml(shared).await;
            match shared.config_gateway(name, gateway).await {
                true => format!("Reload XML [Success]\n+OK start gateway {gateway} complete\n"),
                false => format!("Reload XML [Success]\n-ERR cannot add gateway {gateway} for profile {name}\n"),
            }
        }
        ("rescan", _) => {
            reload_xml(shared).await;
            match shared.config_sofia(Some(name), true).await {
                true => "Reload XML [Success]\n+OK scan complete\n".to_owned(),
                false => format!("Reload XML [Success]\n-ERR cannot find config for profile {name}\n"),
            }
        }
        ("register" | "unregister", None) => "No gateway name provided!\n".to_owned(),
        ("register" | "unregister", Some(gateway)) => {
            let state = if verb == "register" {
                RegState::Unreged
            } else {
                RegState::Unregister
            };
            if gateway.eq_ignore_ascii_case("all") {
                shared.with(|core| core.sofia.set_state_of_all(name, state));
                return "+OK\n".to_owned();
            }
            match shared.with(|core| core.sofia.set_state(gateway, state)) {
                Some(true) => "+OK\n".to_owned(),
                Some(false) => format!("-ERR NOREG gateway [{gateway}] can't be {verb}ed!\n"),
                None => "Invalid gateway!\n".to_owned(),
            }
        }
        ("stop" | "restart", _) => {
            if let Some(refusal) = shared.read(|core| core.sofia.too_young_to_restart(name)) {
                return refusal;
            }
            reload_xml(shared).await;
            let doing = if verb == "stop" { "stopping" } else { "restarting" };
            if verb == "restart" {
                tokio::spawn(end_and_respawn_profile(Arc::clone(shared), name.to_owned()));
            } else {
                shared.end_profile(name);
            }
            format!("Reload XML [Success]\n{doing}: {name}")
        }
        ("gwlist", _) => {
            let up = !argument.is_some_and(|argument| argument.eq_ignore_ascii_case("down"));
            shared.read(|core| core.sofia.gateway_list(name, up))
        }
        _ => "-ERR Unknown command!\n".to_owned(),
    }
}

/// The end of a profile's thread, which starts its successor
async fn end_and_respawn_profile(shared: Arc<Shared>, name: String) {
    shared.end_profile(&name);
    shared.config_sofia(Some(&name), false).await;
}

/// `sofia_gateway_data_function`
fn gateway_data(shared: &Shared, argument: &str) -> String {
    let words: Vec<&str> = argument.split(' ').filter(|word| !word.is_empty()).collect();
    let [gateway, which, name, ..] = words[..] else {
        return String::new();
    };
    shared.read(|core| {
        let found = core
            .sofia
            .gateway(gateway)
            .and_then(|gateway| match which.to_ascii_lowercase().as_str() {
                "ivar" => gateway.inbound(name),
                "ovar" => gateway.outbound(name),
                "var" => gateway.inbound(name).or_else(|| gateway.outbound(name)),
                _ => None,
            });
        found.unwrap_or_default().to_owned()
    })
}

/// `switch_event_expand_headers`, for global variables and for API calls `${command(arguments)}`
async fn eval(shared: &Arc<Shared>, text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\\']) {
        expanded += &rest[..at];
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("\\$") {
            expanded.push('$');
            rest = after;
            continue;
        }
        if rest.starts_with('\\') {
            let escaped = rest.starts_with("\\\\");
            expanded += if rest.starts_with("\\'") { "" } else { "\\" };
            rest = &rest[if escaped || rest.starts_with("\\'") { 2 } else { 1 }..];
            continue;
        }
        let inside = rest.strip_prefix("$${").or_else(|| rest.strip_prefix("${"));
        let Some((inside, end)) = inside.and_then(|inside| inside.find('}').map(|end| (inside, end))) else {
            expanded.push('$');
            rest = &rest[1..];
            continue;
        };
        let name = &inside[..end];
        match name.split_once(['(', ' ']) {
            Some((command, argument)) => {
                let argument = argument.rfind(')').map_or(argument, |close| &argument[..close]);
                expanded += &Box::pin(run(shared, command, argument)).await.unwrap_or_default();
            }
            None => expanded += &shared.read(|core| core.global(name).unwrap_or_default()),
        }
        rest = &inside[end + 1..];
    }
    expanded + rest
}
