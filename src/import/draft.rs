//! A gateway while it is put together, and the checks that every source has in common.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{Import, ImportError, Imported, Level, MAX_GATEWAYS, Options, Place, Remark, Verdict};
use crate::gateway::params::param;
use crate::gateway::{self, Direction, DomainName, Finding, MAX_DOMAIN_BYTES, REVISION_VARIABLE, Severity};
use crate::language::{Message, message, text};

/// Params that other programs and old guides write, where FreeSWITCH ignores them, and the variable
/// that does what they mean.
pub(super) const VARIABLES_AS_PARAMS: [(&str, &str); 3] = [
    ("cid-type", "sip_cid_type"),
    ("codec-prefs", "absolute_codec_string"),
    ("sip_cid_type", "sip_cid_type"),
];

/// The param that FusionPBX and others write for the switch that is to have a gateway.
pub(super) const HOSTNAME: &str = "hostname";

/// Collects what a source says about one gateway.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) domain: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) place: Place,
    keys: Map<String, Value>,
    params: Map<String, Value>,
    variables: Map<String, Value>,
    /// Variables that were written as params. A real variable wins.
    from_params: Vec<(&'static str, String, Place)>,
    /// `param.realm` → where it stands.
    places: HashMap<String, Place>,
    remarks: Vec<Remark>,
    is_changed: bool,
    is_skipped: bool,
    /// Something of it has no value, so checking the rest would only confuse.
    is_incomplete: bool,
}

impl Draft {
    pub(super) fn new(name: impl Into<String>, place: Place) -> Self {
        Self {
            name: name.into(),
            domain: None,
            profile: None,
            place,
            keys: Map::new(),
            params: Map::new(),
            variables: Map::new(),
            from_params: Vec::new(),
            places: HashMap::new(),
            remarks: Vec::new(),
            is_changed: false,
            is_skipped: false,
            is_incomplete: false,
        }
    }

    /// Sets a key beside `param`.
    pub(super) fn key(&mut self, key: &str, value: impl Into<Value>, place: Place) {
        self.keys.insert(key.to_owned(), value.into());
        self.places.insert(key.to_owned(), place);
    }

    /// Sets a param. The last one of a name counts, as for FreeSWITCH.
    pub(super) fn param(&mut self, name: &str, value: &str, place: Place) {
        if let Some((_, variable)) = VARIABLES_AS_PARAMS.iter().find(|(param, _)| *param == name) {
            if !value.is_empty() {
                self.from_params.push((variable, value.to_owned(), place));
            }
            return;
        }
        if name == HOSTNAME {
            return self.hostname(value, place);
        }
        if let Some(Value::String(known)) = self.params.get(name)
            && known != value
        {
            let reason = text("stands here again, and the last one counts", "重复出现，以最后一个为准");
            self.remark(Remark::new(place.clone(), Level::Warning, reason).at(field("param", name)));
        }
        let means_something = param(name).is_some_and(|spec| spec.when_empty.is_some());
        if value.is_empty() && !means_something {
            self.params.remove(name);
            return;
        }
        self.params.insert(name.to_owned(), value.into());
        self.places.insert(field("param", name), place);
    }

    fn hostname(&mut self, value: &str, place: Place) {
        let nodes: Vec<_> = value
            .split(',')
            .map(str::trim)
            .filter(|node| !node.is_empty())
            .collect();
        if nodes.is_empty() {
            return;
        }
        let reason = text(
            "`hostname` became `nodes`: FreeSWITCH ignores the param, and only this switch gets the gateway",
            "`hostname` 已改为 `nodes`：FreeSWITCH 会忽略该参数，只有此 FreeSWITCH 会得到该网关",
        );
        self.changed(Remark::new(place.clone(), Level::Note, reason).at("nodes"));
        self.key("nodes", nodes, place);
    }

