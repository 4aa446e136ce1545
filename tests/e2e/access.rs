//! Users, tokens and sessions, by two trunkd that share a Redis, and by the command line.

use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use trunkd::access::{
    Access, AccessError, Caller, Domains, Forbidden, Identity, NewToken, NewUser, Role, SESSION_LASTS, SignedIn,
};
use trunkd::operate::{OperateError, people, sources};

use super::program::{text, write_settings};
use crate::support::app::settings;
use crate::support::redis::RedisServer;

const PASSWORD: &str = "correct horse battery";
const OTHER_PASSWORD: &str = "staple of another horse";
/// Failures that cost nothing.
const FREE: usize = 5;

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

fn peer(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

/// What one trunkd has in hand.
fn access(redis: &RedisServer, toml: &str) -> Access {
    let settings = settings(redis, Path::new("unused"), toml);
    Access::new(sources::store(&settings).unwrap())
}

fn new_user(name: &str, role: Role, domains: &str) -> NewUser {
    NewUser {
        name: name.to_owned(),
        role,
        domains: domains.parse().unwrap(),
        password: secret(PASSWORD),
    }
}

fn new_token(name: &str, role: Role, domains: &str) -> NewToken {
    NewToken {
        name: name.to_owned(),
        role,
        domains: domains.parse().unwrap(),
        created_by: Identity::User("alice".to_owned()),
        expires_at: None,
    }
}

fn user(name: &str, role: Role, domains: &str) -> Caller {
    Caller {
        identity: Identity::User(name.to_owned()),
        role,
        domains: domains.parse().unwrap(),
    }
}

async fn two() -> (RedisServer, MultiplexedConnection, Access, Access) {
    let redis = RedisServer::start().await;
    let connection = redis.connection().await;
    let (one, other) = (access(&redis, ""), access(&redis, ""));
    (redis, connection, one, other)
}

async fn keys_like(connection: &mut MultiplexedConnection, pattern: &str) -> Vec<String> {
    connection.keys(pattern).await.unwrap()
}

async fn session_of(access: &Access, name: &str) -> SignedIn {
    access.sign_in(name, &secret(PASSWORD), peer(1)).await.unwrap()
}

async fn fail(access: &Access, name: &str, peer: IpAddr) -> AccessError {
    access.sign_in(name, &secret("a wrong one"), peer).await.unwrap_err()
}

fn retry_after(error: &AccessError) -> Duration {
    match error {
        AccessError::TooMany { retry_after } => *retry_after,
        error => panic!("not refused for now: {error:?}"),
    }
}

/// Moves the last failure to this long ago.
async fn last_failed_ago(connection: &mut MultiplexedConnection, key: &str, ago: Duration) {
    set_last_failure(connection, key, -i64::try_from(ago.as_millis()).unwrap()).await;
}

/// As if the clock stood still since the last failure: the whole wait is left, however slow the test is.
async fn last_failed_now(connection: &mut MultiplexedConnection, key: &str) {
    set_last_failure(connection, key, 3_600_000).await;
}

async fn set_last_failure(connection: &mut MultiplexedConnection, key: &str, from_now_ms: i64) {
    let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(connection).await.unwrap();
    let at_ms = seconds * 1000 + micros / 1000 + from_now_ms;
    let _: () = connection.hset(key, "last", at_ms).await.unwrap();
}

#[tokio::test]
async fn who_signs_in_is_known_to_every_trunkd_with_the_present_role() {
    let (_redis, mut connection, one, other) = two().await;
    assert!(!one.has_users().await.unwrap());
    let made = one
        .add_user(new_user("alice", Role::Operator, "acme,globex"))
        .await
        .unwrap();
    one.add_user(new_user("Bob", Role::Admin, "*")).await.unwrap();
    assert!(other.has_users().await.unwrap());
    let users = other.users().await.unwrap();
    assert_eq!(
        users.iter().map(|user| &*user.name).collect::<Vec<_>>(),
        ["Bob", "alice"]
    );
    assert_eq!(users[1], made);

    let session = session_of(&one, "alice").await;
    let alice = user("alice", Role::Operator, "acme,globex");
    assert_eq!(session.caller, alice);
    let cookie = session.cookie.expose_secret();
    assert_eq!(other.by_session(cookie).await.unwrap(), Some(alice));
    assert_eq!(other.by_session("").await.unwrap(), None);
    assert_eq!(other.by_session(&cookie[1..]).await.unwrap(), None);

    // A session has no rights of its own.
    let record: String = connection.hget("trunkd:users", "alice").await.unwrap();
    let lower = record.replace("\"operator\"", "\"viewer\"");
    let _: () = connection.hset("trunkd:users", "alice", lower).await.unwrap();
    let now = one.by_session(cookie).await.unwrap().unwrap();
    assert_eq!(now.role, Role::Viewer);

    other.sign_out(cookie).await.unwrap();
    assert_eq!(one.by_session(cookie).await.unwrap(), None);
    assert!(keys_like(&mut connection, "trunkd:session:*").await.is_empty());
}

#[tokio::test]
async fn a_session_in_use_lives_on_and_is_written_at_most_once_a_minute() {
    let (_redis, mut connection, one, _) = two().await;
    one.add_user(new_user("alice", Role::Viewer, "*")).await.unwrap();
    let session = session_of(&one, "alice").await;
    let key = keys_like(&mut connection, "trunkd:session:*").await.remove(0);
    let whole = i64::try_from(SESSION_LASTS.as_millis()).unwrap();
    // Half an hour ago, and a few seconds ago.
    for (left, is_renewed) in [(whole - 1_800_000, true), (whole - 30_000, false)] {
        let _: () = connection.pexpire(&key, left).await.unwrap();
        assert!(one.by_session(session.cookie.expose_secret()).await.unwrap().is_some());
        let now: i64 = connection.pttl(&key).await.unwrap();
        assert_eq!(now > left, is_renewed, "{now} of {left}");
        assert!(now <= whole);
    }
}

#[tokio::test]
async fn a_changed_password_ends_every_session_on_every_trunkd() {
    let (_redis, mut connection, one, other) = two().await;
    one.add_user(new_user("alice", Role::Admin, "*")).await.unwrap();
    one.add_user(new_user("bob", Role::Viewer, "*")).await.unwrap();
    let sessions = [session_of(&one, "alice").await, session_of(&other, "alice").await];
    let of_bob = session_of(&one, "bob").await;
    other.set_password("alice", &secret(OTHER_PASSWORD)).await.unwrap();
    for session in &sessions {
        assert_eq!(one.by_session(session.cookie.expose_secret()).await.unwrap(), None);
    }
    assert_eq!(keys_like(&mut connection, "trunkd:session:*").await.len(), 1);
    assert!(one.by_session(of_bob.cookie.expose_secret()).await.unwrap().is_some());
    let old = one.sign_in("alice", &secret(PASSWORD), peer(1)).await;
    assert!(matches!(old, Err(AccessError::WrongCredentials)), "{old:?}");
    let new = one.sign_in("alice", &secret(OTHER_PASSWORD), peer(1)).await;
    assert_eq!(new.unwrap().caller, user("alice", Role::Admin, "*"));
}

#[tokio::test]
async fn a_user_who_was_removed_and_made_again_has_no_session() {
    let (_redis, _, one, other) = two().await;
    one.add_user(new_user("alice", Role::Viewer, "*")).await.unwrap();
    let session = session_of(&one, "alice").await;
    one.remove_user("alice").await.unwrap();
    one.add_user(new_user("alice", Role::Admin, "*")).await.unwrap();
    assert_eq!(other.by_session(session.cookie.expose_secret()).await.unwrap(), None);
}

#[tokio::test]
async fn the_last_admin_cannot_be_removed() {
    let (_redis, _, one, other) = two().await;
    for (name, role) in [("a", Role::Admin), ("b", Role::Admin), ("c", Role::Operator)] {
        one.add_user(new_user(name, role, "*")).await.unwrap();
    }
    // Both at the same moment: one of them stays.
    let (a, b) = tokio::join!(one.remove_user("a"), other.remove_user("b"));
    let refused = a.and(b).unwrap_err();
    assert!(matches!(refused, AccessError::LastAdmin(_)), "{refused:?}");
    one.remove_user("c").await.unwrap();
    let gone = one.remove_user("c").await.unwrap_err();
    assert!(matches!(gone, AccessError::UnknownUser(_)), "{gone:?}");
    assert_eq!(one.users().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_user_is_made_once_and_with_sound_values() {
    let (_redis, mut connection, one, other) = two().await;
    let (first, second) = tokio::join!(
        one.add_user(new_user("alice", Role::Viewer, "*")),
        other.add_user(new_user("alice", Role::Admin, "*")),
    );
    let refused = [first, second].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert!(matches!(&refused[..], [AccessError::UserExists(_)]), "{refused:?}");

    for name in ["", "a b", "a:b", &"x".repeat(65)] {
        let bad = one.add_user(new_user(name, Role::Viewer, "*")).await.unwrap_err();
        assert!(matches!(bad, AccessError::BadName(_)), "{bad:?}");
    }
    let bad = one.add_user(new_user("bob", Role::Admin, "acme")).await.unwrap_err();
    assert!(matches!(bad, AccessError::AdminOfSomeDomains), "{bad:?}");
    for (password, expected) in [("1234567", "at least 8"), (&*"x".repeat(1025), "at most 1024")] {
        let password = secret(password);
        let bad = one.set_password("alice", &password).await.unwrap_err();
        assert!(bad.to_string().contains(expected), "{bad}");
        let new = NewUser {
            password,
            ..new_user("bob", Role::Viewer, "*")
        };
        let bad = one.add_user(new).await.unwrap_err();
        assert!(bad.to_string().contains(expected), "{bad}");
    }
    let unknown = one.set_password("nobody", &secret(PASSWORD)).await.unwrap_err();
    assert!(matches!(unknown, AccessError::UnknownUser(_)), "{unknown:?}");

    // A record of somebody else's making lets nobody in, and harms no other.
    let _: () = connection.hset("trunkd:users", "odd", "no JSON").await.unwrap();
    assert_eq!(one.users().await.unwrap().len(), 1);
    assert!(matches!(
        fail(&one, "odd", peer(9)).await,
        AccessError::WrongCredentials
    ));
    one.remove_user("odd").await.unwrap();
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_are_answered_and_counted_alike() {
    let (_redis, mut connection, one, _) = two().await;
    one.add_user(new_user("alice", Role::Viewer, "*")).await.unwrap();
    let (wrong_password, wrong_name) = (fail(&one, "alice", peer(1)).await, fail(&one, "nobody", peer(2)).await);
    assert!(matches!(wrong_password, AccessError::WrongCredentials));
    assert_eq!(format!("{wrong_password:?}"), format!("{wrong_name:?}"));
    assert_eq!(wrong_password.to_string(), wrong_name.to_string());
    assert!(matches!(
        fail(&one, "no name\n", peer(3)).await,
        AccessError::WrongCredentials
    ));
    let mut keys = keys_like(&mut connection, "trunkd:sign-ins:*").await;
    keys.sort();
    assert_eq!(
        keys,
        [
            "trunkd:sign-ins:address:192.0.2.1",
            "trunkd:sign-ins:address:192.0.2.2",
            "trunkd:sign-ins:address:192.0.2.3",
            "trunkd:sign-ins:name:?",
            "trunkd:sign-ins:name:alice",
            "trunkd:sign-ins:name:nobody",
        ]
    );
    for key in keys {
        let left: i64 = connection.pttl(&key).await.unwrap();
        assert!(left > 0, "{key} expires");
    }
}

#[tokio::test]
async fn failures_slow_down_a_name_from_every_address_and_on_every_trunkd() {
    let (_redis, mut connection, one, other) = two().await;
    one.add_user(new_user("alice", Role::Viewer, "*")).await.unwrap();
    for number in 0..FREE {
        let access = if number % 2 == 0 { &one } else { &other };
        let error = fail(access, "alice", peer(u8::try_from(number).unwrap())).await;
        assert!(matches!(error, AccessError::WrongCredentials), "{error:?}");
    }
    let key = "trunkd:sign-ins:name:alice";
    // 1 s, 2 s, … 256 s, and then always 5 minutes.
    for round in 0..12_u8 {
        let whole = Duration::from_secs((1 << round.min(9)).min(300));
        let from = peer(100 + round);
        last_failed_now(&mut connection, key).await;
        let refused = other.sign_in("alice", &secret(PASSWORD), from).await.unwrap_err();
        assert_eq!(retry_after(&refused), whole);
        last_failed_ago(&mut connection, key, whole).await;
        let error = fail(&one, "alice", from).await;
        assert!(matches!(error, AccessError::WrongCredentials), "{error:?}");
    }
    // Being refused is no failure, and the right password ends it.
    let failures: u32 = connection.hget(key, "failures").await.unwrap();
    assert_eq!(failures, u32::try_from(FREE).unwrap() + 12);
    last_failed_ago(&mut connection, key, Duration::from_secs(300)).await;
    session_of(&one, "alice").await;
    assert!(!connection.exists::<_, bool>(key).await.unwrap());
    session_of(&one, "alice").await;
}

#[tokio::test]
async fn a_password_of_ones_own_does_not_help_to_guess_others_from_the_same_address() {
    let (_redis, mut connection, one, other) = two().await;
    one.add_user(new_user("mallory", Role::Viewer, "*")).await.unwrap();
    for number in 0..FREE {
        fail(&one, &format!("victim{number}"), peer(1)).await;
    }
    let key = "trunkd:sign-ins:address:192.0.2.1";
    last_failed_now(&mut connection, key).await;
    retry_after(&fail(&other, "victim9", peer(1)).await);
    last_failed_ago(&mut connection, key, Duration::from_secs(1)).await;
    session_of(&one, "mallory").await;
    // What counted from its start was taken back, and nothing more.
    let failures: usize = connection.hget(key, "failures").await.unwrap();
    assert_eq!(failures, FREE);
    fail(&one, "victim9", peer(1)).await;
    last_failed_now(&mut connection, key).await;
    retry_after(&other.sign_in("mallory", &secret(PASSWORD), peer(1)).await.unwrap_err());
    // Others are not affected, and failures of long ago are forgotten.
    assert!(one.sign_in("mallory", &secret(PASSWORD), peer(2)).await.is_ok());
    last_failed_ago(&mut connection, key, Duration::from_secs(15 * 60)).await;
    fail(&one, "victim9", peer(1)).await;
    let failures: usize = connection.hget(key, "failures").await.unwrap();
    assert_eq!(failures, 1);
}

#[tokio::test]
async fn many_attempts_at_the_same_moment_gain_nothing() {
    let (_redis, mut connection, one, other) = two().await;
    for _ in 0..FREE {
        fail(&one, "nobody", peer(1)).await;
    }
    let key = "trunkd:sign-ins:name:nobody";
    // The wait of the next failure is 2 s, and the test may be slower: many more, so that it is not over.
    let _: () = connection.hset(key, "failures", 20).await.unwrap();
    last_failed_ago(&mut connection, key, Duration::from_secs(300)).await;
    let attempts = (0..8).map(|number| fail(if number % 2 == 0 { &one } else { &other }, "nobody", peer(10 + number)));
    let errors = futures_util::future::join_all(attempts).await;
    let tried = errors
        .iter()
        .filter(|error| matches!(error, AccessError::WrongCredentials));
    assert_eq!(tried.count(), 1, "{errors:?}");
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once_by_every_trunkd() {
    let (_redis, mut connection, one, other) = two().await;
    let (token, secret) = one.create_token(new_token("ci", Role::Operator, "acme")).await.unwrap();
    one.create_token(new_token("a", Role::Admin, "*")).await.unwrap();
    assert_eq!((token.last_used_at, &*token.created_by), (None, "user:alice"));
    let secret = secret.expose_secret();
    assert!(secret.starts_with("trk_") && secret.len() == 47, "{}", secret.len());
    let expected = Caller {
        identity: Identity::Token("ci".to_owned()),
        role: Role::Operator,
        domains: "acme".parse().unwrap(),
    };
    assert_eq!(other.by_token(secret).await.unwrap(), Some(expected.clone()));
    let tokens = one.tokens().await.unwrap();
    assert_eq!(tokens.iter().map(|token| &*token.name).collect::<Vec<_>>(), ["a", "ci"]);
    let used = tokens[1].last_used_at;
    assert!(used.is_some());
    assert_eq!(one.by_token(secret).await.unwrap(), Some(expected));
    assert_eq!(
        one.tokens().await.unwrap()[1].last_used_at,
        used,
        "written once a minute"
    );

    let taken = other
        .create_token(new_token("ci", Role::Viewer, "*"))
        .await
        .unwrap_err();
    assert!(matches!(taken, AccessError::TokenExists(_)), "{taken:?}");
    let stored: Vec<String> = connection.hkeys("trunkd:tokens").await.unwrap();
    assert!(stored.iter().all(|hash| hash.len() == 64 && !secret.contains(hash)));

    one.revoke_token("ci").await.unwrap();
    assert_eq!(other.by_token(secret).await.unwrap(), None);
    let gone = other.revoke_token("ci").await.unwrap_err();
    assert!(matches!(gone, AccessError::UnknownToken(_)), "{gone:?}");
    for wrong in ["", "trk_", "trk_x", &secret[1..]] {
        assert_eq!(one.by_token(wrong).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let (_redis, _, one, _) = two().await;
    let now = jiff::Timestamp::now();
    for (name, hours, is_known) in [("past", -1, false), ("future", 1, true)] {
        let new = NewToken {
            expires_at: Some(now + jiff::SignedDuration::from_hours(hours)),
            ..new_token(name, Role::Viewer, "*")
        };
        let (_, secret) = one.create_token(new).await.unwrap();
        let caller = one.by_token(secret.expose_secret()).await.unwrap();
        assert_eq!(caller.is_some(), is_known, "{name}");
    }
}

#[tokio::test]
async fn the_setup_code_makes_the_first_admin_once() {
    let (_redis, mut connection, one, other) = two().await;
    let replaced = one.new_setup_code().await.unwrap().unwrap();
    let code = one.new_setup_code().await.unwrap().unwrap();
    let left: i64 = connection.ttl("trunkd:setup").await.unwrap();
    assert!((1..=900).contains(&left), "{left}");
    let enter = async |access: &Access, code: &str, name: &str| {
        access.use_setup_code(code, name, secret(PASSWORD), peer(1)).await
    };
    for wrong in ["", replaced.expose_secret()] {
        let error = enter(&other, wrong, "alice").await.unwrap_err();
        assert!(matches!(error, AccessError::WrongSetupCode), "{error:?}");
    }
    let bad = enter(&other, code.expose_secret(), "no name\n").await.unwrap_err();
    assert!(matches!(bad, AccessError::BadName(_)), "{bad:?}");
    // Two at the same moment: one of them is the admin.
    let (first, second) = tokio::join!(
        enter(&one, code.expose_secret(), "alice"),
        enter(&other, code.expose_secret(), "bob"),
    );
    let (made, refused): (Vec<_>, Vec<_>) = [first, second].into_iter().partition(Result::is_ok);
    assert!(matches!(refused[0], Err(AccessError::WrongSetupCode)), "{refused:?}");
    let session = made.into_iter().next().unwrap().unwrap();
    assert_eq!(
        (session.caller.role, &session.caller.domains),
        (Role::Admin, &Domains::All)
    );
    let known = other.by_session(session.cookie.expose_secret()).await.unwrap();
    assert_eq!(known, Some(session.caller));
    assert!(one.new_setup_code().await.unwrap().is_none(), "there is a user");
    let failures: u32 = connection
        .hget("trunkd:sign-ins:address:192.0.2.1", "failures")
        .await
        .unwrap();
    assert_eq!(failures, 3, "wrong codes count as failed sign-ins");
}

#[tokio::test]
async fn the_setup_code_is_of_no_use_when_a_user_was_made_otherwise() {
    let (_redis, _, one, other) = two().await;
    let code = one.new_setup_code().await.unwrap().unwrap();
    other.add_user(new_user("alice", Role::Viewer, "*")).await.unwrap();
    for _ in 0..2 {
        let used = one
            .use_setup_code(code.expose_secret(), "mallory", secret(PASSWORD), peer(1))
            .await;
        assert!(matches!(used, Err(AccessError::WrongSetupCode)), "{used:?}");
        // Nor when that user is gone again.
        let _ = one.remove_user("alice").await;
    }
    assert!(!one.has_users().await.unwrap());
}

#[tokio::test]
async fn only_admins_manage_people_and_programs_and_everybody_his_own_password() {
    let (redis, _, access, _) = two().await;
    let people = sources::people(&settings(&redis, Path::new("unused"), "")).unwrap();
    access.add_user(new_user("op", Role::Operator, "*")).await.unwrap();
    access.add_user(new_user("root", Role::Admin, "*")).await.unwrap();
    let password = secret(OTHER_PASSWORD);
    for role in [Role::Viewer, Role::Operator] {
        let caller = user("op", role, "*");
        let refused = [
            people::users(&people, &caller).await.err(),
            people::add_user(&people, &caller, new_user("new", Role::Viewer, "*"))
                .await
                .err(),
            people::remove_user(&people, &caller, "root").await.err(),
            people::set_password(&people, &caller, "root", &password).await.err(),
            people::set_password(&people, &caller, "op", &password).await.err(),
            people::tokens(&people, &caller).await.err(),
            people::create_token(&people, &caller, new_token("t", Role::Viewer, "*"))
                .await
                .err(),
            people::revoke_token(&people, &caller, "t").await.err(),
        ];
        for error in refused {
            let needs = Role::Admin;
            let expected = Forbidden::Role { needs, has: role };
            assert!(
                matches!(&error, Some(OperateError::Forbidden(error)) if *error == expected),
                "{error:?}"
            );
        }
    }
    assert_eq!(access.users().await.unwrap().len(), 2);
    assert!(access.tokens().await.unwrap().is_empty());

    let op = user("op", Role::Operator, "*");
    let wrong = people::set_own_password(&people, &op, &password, &password).await;
    let is_wrong = matches!(&wrong, Err(OperateError::Access(AccessError::WrongCredentials)));
    assert!(is_wrong, "{wrong:?}");
    people::set_own_password(&people, &op, &secret(PASSWORD), &password)
        .await
        .unwrap();
    assert!(access.check_password("op", &password).await.unwrap());

    let root = user("root", Role::Admin, "*");
    let own = people::set_password(&people, &root, "root", &password).await;
    assert!(matches!(&own, Err(OperateError::OwnPassword)), "{own:?}");
    people::set_password(&people, &root, "op", &secret(PASSWORD))
        .await
        .unwrap();
    people::add_user(&people, &root, new_user("new", Role::Viewer, "acme"))
        .await
        .unwrap();
    people::remove_user(&people, &root, "new").await.unwrap();
    let (token, _) = people::create_token(&people, &root, new_token("t", Role::Viewer, "*"))
        .await
        .unwrap();
    assert_eq!(people::tokens(&people, &root).await.unwrap(), [token]);
    people::revoke_token(&people, &root, "t").await.unwrap();
    assert_eq!(people::users(&people, &root).await.unwrap().len(), 2);
    let none = people::set_own_password(&people, &Caller::cli(), &password, &password).await;
    assert!(matches!(&none, Err(OperateError::NoPassword(_))), "{none:?}");
}

#[tokio::test]
async fn nothing_that_can_be_shown_holds_a_secret() {
    let (_redis, mut connection, one, _) = two().await;
    let (new, code) = (new_user("alice", Role::Admin, "*"), one.new_setup_code().await.unwrap());
    let mut shown = format!("{new:?} {code:?}");
    let user = one.add_user(new).await.unwrap();
    let session = session_of(&one, "alice").await;
    let (token, secret_of_token) = one.create_token(new_token("ci", Role::Viewer, "*")).await.unwrap();
    let wrong = fail(&one, "alice", peer(1)).await;
    let json = serde_json::to_string(&(&user, &token)).unwrap();
    shown += &format!("{user:?} {session:?} {token:?} {secret_of_token:?} {wrong} {wrong:?} {json}");
    let record: Value =
        serde_json::from_str(&connection.hget::<_, _, String>("trunkd:users", "alice").await.unwrap()).unwrap();
    let secrets = [
        PASSWORD,
        "a wrong one",
        code.as_ref().unwrap().expose_secret(),
        session.cookie.expose_secret(),
        secret_of_token.expose_secret(),
        record["password"].as_str().unwrap(),
        record["epoch"].as_str().unwrap(),
    ];
    for secret in secrets {
        assert!(secret.len() > 8 && !shown.contains(secret), "{secret} in {shown}");
    }
    // Nor does Redis hold one that lets somebody in.
    let mut stored = String::new();
    for key in keys_like(&mut connection, "trunkd:*").await {
        let mut dump = redis::cmd("DUMP");
        let bytes: Vec<u8> = dump.arg(&key).query_async(&mut connection).await.unwrap();
        stored += &(key + &String::from_utf8_lossy(&bytes));
    }
    for secret in &secrets[..5] {
        assert!(!stored.contains(secret));
    }
}

#[tokio::test]
async fn the_redis_user_of_the_documentation_may_do_all_of_this() {
    let redis = RedisServer::start().await;
    let mut connection = redis.connection().await;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/redis.md")).unwrap();
    let rule = page
        .lines()
        .find_map(|line| line.trim().strip_prefix("ACL SETUSER "))
        .unwrap();
    let mut set = redis::cmd("ACL");
    set.arg("SETUSER");
    for word in rule.split_whitespace() {
        set.arg(word.trim_matches('\''));
    }
    set.exec_async(&mut connection).await.unwrap();
    let access = access(&redis, "[redis]\nusername = \"trunkd\"\npassword = \"password\"\n");

    let code = access.new_setup_code().await.unwrap().unwrap();
    let session = access
        .use_setup_code(code.expose_secret(), "root", secret(PASSWORD), peer(1))
        .await
        .unwrap();
    access
        .by_session(session.cookie.expose_secret())
        .await
        .unwrap()
        .unwrap();
    access.sign_out(session.cookie.expose_secret()).await.unwrap();
    access.add_user(new_user("alice", Role::Viewer, "*")).await.unwrap();
    for _ in 0..FREE {
        fail(&access, "alice", peer(1)).await;
    }
    let counters = ["trunkd:sign-ins:name:alice", "trunkd:sign-ins:address:192.0.2.1"];
    last_failed_now(&mut connection, counters[0]).await;
    retry_after(&fail(&access, "alice", peer(1)).await);
    for key in counters {
        last_failed_ago(&mut connection, key, Duration::from_secs(1)).await;
    }
    session_of(&access, "alice").await;
    access.set_password("alice", &secret(OTHER_PASSWORD)).await.unwrap();
    access.remove_user("alice").await.unwrap();
    assert_eq!(access.users().await.unwrap().len(), 1);
    let (_, secret) = access.create_token(new_token("ci", Role::Viewer, "*")).await.unwrap();
    access.by_token(secret.expose_secret()).await.unwrap().unwrap();
    assert_eq!(access.tokens().await.unwrap().len(), 1);
    access.revoke_token("ci").await.unwrap();
    let refused: redis::Value = redis::cmd("ACL").arg("LOG").query_async(&mut connection).await.unwrap();
    assert_eq!(refused, redis::Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_key_of_another_type_is_named_with_the_fix() {
    let (_redis, mut connection, one, _) = two().await;
    for key in ["trunkd:users", "trunkd:tokens"] {
        let _: () = connection.set(key, "x").await.unwrap();
        let (user, token) = (new_user("a", Role::Viewer, "*"), new_token("a", Role::Viewer, "*"));
        let error = match key {
            "trunkd:users" => one.add_user(user).await.unwrap_err().to_string(),
            _ => one.create_token(token).await.unwrap_err().to_string(),
        };
        assert!(error.contains(&format!("redis-cli DEL {key}")), "{error}");
        let _: () = connection.del(key).await.unwrap();
    }
}

/// Runs a subcommand: its exit status, standard output and standard error.
async fn run(folder: &Path, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
    command
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let input = input.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        // One that reads no input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn users_are_managed_at_the_command_line() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    write_settings(folder.path(), &redis);
    let folder = folder.path();
    let access = access(&redis, "");
    let said = async |arguments: &[&str], input: &str| run(folder, arguments, input).await;

    let (status, out, _) = said(&["user", "list"], "").await;
    assert_eq!((status, out.contains("no user yet")), (Some(0), true), "{out}");
    let (status, out, err) = said(&["user", "add", "alice", "--role", "admin"], &format!("{PASSWORD}\n")).await;
    assert_eq!(
        (status, &*out),
        (Some(0), "Added user alice: admin of all domains.\n"),
        "{err}"
    );
    assert!(access.check_password("alice", &secret(PASSWORD)).await.unwrap());
    std::fs::write(folder.join("password"), format!("{PASSWORD}\n")).unwrap();
    let add = [
        "user",
        "add",
        "bob",
        "--role",
        "operator",
        "--domains",
        "acme,globex",
        "--password-file",
        "password",
    ];
    let (status, out, err) = said(&add, "").await;
    assert_eq!(
        (status, &*out),
        (Some(0), "Added user bob: operator of acme,globex.\n"),
        "{err}"
    );

    let (_, out, _) = said(&["user", "list"], "").await;
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "ROLE", "DOMAINS", "CREATED"]);
    assert_eq!(lines[1][..3], ["alice", "admin", "*"]);
    assert_eq!(lines[2][..3], ["bob", "operator", "acme,globex"]);
    let (_, out, _) = said(&["user", "list", "--json"], "").await;
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["users"][1]["domains"], serde_json::json!(["acme", "globex"]));
    assert!(json["users"][1]["password"].is_null());

    let (status, out, err) = said(&["user", "passwd", "bob"], &format!("{OTHER_PASSWORD}\n")).await;
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(access.check_password("bob", &secret(OTHER_PASSWORD)).await.unwrap());
    for (arguments, input, expected) in [
        (
            &["user", "add", "bob", "--role", "viewer"][..],
            PASSWORD,
            "there is a user bob already",
        ),
        (&["user", "add", "carol", "--role", "viewer"], "short\n", "at least 8"),
        (
            &["user", "add", "carol", "--role", "viewer"],
            "",
            "its first line is empty",
        ),
        (
            &["user", "add", "carol", "--role", "admin", "--domains", "acme"],
            PASSWORD,
            "an admin has all domains",
        ),
        (&["user", "passwd", "carol"], PASSWORD, "there is no user carol"),
        (&["user", "rm", "carol"], "", "there is no user carol"),
        (&["user", "rm", "alice"], "", "alice is the last admin"),
    ] {
        let (status, out, err) = said(arguments, input).await;
        assert_eq!(
            (status, err.contains(expected)),
            (Some(1), true),
            "{arguments:?}: {out}{err}"
        );
    }
    let (status, _, err) = said(&["user", "add", "carol", "--role", "root"], PASSWORD).await;
    assert_eq!(
        (status, err.contains("viewer, operator and admin")),
        (Some(2), true),
        "{err}"
    );
    let (status, _, _) = said(&["user", "rm", "bob"], "").await;
    assert_eq!((status, access.users().await.unwrap().len()), (Some(0), 1));
}

#[tokio::test]
async fn tokens_are_managed_at_the_command_line() {
    let (mut redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    write_settings(folder.path(), &redis);
    let folder = folder.path();
    let access = access(&redis, "");
    let said = async |arguments: &[&str]| run(folder, arguments, "").await;

    let create = [
        "token",
        "create",
        "ci",
        "--role",
        "operator",
        "--domains",
        "acme",
        "--expires",
        "90d",
    ];
    let (status, out, err) = said(&create).await;
    assert_eq!(status, Some(0), "{err}");
    let secret = out.strip_suffix('\n').unwrap();
    assert!(!secret.contains(char::is_whitespace) && !err.contains(secret), "{err}");
    let caller = access.by_token(secret).await.unwrap().unwrap();
    assert_eq!(
        (caller.role, caller.sees("acme"), caller.sees("globex")),
        (Role::Operator, true, false)
    );

    let (_, out, _) = said(&["token", "list"]).await;
    assert!(
        out.starts_with("NAME") && out.contains("ci") && out.contains("cli:"),
        "{out}"
    );
    assert!(!out.contains(secret) && !out.contains("never"), "{out}");
    let (_, out, _) = said(&["token", "list", "--json"]).await;
    let json: Value = serde_json::from_str(&out).unwrap();
    let time = |field: &str| {
        json["tokens"][0][field]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    let lasts = time("expires_at").duration_since(time("created_at"));
    assert!(lasts.as_hours().abs_diff(90 * 24) <= 1, "{lasts:?}");
    let (status, _, err) = said(&["token", "create", "x", "--role", "viewer", "--expires", "soon"]).await;
    assert_eq!((status, err.contains("90d")), (Some(2), true), "{err}");

    let (status, out, _) = said(&["token", "revoke", "ci"]).await;
    assert_eq!(
        (status, &*out),
        (Some(0), "Revoked token ci: every trunkd refuses it from now on.\n")
    );
    assert_eq!(access.by_token(secret).await.unwrap(), None);
    let (status, _, err) = said(&["token", "revoke", "ci"]).await;
    assert_eq!((status, err.contains("there is no token ci")), (Some(1), true), "{err}");
    redis.kill();
    let (status, _, err) = said(&["token", "list"]).await;
    let names_it = err.contains(&format!("cannot read Redis at {}", redis.url()));
    assert_eq!((status, names_it), (Some(1), true), "{err}");
}
