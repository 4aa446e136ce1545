//! What a user and a token have in common: a name, a role and domains.

use super::domains::Domains;
use super::error::AccessError;
use super::role::Role;

const MAX_NAME_CHARS: usize = 64;

/// Whether it can be the name of a user or a token.
pub(super) fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    (1..=MAX_NAME_CHARS).contains(&name.len()) && name.bytes().all(is_allowed)
}

pub(super) fn check_name(name: &str) -> Result<(), AccessError> {
    match is_name(name) {
        true => Ok(()),
        false => Err(AccessError::BadName(name.to_owned())),
    }
}

/// An admin of some domains could make himself one of all.
pub(super) fn check_domains(role: Role, domains: &Domains) -> Result<(), AccessError> {
    match domains {
        Domains::All => Ok(()),
        Domains::Some(_) if role == Role::Admin => Err(AccessError::AdminOfSomeDomains),
        Domains::Some(names) if names.is_empty() || names.contains("") => Err(AccessError::NoDomains),
        Domains::Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for name in ["a", "alice", "Alice.B_c-d@example.net", &"x".repeat(64)] {
            assert!(is_name(name), "{name:?}");
        }
        for name in ["", " ", "a b", "a:b", "a\n", "é", "a/b", "*", &"x".repeat(65)] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn an_admin_has_all_domains_and_the_others_at_least_one() {
        let acme: Domains = "acme".parse().unwrap();
        assert!(check_domains(Role::Operator, &acme).is_ok());
        assert!(check_domains(Role::Admin, &Domains::All).is_ok());
        let refused = check_domains(Role::Admin, &acme);
        assert!(matches!(refused, Err(AccessError::AdminOfSomeDomains)), "{refused:?}");
        let none = Domains::Some(std::collections::BTreeSet::new());
        let refused = check_domains(Role::Viewer, &none);
        assert!(matches!(refused, Err(AccessError::NoDomains)), "{refused:?}");
    }
}