    /// Sets a variable. The last one of a name counts.
    pub(super) fn variable(&mut self, name: &str, value: &str, direction: Direction, place: Place) {
        if name.eq_ignore_ascii_case(REVISION_VARIABLE) {
            return; // trunkd's own mark
        }
        let key = field("variables", name);
        let json = match direction {
            Direction::Both => Value::from(value),
            Direction::Inbound => with_direction(value, "inbound"),
            Direction::Outbound => with_direction(value, "outbound"),
        };
        if let Some(known) = self.variables.get(name)
            && *known != json
        {
            let one_way = |known: &Value| known.get("direction").is_some() && known.get("value") == json.get("value");
            if one_way(known) && one_way(&json) {
                self.variables.insert(name.to_owned(), value.into());
                return; // inbound and outbound alike
            }
            let reason = text(
                "stands here again: trunkd has one value for a variable, and the last one was taken",
                "重复出现：trunkd 的每个变量只有一个值，已采用最后一个",
            );
            self.changed(Remark::new(place.clone(), Level::Warning, reason).at(key.clone()));
        }
        self.variables.insert(name.to_owned(), json);
        self.places.insert(key, place);
    }

    pub(super) fn remark(&mut self, remark: Remark) {
        self.is_skipped |= remark.level == Level::Error;
        self.remarks.push(remark);
    }

    /// For what was written differently from the source.
    pub(super) fn changed(&mut self, remark: Remark) {
        self.is_changed = true;
        self.remark(remark);
    }

    /// For a gateway that its own source does not load.
    pub(super) fn skipped(&mut self, remark: Remark) {
        self.is_skipped = true;
        self.remark(remark);
    }

    /// For a value that is not known.
    pub(super) fn incomplete(&mut self, remark: Remark) {
        self.is_incomplete = true;
        self.skipped(remark);
    }

    /// The gateway, checked as trunkd checks every value.
    pub(super) fn finish(mut self, options: &Options) -> Imported {
        self.take_over_params();
        let domain = self.choose_domain(options);
        if let Some(profile) = options.profiles.of(self.profile.as_deref()) {
            let place = self.place.clone();
            if self.profile.as_ref().is_some_and(|source| *source != profile) {
                let reason = message!("the profile became `{profile}`", "profile 已改为 `{profile}`");
                self.changed(Remark::new(place.clone(), Level::Note, reason).at("profile"));
            }
            self.key("profile", profile, place);
        }
        let value = self.value();
        if !self.is_incomplete {
            self.check(domain.as_deref().unwrap_or_default(), &value, options);
        }
        Imported {
            domain,
            name: self.name,
            place: self.place,
            verdict: match () {
                () if self.is_skipped => Verdict::Skipped,
                () if self.is_changed => Verdict::Changed,
                () => Verdict::Taken,
            },
            remarks: self.remarks,
            value,
        }
    }

    fn check(&mut self, domain: &str, value: &str, options: &Options) {
        let parsed = gateway::parse(domain, self.name.as_bytes(), value.as_bytes(), &options.rules);
        for finding in &parsed.findings {
            let remark = self.remark_of(finding);
            self.remark(remark);
        }
    }

    /// Params that are variables become those.
    fn take_over_params(&mut self) {
        for (name, value, place) in std::mem::take(&mut self.from_params) {
            let key = field("variables", name);
            if self.variables.contains_key(name) {
                let reason = message!(
                    "the param was left out: the variable {name} is set, too",
                    "已删除该参数：变量 {name} 也已设置"
                );
                self.changed(Remark::new(place, Level::Note, reason).at(key));
                continue;
            }
            let reason = message!(
                "the param became the variable {name}: FreeSWITCH ignores the param, and now it takes effect",
                "该参数已改为变量 {name}：FreeSWITCH 会忽略该参数，现在它会生效"
            );
            self.changed(Remark::new(place.clone(), Level::Note, reason).at(key));
            self.variable(name, &value, Direction::Both, place);
        }
    }

    fn choose_domain(&mut self, options: &Options) -> Option<String> {
        let domain = options.domain.clone().or_else(|| self.domain.take());
        let problem = match &domain {
            None => text(
                "the source does not say in which domain it is",
                "来源没有说明它属于哪个域",
            ),
            Some(domain) if !DomainName::from(domain.as_str()).is_writable() => text(
                "the domain's name has control characters, is empty or too long",
                "域的名称为空、过长或含有控制字符",
            ),
            Some(_) => return domain,
        };
        let fix = message!(
            "name a domain for the import (--domain), of at most {MAX_DOMAIN_BYTES} bytes",
            "请为导入指定域（--domain），最多 {MAX_DOMAIN_BYTES} 字节"
        );
        self.remark(Remark::new(self.place.clone(), Level::Error, problem).with_fix(fix));
        domain
    }

