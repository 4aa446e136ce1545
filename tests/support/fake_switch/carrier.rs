//! A carrier that several FakeSwitches register with. It checks passwords, answers by script, throttles, vanishes and
//! comes back, and keeps every REGISTER: when it came, from which switch, for which account.
//!
//! Its clock is that of its switches: a second begins when a switch ticks that has ticked in this one already. So
//! switches that tick together share a second, and one that dies doesn't hold the others up. What trunkd paces runs in
//! real time: count that in [`Window::Real`].
//!
//! To wait for something here, use a switch's [`super::FakeSwitch::wait_until`]: it looks whenever the switch sends.

use super::outcome::{Answer, BUSY, FORBIDDEN, Login, Outcome};
use super::registrar::Method;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Every account
pub const ALL: &str = "*";

/// Clones are the same carrier.
#[derive(Clone)]
pub struct Carrier {
    host: String,
    state: Arc<Mutex<State>>,
}

/// A stretch of time that REGISTERs are counted in
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Seconds of FakeSwitch's clock
    Seconds(i64),
    Real(Duration),
}

/// A REGISTER that a switch sent to the carrier, whether or not it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// By the carrier's clock, from 1 on
    pub second: i64,
    pub at: Instant,
    pub switch: String,
    pub gateway: String,
    /// The auth-username
    pub account: String,
    /// Register, Refresh or Unregister
    pub method: Method,
    /// It follows a start or `register`; others FreeSWITCH sends by itself, such as retries
    pub is_told: bool,
    /// The carrier's answer; None: it says nothing, or the request was an un-REGISTER
    pub status: Option<u16>,
    /// It was one too many
    pub throttled: bool,
    /// The second in which the switch has its answer, or gives up
    pub answered: i64,
}

/// What a request says of itself
pub(super) struct Sent<'a> {
    pub(super) switch: &'a str,
    pub(super) gateway: &'a str,
    pub(super) account: &'a str,
    pub(super) method: Method,
    pub(super) is_told: bool,
}

#[derive(Default)]
struct State {
    second: i64,
    /// Switches that ticked in this second
    ticked: BTreeSet<String>,
    accounts: BTreeMap<String, String>,
    rules: Vec<Rule>,
    throttle: Option<(usize, Window)>,
    delay: u32,
    gone: bool,
    cut_off: BTreeSet<String>,
    received: Vec<Received>,
    challenges_unregisters: bool,
    /// The seconds in which each account of a switch's gateway is registered
    bindings: BTreeMap<Binding, Range<i64>>,
    most_registrations: usize,
}

/// Account, switch, gateway
type Binding = (String, String, String);

struct Rule {
    account: String,
    outcome: Outcome,
    /// None: for good
    until: Option<i64>,
}

