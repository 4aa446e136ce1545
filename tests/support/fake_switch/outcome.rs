//! What a carrier does with a request, and how FreeSWITCH's SIP stack hands that to mod_sofia.

/// What a carrier does with a REGISTER or an OPTIONS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 200
    Ok,
    /// A final answer from the carrier, for example 403 Forbidden. A 401 or 407 means that it asks for credentials
    /// again after it got them: the SIP stack makes 904 of that.
    Reject(u16, &'static str),
    /// A 401 from a host that is none of the gateway's: FreeSWITCH doesn't answer it (FACTS 45)
    Challenged,
    /// Nobody listens there: the SIP stack itself answers 503 Service Unavailable immediately
    Refused,
    /// The host has no address: the SIP stack itself answers 503 DNS Error immediately
    Unresolved,
    /// No answer. The SIP stack gives up after 32 s with 408; a gateway with a shorter `timeout-seconds` goes to
    /// TIMEOUT before that.
    Silent,
    /// The same, that many seconds (ticks) later
    After(u32, Box<Outcome>),
}

pub const FORBIDDEN: Outcome = Outcome::Reject(403, "Forbidden");
pub const NOT_FOUND: Outcome = Outcome::Reject(404, "Not Found");
pub const CHALLENGED_AGAIN: Outcome = Outcome::Reject(407, "Proxy Authentication Required");
pub const UNAVAILABLE: Outcome = Outcome::Reject(480, "Temporarily Unavailable");
pub const BUSY: Outcome = Outcome::Reject(503, "Service Unavailable");
pub const DECLINE: Outcome = Outcome::Reject(603, "Decline");

/// The transaction timer of SIP over UDP, 64 × T1 (sofia-sip)
const TRANSACTION_SECONDS: u32 = 32;

impl Outcome {
    /// The carrier's own status; None where it says nothing.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Outcome::Ok => Some(200),
            Outcome::Reject(status, _) => Some(*status),
            Outcome::Challenged => Some(401),
            Outcome::Refused | Outcome::Unresolved | Outcome::Silent => None,
            Outcome::After(_, outcome) => outcome.status(),
        }
    }
}

/// An answer as the SIP stack hands it to mod_sofia.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub phrase: &'static str,
    /// From a real message, not made by the stack itself
    pub from_network: bool,
    pub is_unanswered_challenge: bool,
    /// Seconds until it comes
    pub after: u32,
}

impl From<&Outcome> for Answer {
    fn from(outcome: &Outcome) -> Self {
        let answer = |status, phrase, from_network| Answer {
            status,
            phrase,
            from_network,
            is_unanswered_challenge: false,
            after: 0,
        };
        match outcome {
            Outcome::Ok => answer(200, "OK", true),
            // sofia.c passes a challenge to the SIP stack and never to the gateway. The stack has no other credentials
            // (`nua_stack_authenticate`).
            Outcome::Reject(401 | 407, _) => answer(904, "Operation has no matching challenge ", false),
            Outcome::Reject(status, phrase) => answer(*status, phrase, true),
            Outcome::Challenged => Answer {
                is_unanswered_challenge: true,
                ..answer(401, "Unauthorized", true)
            },
            Outcome::Refused => answer(503, "Service Unavailable", false),
            Outcome::Unresolved => answer(503, "DNS Error", false),
            Outcome::Silent => Answer {
                after: TRANSACTION_SECONDS,
                ..answer(408, "Request Timeout", false)
            },
            Outcome::After(seconds, outcome) => {
                let inner = Answer::from(&**outcome);
                Answer {
                    after: inner.after + seconds,
                    ..inner
                }
            }
        }
    }
}

/// What a gateway logs in with.
pub(super) struct Login<'a> {
    pub(super) scheme: &'a str,
    pub(super) realm: &'a str,
    pub(super) username: &'a str,
    pub(super) auth_username: &'a str,
    pub(super) password: &'a str,
}

impl Login<'_> {
    /// FACTS 15: the credentials pass through `scheme:"realm":user:password` in a buffer of 256 bytes, and the SIP
    /// stack takes that apart at the colons.
    pub(super) fn matches(&self, password: &str) -> bool {
        let text = format!(
            "{}:\"{}\":{}:{}",
            self.scheme, self.realm, self.auth_username, self.password
        );
        let text = &text.as_bytes()[..text.len().min(255)];
        let after_realm = self.scheme.len() + self.realm.len() + 4;
        let rest = text.get(after_realm..).unwrap_or_default();
        let Some(colon) = rest.iter().position(|&c| c == b':') else {
            return false;
        };
        rest[..colon] == *self.auth_username.as_bytes() && rest[colon + 1..] == *password.as_bytes()
    }
}