    /// What is set in FreeSWITCH's own words, then trunkd's keys.
    fn value(&mut self) -> String {
        let mut value = Map::new();
        value.insert("param".to_owned(), std::mem::take(&mut self.params).into());
        if !self.variables.is_empty() {
            value.insert("variables".to_owned(), std::mem::take(&mut self.variables).into());
        }
        value.extend(std::mem::take(&mut self.keys));
        Value::from(value).to_string()
    }

    fn remark_of(&self, finding: &Finding) -> Remark {
        let level = match finding.severity {
            Severity::Warning => Level::Warning,
            Severity::Error => Level::Error,
        };
        let place = finding.field.as_deref().and_then(|field| self.place_of(field));
        Remark {
            place: place.unwrap_or(&self.place).clone(),
            level,
            field: finding.field.clone(),
            reason: finding.reason.clone(),
            fix: Some(finding.fix.clone()),
        }
    }

    /// `variables.x.direction` and `nodes[1]` stand where `variables.x` and `nodes` do.
    fn place_of(&self, field: &str) -> Option<&Place> {
        let whole = self.places.get(field);
        whole.or_else(|| self.places.get(&field[..field.rfind(['.', '['])?]))
    }
}

fn with_direction(value: &str, direction: &str) -> Value {
    serde_json::json!({ "value": value, "direction": direction })
}

/// As findings name it.
pub(super) fn field(key: &str, name: &str) -> String {
    format!("{key}.{name}")
}

/// Which gateways may not have the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unique {
    /// Of one domain.
    InDomain,
    /// Of one FreeSWITCH (FACTS 18).
    Everywhere,
}

/// Finishes all gateways. Of two with one name, the first that can be imported is.
pub(super) fn finish(
    drafts: Vec<Draft>,
    remarks: Vec<Remark>,
    unique: Unique,
    options: &Options,
) -> Result<Import, ImportError> {
    if let Some(draft) = drafts.get(MAX_GATEWAYS) {
        return Err(ImportError::too_many_gateways(&draft.place));
    }
    let mut first: HashMap<(Option<String>, String), Place> = HashMap::new();
    let mut gateways = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let mut gateway = draft.finish(options);
        let domain = gateway.domain.clone().filter(|_| unique == Unique::InDomain);
        let key = (domain, gateway.name.clone());
        match first.get(&key) {
            Some(place) => {
                gateway.verdict = Verdict::Skipped;
                gateway.remarks.push(repeated(&gateway, place, unique));
            }
            None if gateway.verdict != Verdict::Skipped => {
                first.insert(key, gateway.place.clone());
            }
            None => {}
        }
        gateways.push(gateway);
    }
    Ok(Import { gateways, remarks })
}

fn repeated(gateway: &Imported, first: &Place, unique: Unique) -> Remark {
    let (level, reason) = match unique {
        Unique::InDomain => (
            Level::Error,
            message!(
                "the domain has this name already, at {first}",
                "该域中已有此名称，位于 {first}"
            ),
        ),
        Unique::Everywhere => (
            Level::Warning,
            message!(
                "FreeSWITCH ignores a second gateway of one name; the first is at {first}",
                "FreeSWITCH 会忽略同名的第二个网关；第一个位于 {first}"
            ),
        ),
    };
    Remark::new(gateway.place.clone(), level, reason).with_fix(text("rename one of them", "请为其中一个改名"))
}

/// The longest list of remarks about a source. A file may have a hundred thousand odd lines.
const MAX_REMARKS: usize = 200;

/// Collects remarks about a source as a whole: each once, and not too many.
#[derive(Default)]
pub(super) struct Remarks {
    list: Vec<Remark>,
    known: HashSet<(Place, Message)>,
    more: usize,
}

impl Remarks {
    pub(super) fn push(&mut self, remark: Remark) {
        if self.list.len() == MAX_REMARKS {
            self.more += 1;
        } else if self.known.insert((remark.place.clone(), remark.reason.clone())) {
            self.list.push(remark);
        }
    }

    pub(super) fn into_list(mut self) -> Vec<Remark> {
        if let (1.., Some(last)) = (self.more, self.list.last()) {
            let more = self.more;
            let reason = message!("{more} more remarks are not listed", "另有 {more} 条说明未列出");
            self.list.push(Remark::new(last.place.clone(), last.level, reason));
        }
        self.list
    }
}