/// What tests script
impl Carrier {
    /// The carrier behind this host: that of a gateway's `register-proxy`, else of its `proxy`, else of its `realm`,
    /// in lower case and without a port. It takes every account with any password.
    pub fn new(host: &str) -> Self {
        Carrier {
            host: host.to_owned(),
            state: Arc::default(),
        }
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// This account (the auth-username) needs this password from now on, otherwise 403.
    pub fn account(&self, account: &str, password: &str) {
        self.state().accounts.insert(account.to_owned(), password.to_owned());
    }

    /// What an account, or [`ALL`], is answered from now on. `Outcome::Ok` ends it: passwords count again.
    pub fn answer(&self, account: &str, outcome: Outcome) {
        let mut state = self.state();
        state.rules.retain(|rule| rule.account != account);
        state.rules.push(Rule {
            account: account.to_owned(),
            outcome,
            until: None,
        });
    }

    /// The same for that many seconds; then it is as it was.
    pub fn answer_for(&self, account: &str, seconds: i64, outcome: Outcome) {
        let mut state = self.state();
        let until = Some(state.second + seconds);
        state.rules.push(Rule {
            account: account.to_owned(),
            outcome,
            until,
        });
    }

    /// Every answer comes that many seconds late.
    pub fn delay(&self, seconds: u32) {
        self.state().delay = seconds;
    }

    /// 503 for each REGISTER beyond that many in any window; those that got the 503 don't count.
    pub fn throttle(&self, registers: usize, window: Window) {
        self.state().throttle = Some((registers, window));
    }

    pub fn throttle_off(&self) {
        self.state().throttle = None;
    }

    /// It answers nothing any more, to nobody.
    pub fn vanish(&self) {
        self.state().gone = true;
    }

    pub fn come_back(&self) {
        self.state().gone = false;
    }

    /// It challenges un-REGISTERs anew, and FreeSWITCH doesn't repeat them: registrations stay until they expire
    /// (FACTS 22).
    pub fn challenge_unregisters(&self) {
        self.state().challenges_unregisters = true;
    }

    /// The network between it and one switch is cut, or whole again.
    pub fn cut_off(&self, switch: &str, cut: bool) {
        let mut state = self.state();
        match cut {
            true => state.cut_off.insert(switch.to_owned()),
            false => state.cut_off.remove(switch),
        };
    }
}

/// What tests count
impl Carrier {
    /// Every REGISTER and un-REGISTER since the start, in order
    pub fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }

    /// Those that are no refresh by the SIP stack and no un-REGISTER: what a start, a retry or `register` sends
    pub fn registers(&self) -> Vec<Received> {
        let state = self.state();
        let registers = state.received.iter().filter(|one| one.method == Method::Register);
        registers.cloned().collect()
    }

    /// The most of [`Self::registers`] in any window
    pub fn busiest(&self, window: Window) -> usize {
        window.most(&self.registers())
    }

    /// The same without those that FreeSWITCH sends by itself
    pub fn busiest_when_told(&self, window: Window) -> usize {
        let mut registers = self.registers();
        registers.retain(|one| one.is_told);
        window.most(&registers)
    }

    /// The most of [`Self::registers`] that waited for their answer at one moment. Answers that come at once don't
    /// count: see [`Self::delay`].
    pub fn most_in_flight(&self) -> u64 {
        let registers = self.registers();
        let mut ends: Vec<i64> = registers.iter().map(|one| one.answered).collect();
        ends.sort_unstable();
        let mut ended = ends.into_iter().peekable();
        let (mut waiting, mut most) = (0_i64, 0);
        for one in &registers {
            while ended.next_if(|end| *end <= one.second).is_some() {
                waiting -= 1;
            }
            waiting += 1;
            most = most.max(waiting);
        }
        most.unsigned_abs()
    }

    /// The switches on which an account is registered now, as the carrier sees it: a switch that died is here until its
    /// registration expires.
    pub fn registered(&self, account: &str) -> BTreeSet<String> {
        let state = self.state();
        state.registered(account, state.second)
    }

    /// The most switches on which one account was registered at the same time.
    pub fn most_registrations(&self) -> usize {
        self.state().most_registrations
    }

    /// The present second of its clock
    pub fn second(&self) -> i64 {
        self.state().second
    }

    /// Forgets what it received; registrations stay.
    pub fn forget_received(&self) {
        self.state().received.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// Whether a request came in the window that ends now.
    fn holds(self, one: &Received, second: i64, at: Instant) -> bool {
        match self {
            Window::Seconds(seconds) => one.second > second - seconds,
            Window::Real(duration) => at.duration_since(one.at) < duration,
        }
    }

    /// The most of these, in order, that any window has
    fn most(self, registers: &[Received]) -> usize {
        let mut first = 0;
        let mut most = 0;
        for (at, last) in registers.iter().enumerate() {
            while first <= at && !self.holds(&registers[first], last.second, last.at) {
                first += 1;
            }
            most = most.max(at + 1 - first);
        }
        most
    }
}

/// What switches do with it
impl Carrier {
    pub(super) fn tick(&self, switch: &str) {
        let mut state = self.state();
        if state.second == 0 || state.ticked.contains(switch) {
            state.second += 1;
            state.ticked.clear();
        }
        state.ticked.insert(switch.to_owned());
    }

