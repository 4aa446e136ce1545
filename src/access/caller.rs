//! Who asks, and what he may do.

use std::fmt;

use nix::unistd::{Uid, User, gethostname};

use super::domains::Domains;
use super::role::Role;
use crate::language::Bilingual;
use crate::shown::shown;

/// Who did something. The display form (`user:alice`, `cli:root@pbx1`) is what records keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    User(String),
    /// A program, by the name of its token.
    Token(String),
    /// Somebody at a shell, as `user@host`.
    Cli(String),
    /// A program that writes Redis itself.
    Redis,
}

/// Who asks for an operation, and with which rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub identity: Identity,
    pub role: Role,
    pub domains: Domains,
}

/// The caller has too few rights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error("this needs the role {needs}, and yours is {has}")]
    Role { needs: Role, has: Role },
    #[error("the domain {} is not one of yours: an admin can give it to you", shown(domain))]
    Domain { domain: String },
}

impl Bilingual for Forbidden {
    fn chinese(&self) -> String {
        match self {
            Self::Role { needs, has } => format!("此操作需要角色 {needs}，而您的角色是 {has}"),
            Self::Domain { domain } => format!("您没有域 {} 的权限：可请 admin 授予", shown(domain)),
        }
    }
}

impl Caller {
    /// Somebody who runs a command: he can read the settings, so Redis is open to him anyway.
    pub fn cli() -> Self {
        let uid = Uid::current();
        let user = User::from_uid(uid).ok().flatten();
        let user = user.map_or_else(|| uid.to_string(), |user| user.name);
        let host = gethostname().map_or_else(|_| "localhost".into(), |host| host.to_string_lossy().into_owned());
        Self {
            identity: Identity::Cli(format!("{user}@{host}")),
            role: Role::Admin,
            domains: Domains::All,
        }
    }

    /// # Errors
    /// [`Forbidden::Role`], if his role is lower.
    pub fn requires(&self, role: Role) -> Result<(), Forbidden> {
        match self.role >= role {
            true => Ok(()),
            false => Err(Forbidden::Role {
                needs: role,
                has: self.role,
            }),
        }
    }

    /// Whether he may see what is in the domain.
    pub fn sees(&self, domain: &str) -> bool {
        self.domains.allows(domain)
    }

    /// The same of what may be in no domain: a gateway that only a switch knows. Those are for who
    /// sees all domains.
    pub fn sees_in(&self, domain: Option<&str>) -> bool {
        match domain {
            Some(domain) => self.sees(domain),
            None => self.sees_all(),
        }
    }

    /// Whether he may see every domain.
    pub fn sees_all(&self) -> bool {
        self.domains == Domains::All
    }

    /// # Errors
    /// [`Forbidden::Domain`], if the domain is not one of his. Whether it exists he doesn't learn.
    pub fn check_sees(&self, domain: &str) -> Result<(), Forbidden> {
        match self.sees(domain) {
            true => Ok(()),
            false => Err(Forbidden::Domain {
                domain: domain.to_owned(),
            }),
        }
    }

    /// # Errors
    /// [`Forbidden`], unless he is an operator or admin of this domain.
    pub fn may_edit(&self, domain: &str) -> Result<(), Forbidden> {
        self.requires(Role::Operator)?;
        self.check_sees(domain)
    }
}

impl Identity {
    /// The name alone.
    pub fn name(&self) -> &str {
        match self {
            Self::User(name) | Self::Token(name) | Self::Cli(name) => name,
            Self::Redis => "redis",
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Token(name) => write!(f, "token:{name}"),
            Self::Cli(who) => write!(f, "cli:{who}"),
            Self::Redis => f.write_str("redis"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role, domains: &str) -> Caller {
        Caller {
            identity: Identity::User("alice".to_owned()),
            role,
            domains: domains.parse().unwrap(),
        }
    }

    #[test]
    fn a_role_includes_the_lower_ones() {
        let roles = [Role::Viewer, Role::Operator, Role::Admin];
        for (at, has) in roles.into_iter().enumerate() {
            for (needed_at, needs) in roles.into_iter().enumerate() {
                let expected = match at >= needed_at {
                    true => Ok(()),
                    false => Err(Forbidden::Role { needs, has }),
                };
                assert_eq!(caller(has, "*").requires(needs), expected);
            }
        }
    }

    #[test]
    fn only_operators_of_a_domain_edit_it() {
        let operator = caller(Role::Operator, "acme,globex");
        assert_eq!(operator.may_edit("acme"), Ok(()));
        assert!(operator.sees("globex") && !operator.sees("initech"));
        let domain = "initech".to_owned();
        assert_eq!(operator.may_edit("initech"), Err(Forbidden::Domain { domain }));
        assert_eq!(caller(Role::Admin, "*").may_edit("initech"), Ok(()));
        let viewer = caller(Role::Viewer, "acme");
        assert!(viewer.sees("acme"));
        let (needs, has) = (Role::Operator, Role::Viewer);
        assert_eq!(viewer.may_edit("acme"), Err(Forbidden::Role { needs, has }));
    }

    #[test]
    fn the_command_line_may_do_everything_and_names_its_user_and_host() {
        let cli = Caller::cli();
        assert_eq!(cli.may_edit("any"), Ok(()));
        assert_eq!(cli.requires(Role::Admin), Ok(()));
        let name = cli.identity.to_string();
        assert!(name.starts_with("cli:") && name.contains('@'), "{name}");
    }

    #[test]
    fn a_refusal_says_what_is_needed() {
        let text = |error: Forbidden| error.to_string();
        let (needs, has) = (Role::Admin, Role::Operator);
        assert_eq!(
            text(Forbidden::Role { needs, has }),
            "this needs the role admin, and yours is operator"
        );
        let domain = "a\u{1b}[2J".to_owned();
        let refused = text(Forbidden::Domain { domain });
        assert!(
            refused.contains("a\\u{1b}[2J") && !refused.contains('\u{1b}'),
            "{refused}"
        );
    }
}