    pub(super) fn register(&self, sent: &Sent, login: &Login, expires: i64) -> Outcome {
        self.state().register(sent, login, expires)
    }

    pub(super) fn unregister(&self, sent: &Sent) {
        let mut state = self.state();
        let reachable = state.is_reachable(sent.switch);
        let now = state.second;
        state.keep(sent, None, false, now);
        if reachable && !state.challenges_unregisters {
            state.bindings.remove(&sent.binding());
        }
    }

    pub(super) fn options(&self, switch: &str) -> Outcome {
        match self.state().is_reachable(switch) {
            true => Outcome::Ok,
            false => Outcome::Silent,
        }
    }
}

impl State {
    fn registered(&self, account: &str, second: i64) -> BTreeSet<String> {
        let bindings = self.bindings.iter();
        bindings
            .filter(|((of, _, _), seconds)| of == account && seconds.contains(&second))
            .map(|((_, switch, _), _)| switch.clone())
            .collect()
    }

    fn register(&mut self, sent: &Sent, login: &Login, expires: i64) -> Outcome {
        let now = self.second;
        let throttled = self.is_reachable(sent.switch) && self.is_one_too_many();
        let outcome = match self.is_reachable(sent.switch) {
            false => Outcome::Silent,
            true if throttled => BUSY,
            true => self.judge(sent.account, login),
        };
        let outcome = match self.delay {
            0 => outcome,
            seconds => Outcome::After(seconds, Box::new(outcome)),
        };
        let answered = now + i64::from(Answer::from(&outcome).after);
        let status = outcome.status();
        self.keep(sent, status, throttled, answered);
        if status == Some(200) {
            self.bindings.insert(sent.binding(), answered..answered + expires);
            let at_once = self.registered(sent.account, answered).len();
            self.most_registrations = self.most_registrations.max(at_once);
        }
        outcome
    }

    fn is_reachable(&self, switch: &str) -> bool {
        !self.gone && !self.cut_off.contains(switch)
    }

    fn is_one_too_many(&self) -> bool {
        let Some((registers, window)) = self.throttle else {
            return false;
        };
        let now = Instant::now();
        let recent = self.received.iter().rev();
        let recent = recent.take_while(|one| window.holds(one, self.second, now));
        let let_through = recent.filter(|one| one.method != Method::Unregister && !one.throttled);
        let_through.count() >= registers
    }

    /// The latest rule for the account, else for all, else by password
    fn judge(&self, account: &str, login: &Login) -> Outcome {
        let rule = |of: &str| {
            let in_force = |rule: &&Rule| rule.account == of && rule.until.is_none_or(|until| self.second < until);
            self.rules.iter().rev().find(in_force)
        };
        match rule(account).or_else(|| rule(ALL)).map(|rule| &rule.outcome) {
            None | Some(Outcome::Ok) => {}
            Some(outcome) => return outcome.clone(),
        }
        match self.accounts.get(account) {
            Some(password) if !login.matches(password) => FORBIDDEN,
            _ => Outcome::Ok,
        }
    }

    fn keep(&mut self, sent: &Sent, status: Option<u16>, throttled: bool, answered: i64) {
        self.received.push(Received {
            second: self.second,
            at: Instant::now(),
            switch: sent.switch.to_owned(),
            gateway: sent.gateway.to_owned(),
            account: sent.account.to_owned(),
            method: sent.method,
            is_told: sent.is_told,
            status,
            throttled,
            answered,
        });
    }
}

impl Sent<'_> {
    fn binding(&self) -> Binding {
        let Sent {
            account,
            switch,
            gateway,
            ..
        } = *self;
        (account.to_owned(), switch.to_owned(), gateway.to_owned())
    }
}
