//! The scripts: an operation, a status, and how to get it.

use futures_util::future::LocalBoxFuture;
use redis::AsyncCommands;
use serde_json::Value::Null;
use serde_json::json;

use super::world::{PASSWORD, Sent, World, account, refused, trunk};

/// Asks for one answer of one operation.
pub(super) struct Script {
    pub(super) operation: &'static str,
    pub(super) status: u16,
    pub(super) ask: for<'a> fn(&'a World) -> LocalBoxFuture<'a, Sent>,
}

/// `"GET /things" { 200: w.viewer("GET /things", Null); }`. The expression is a future; its last call is
/// the one that is checked.
macro_rules! scripts {
    ($w:ident; $($operation:literal { $($status:literal: $ask:expr;)* })*) => {
        vec![$($(Script {
            operation: $operation,
            status: $status,
            ask: |$w| Box::pin(async move { $ask.await }),
        },)*)*]
    };
}

/// In this order. Those of one operation may follow from each other.
pub(super) fn scripts() -> Vec<Script> {
    let mut all = of_the_first_admin();
    all.extend(of_gateways());
    all.extend(of_actions());
    all.extend(of_jobs());
    all.extend(of_bulk());
    all.extend(of_imports());
    all.extend(of_files());
    all.extend(of_lists());
    all.extend(of_history());
    all.extend(of_switches());
    all.extend(of_placement());
    all.extend(of_people());
    all.extend(of_sessions());
    all
}

fn of_the_first_admin() -> Vec<Script> {
    scripts! { w;
        "POST /setup" {
            400: w.nobody("POST /setup", json!({"code": 1}));
            401: w.nobody("POST /setup", json!({"code": "x", "name": "root", "password": PASSWORD}));
            422: async {
                let code = w.setup_code().await;
                w.nobody("POST /setup", json!({"code": code, "name": "root", "password": "short"})).await
            };
            429: w.until_slowed_down(async || {
                let wrong = json!({"code": "x", "name": "root", "password": PASSWORD});
                w.nobody_from("198.51.100.1", "POST /setup", wrong).await
            });
            200: async {
                let code = w.setup_code().await;
                w.nobody("POST /setup", json!({"code": code, "name": "root", "password": PASSWORD})).await
            };
        }
    }
}

fn of_gateways() -> Vec<Script> {
    scripts! { w;
        "GET /domains/{domain}/gateways/{name}" {
            200: w.viewer("GET /domains/acme/gateways/g1", Null);
            200: w.viewer("GET /domains/acme/gateways/broken", Null);
            400: w.viewer("GET /domains/acme/gateways/a%20b", Null);
            403: w.viewer("GET /domains/globex/gateways/g1", Null);
            404: w.viewer("GET /domains/acme/gateways/nothing", Null);
            404: w.admin("GET /domains/nothing/gateways/g1", Null);
            409: w.admin("GET /domains/string/gateways/g1", Null);
        }
        "PUT /domains/{domain}/gateways/{name}" {
            201: w.operator("PUT /domains/acme/gateways/put?wait=1ms", trunk());
            200: w.operator("PUT /domains/acme/gateways/put", account());
            200: w.operator("PUT /domains/acme/gateways/new?dry_run=true", account());
            400: w.operator("PUT /domains/acme/gateways/put?wait=1h", account());
            403: w.viewer("PUT /domains/acme/gateways/put", account());
            403: w.operator("PUT /domains/globex/gateways/put", account());
            409: w.admin("PUT /domains/string/gateways/put", account());
            412: w.admin_with("PUT /domains/acme/gateways/put", ("If-None-Match", "*"), account());
            412: w.admin_with("PUT /domains/acme/gateways/nothing", ("If-Match", "*"), account());
            422: w.operator("PUT /domains/acme/gateways/put", refused());
        }
        "PATCH /domains/{domain}/gateways/{name}" {
            200: w.operator("PATCH /domains/acme/gateways/put", json!({"tags": ["a"]}));
            200: w.operator("PATCH /domains/acme/gateways/put?dry_run=true", json!({"tags": ["b"]}));
            400: w.operator("PATCH /domains/acme/gateways/put", json!(["no object"]));
            403: w.viewer("PATCH /domains/acme/gateways/put", json!({}));
            404: w.operator("PATCH /domains/acme/gateways/nothing", json!({}));
            404: w.admin("PATCH /domains/nothing/gateways/g1", json!({}));
            409: w.operator("PATCH /domains/acme/gateways/broken", json!({}));
            412: w.admin_with("PATCH /domains/acme/gateways/put", ("If-Match", "\"another\""), json!({}));
            422: w.operator("PATCH /domains/acme/gateways/put", json!({"param": {"username": null}}));
        }
        "DELETE /domains/{domain}/gateways/{name}" {
            200: w.operator("DELETE /domains/acme/gateways/put?dry_run=true", Null);
            400: w.operator("DELETE /domains/acme/gateways/put?forced=true", Null);
            403: w.viewer("DELETE /domains/acme/gateways/put", Null);
            404: w.operator("DELETE /domains/acme/gateways/nothing", Null);
            404: w.admin("DELETE /domains/nothing/gateways/g1", Null);
            409: w.admin("DELETE /domains/string/gateways/g1", Null);
            412: w.admin_with("DELETE /domains/acme/gateways/put", ("If-Match", "\"another\""), Null);
            200: w.operator("DELETE /domains/acme/gateways/put", Null);
        }
        "GET /domains/{domain}/gateways/{name}/xml" {
            200: w.viewer("GET /domains/acme/gateways/g1/xml", Null);
            400: w.viewer("GET /domains/acme/gateways/a%20b/xml", Null);
            403: w.viewer("GET /domains/globex/gateways/g1/xml", Null);
            404: w.viewer("GET /domains/acme/gateways/invalid/xml", Null);
            409: w.admin("GET /domains/string/gateways/g1/xml", Null);
        }
    }
}

fn of_actions() -> Vec<Script> {
    scripts! { w;
        "POST /domains/{domain}/gateways/{name}/copy" {
            201: w.operator("POST /domains/acme/gateways/g1/copy", json!({"name": "copied"}));
            201: {
                // The condition is about the gateway that is copied.
                let name = json!({"name": "copied1"});
                w.admin_with("POST /domains/acme/gateways/g1/copy", ("If-Match", "*"), name)
            };
            200: w.operator("POST /domains/acme/gateways/g1/copy?dry_run=true", json!({"name": "copied2"}));
            400: w.operator("POST /domains/acme/gateways/g1/copy", json!({"name": "a b"}));
            403: w.viewer("POST /domains/acme/gateways/g1/copy", json!({"name": "copied2"}));
            404: w.operator("POST /domains/acme/gateways/nothing/copy", json!({"name": "copied2"}));
            409: w.operator("POST /domains/acme/gateways/g1/copy", json!({"name": "broken"}));
            412: {
                let name = json!({"name": "copied2"});
                w.admin_with("POST /domains/acme/gateways/g1/copy", ("If-Match", "\"another\""), name)
            };
        }
        "POST /domains/{domain}/gateways/{name}/rename" {
            200: w.operator("POST /domains/acme/gateways/copied/rename?dry_run=true", json!({"name": "renamed"}));
            400: w.operator("POST /domains/acme/gateways/copied/rename", json!({"nam": "renamed"}));
            403: w.viewer("POST /domains/acme/gateways/copied/rename", json!({"name": "renamed"}));
            404: w.operator("POST /domains/acme/gateways/nothing/rename", json!({"name": "renamed"}));
            409: w.operator("POST /domains/acme/gateways/copied/rename", json!({"name": "g1"}));
            412: {
                let name = json!({"name": "renamed"});
                w.admin_with("POST /domains/acme/gateways/copied/rename", ("If-Match", "\"another\""), name)
            };
            422: w.operator("POST /domains/acme/gateways/invalid/rename", json!({"name": "renamed"}));
            201: w.operator("POST /domains/acme/gateways/copied/rename", json!({"name": "renamed"}));
        }
        "POST /domains/{domain}/gateways/{name}/reveal" {
            200: w.admin("POST /domains/acme/gateways/g1/reveal", json!({"secret": "param.password"}));
            400: w.admin("POST /domains/acme/gateways/g1/reveal", json!({}));
            403: w.operator("POST /domains/acme/gateways/g1/reveal", json!({"secret": "param.password"}));
            404: w.admin("POST /domains/globex/gateways/g1/reveal", json!({"secret": "param.password"}));
            409: w.admin("POST /domains/acme/gateways/broken/reveal", json!({"secret": "param.password"}));
        }
    }
}

fn of_jobs() -> Vec<Script> {
    scripts! { w;
        "POST /domains/{domain}/gateways/{name}/restart" {
            200: w.operator("POST /domains/acme/gateways/g1/restart?wait=10s", Null);
            400: w.operator("POST /domains/acme/gateways/g1/restart?wait=soon", Null);
            403: w.viewer("POST /domains/acme/gateways/g1/restart", Null);
            403: w.operator("POST /domains/globex/gateways/g1/restart", Null);
            404: w.operator("POST /domains/acme/gateways/nothing/restart", Null);
            404: w.operator("POST /domains/acme/gateways/g1/restart?switch=fs9", Null);
            409: w.admin_of_off("POST /domains/acme/gateways/g1/restart", Null);
        }
        "POST /domains/{domain}/gateways/{name}/register" {
            200: w.operator("POST /domains/acme/gateways/g1/register", Null);
            400: w.operator("POST /domains/acme/gateways/g1/register?swich=fs1", Null);
            403: w.viewer("POST /domains/acme/gateways/g1/register", Null);
            404: w.operator("POST /domains/acme/gateways/invalid/register", Null);
            409: w.admin_of_off("POST /domains/acme/gateways/g1/register", Null);
            422: async {
                w.make("all").await;
                w.operator("POST /domains/acme/gateways/all/register", Null).await
            };
        }
        "POST /domains/{domain}/gateways/{name}/unregister" {
            200: w.operator("POST /domains/acme/gateways/g1/unregister", Null);
            400: w.operator("POST /domains/acme/gateways/a%20b/unregister", Null);
            403: w.viewer("POST /domains/acme/gateways/g1/unregister", Null);
            404: w.operator("POST /domains/acme/gateways/nothing/unregister", Null);
            409: w.admin_of_off("POST /domains/acme/gateways/g1/unregister", Null);
            422: w.operator("POST /domains/acme/gateways/all/unregister", Null);
        }
        "POST /domains/{domain}/gateways/{name}/park" {
            200: w.operator("POST /domains/acme/gateways/g1/park", Null);
            400: w.operator("POST /domains/acme/gateways/a%20b/park", Null);
            403: w.viewer("POST /domains/acme/gateways/g1/park", Null);
            404: w.operator("POST /domains/acme/gateways/nothing/park", Null);
            409: w.admin_of_off("POST /domains/acme/gateways/g1/park", Null);
            422: w.operator("POST /domains/acme/gateways/all/park", Null);
        }
        "POST /domains/{domain}/gateways/{name}/unpark" {
            200: w.operator("POST /domains/acme/gateways/g1/unpark", Null);
            400: w.operator("POST /domains/acme/gateways/a%20b/unpark", Null);
            403: w.viewer("POST /domains/acme/gateways/g1/unpark", Null);
            404: w.operator("POST /domains/acme/gateways/nothing/unpark", Null);
            409: w.admin_of_off("POST /domains/acme/gateways/g1/unpark", Null);
            422: w.operator("POST /domains/acme/gateways/all/unpark", Null);
        }
    }
}

fn of_files() -> Vec<Script> {
    scripts! { w;
        "GET /export" {
            200: w.viewer("GET /export?q=g1", Null);
            400: w.viewer("GET /export?format=xml", Null);
            403: w.viewer("GET /export?domain=globex", Null);
        }
        "POST /import" {
            200: {
                let document = json!([{"domain": "acme", "name": "imported", "param": {"register": false}}]);
                w.operator("POST /import?dry_run=true", document)
            };
            200: w.operator("POST /import", json!({"domain": "acme", "name": "imported", "state": "absent"}));
            400: w.operator("POST /import", json!({"domain": "acme"}));
            403: w.viewer("POST /import", json!([]));
            413: w.operator("POST /import", json!("x".repeat(65 * 1024 * 1024)));
        }
    }
}

fn of_bulk() -> Vec<Script> {
    scripts! { w;
        "POST /gateways/bulk" {
            200: w.operator("POST /gateways/bulk?dry_run=true", json!({"filter": {}, "do": "disable"}));
            200: {
                let g1 = json!([{"domain": "acme", "name": "g1"}]);
                w.operator("POST /gateways/bulk", json!({"gateways": g1, "do": {"tag": ["a"]}}))
            };
            200: w.operator("POST /gateways/bulk?dry_run=true", json!({"filter": {}, "do": "restart"}));
            400: w.operator("POST /gateways/bulk", json!({"filter": {}, "do": "explode"}));
            404: w.operator("POST /gateways/bulk?switch=fs9", json!({"filter": {}, "do": "restart"}));
            409: w.admin_of_off("POST /gateways/bulk", json!({"filter": {}, "do": "restart"}));
            403: w.viewer("POST /gateways/bulk", json!({"filter": {}, "do": "disable"}));
            413: w.operator("POST /gateways/bulk", json!("x".repeat(17 * 1024 * 1024)));
        }
        "GET /restarts/{id}" {
            200: async {
                let g1 = json!([{"domain": "acme", "name": "g1"}]);
                let restart = w.operator("POST /gateways/bulk", json!({"gateways": g1, "do": "restart"})).await;
                let id = restart.answer.expect(200).body["id"].as_str().unwrap().to_owned();
                w.operator(&format!("GET /restarts/{id}"), Null).await
            };
            400: w.operator("GET /restarts/x?language=fr", Null);
        }
    }
}

fn of_imports() -> Vec<Script> {
    // The quotes around a JSON text are no part of an XML element.
    const XML: &str = "<gateway name='imported'><param name='realm' value='r'/>\
                       <param name='register' value='false'/><subscriptions/></gateway>";
    scripts! { w;
        "POST /import/{kind}" {
            200: w.operator("POST /import/fs-xml?domain=acme&dry_run=true", json!(XML));
            200: w.operator("POST /import/fs-xml?domain=acme&language=zh&file=a.xml", json!(XML));
            400: w.operator("POST /import/xml", json!(XML));
            403: w.viewer("POST /import/fs-xml?domain=acme", json!(XML));
            413: w.operator("POST /import/csv", json!("x".repeat(65 * 1024 * 1024)));
            422: w.operator("POST /import/csv?domain=acme", json!("realm"));
        }
    }
}

fn of_lists() -> Vec<Script> {
    scripts! { w;
        "GET /gateways" {
            200: w.viewer("GET /gateways?state=up,down,idle,unknown,missing,trying", Null);
            200: w.admin("GET /gateways?sort=-state&limit=1", Null);
            400: w.viewer("GET /gateways?state=sideways", Null);
            403: w.viewer("GET /gateways?domain=globex", Null);
        }
        "GET /domains" { 200: w.viewer("GET /domains", Null); }
        "GET /switches" {
            200: w.viewer("GET /switches", Null);
            400: w.viewer("GET /switches?language=fr", Null);
        }
        "GET /carriers" {
            200: w.viewer("GET /carriers", Null);
            200: w.admin("GET /carriers?name=nobody&limit=1", Null);
            400: w.viewer("GET /carriers?limit=1001", Null);
        }
        "GET /status" {
            200: w.viewer("GET /status", Null);
            200: w.admin("GET /status?failing=true", Null);
            400: w.viewer("GET /status?limit=1001", Null);
            403: w.viewer("GET /status?domain=globex", Null);
            404: w.viewer("GET /status?name=nothing", Null);
        }
        "GET /params" {
            200: w.viewer("GET /params?language=zh", Null);
            400: w.viewer("GET /params?language=xx", Null);
        }
        "GET /events" {
            200: w.viewer("GET /events?domain=acme", Null);
            400: w.admin_with("GET /events", ("Last-Event-ID", "x"), Null);
            403: w.viewer("GET /events?domain=globex", Null);
        }
    }
}

fn of_history() -> Vec<Script> {
    scripts! { w;
        "GET /history" {
            200: w.admin("GET /history?limit=1000", Null);
            400: w.viewer("GET /history?kind=nothing", Null);
            403: w.viewer("GET /history?domain=globex", Null);
        }
        "GET /domains/{domain}/gateways/{name}/history" {
            200: w.viewer("GET /domains/acme/gateways/renamed/history", Null);
            400: w.viewer("GET /domains/acme/gateways/a%20b/history", Null);
            403: w.viewer("GET /domains/globex/gateways/g1/history", Null);
        }
        "POST /history/{id}/revert" {
            403: async {
                w.make("undone").await;
                let edit = w.last_edit("undone").await;
                w.viewer(&format!("POST /history/{edit}/revert"), Null).await
            };
            400: async {
                let edit = w.last_edit("undone").await;
                w.operator(&format!("POST /history/{edit}/revert?wait=soon"), Null).await
            };
            404: w.operator("POST /history/9-9/revert", Null);
            404: w.operator("POST /history/nothing/revert", Null);
            412: async {
                let edit = w.last_edit("undone").await;
                let header = ("If-Match", "\"another\"");
                w.admin_with(&format!("POST /history/{edit}/revert"), header, Null).await
            };
            409: async {
                let edit = w.last_edit("undone").await;
                let patched = w.operator("PATCH /domains/acme/gateways/undone", json!({"tags": ["a"]})).await;
                patched.answer.expect(200);
                w.operator(&format!("POST /history/{edit}/revert"), Null).await
            };
            200: async {
                let edit = w.last_edit("undone").await;
                w.operator(&format!("POST /history/{edit}/revert?dry_run=true"), Null).await
            };
            200: async {
                let edit = w.last_edit("undone").await;
                w.operator(&format!("POST /history/{edit}/revert"), Null).await
            };
            201: async {
                w.operator("DELETE /domains/acme/gateways/undone", Null).await.answer.expect(200);
                let edit = w.last_edit("undone").await;
                w.operator(&format!("POST /history/{edit}/revert"), Null).await
            };
            422: async {
                let bad = "PUT /domains/acme/gateways/undone?force=true";
                w.operator(bad, refused()).await.answer.expect(200);
                w.operator("PUT /domains/acme/gateways/undone", trunk()).await.answer.expect(200);
                let edit = w.last_edit("undone").await;
                w.operator(&format!("POST /history/{edit}/revert"), Null).await
            };
        }
    }
}

fn of_switches() -> Vec<Script> {
    scripts! { w;
        "POST /switches/{switch}/pause" {
            403: w.operator("POST /switches/fs1/pause", Null);
            404: w.admin("POST /switches/fs9/pause", Null);
            204: w.admin("POST /switches/fs1/pause", Null);
        }
        "GET /plan" {
            200: w.admin("GET /plan", Null);
            200: w.admin("GET /plan?switch=fs1&adopt=true", Null);
            400: w.admin("GET /plan?adopt=perhaps", Null);
            403: w.operator("GET /plan?adopt=true", Null);
            404: w.admin("GET /plan?switch=fs9", Null);
            409: w.admin_of_off("GET /plan", Null);
        }
        "POST /plan/apply" {
            400: w.admin("POST /plan/apply", json!({"id": 1}));
            403: w.viewer("POST /plan/apply", json!({"id": "x"}));
            403: w.operator("POST /plan/apply", json!({"id": "x", "adopt": true}));
            404: w.admin("POST /plan/apply", json!({"id": "x", "switch": "fs9"}));
            409: w.admin("POST /plan/apply", json!({"id": "x"}));
            200: async {
                let plan = w.admin("GET /plan", Null).await.answer.expect(200);
                w.admin("POST /plan/apply", json!({"id": plan.body["id"]})).await
            };
        }
        "POST /switches/{switch}/resume" {
            403: w.operator("POST /switches/fs1/resume", Null);
            404: w.admin("POST /switches/fs9/resume", Null);
            200: w.admin("POST /switches/fs1/resume", Null);
        }
    }
}

fn of_placement() -> Vec<Script> {
    scripts! { w;
        "GET /domains/{domain}/gateways/{name}/where" {
            200: w.viewer("GET /domains/acme/gateways/g1/where", Null);
            400: w.viewer("GET /domains/acme/gateways/a%20b/where", Null);
            403: w.viewer("GET /domains/globex/gateways/g1/where", Null);
            404: w.viewer("GET /domains/acme/gateways/invalid/where", Null);
            409: w.admin("GET /domains/string/gateways/g1/where", Null);
        }
        "POST /domains/{domain}/gateways/{name}/move" {
            200: async {
                w.make_placed("placed").await;
                w.operator("POST /domains/acme/gateways/placed/move", json!({"to": "fs2"})).await
            };
            400: w.operator("POST /domains/acme/gateways/placed/move?wait=1h", json!({"to": "fs2"}));
            400: w.operator("POST /domains/acme/gateways/placed/move", json!({"switch": "fs2"}));
            403: w.viewer("POST /domains/acme/gateways/placed/move", json!({"to": "fs2"}));
            403: w.operator("POST /domains/globex/gateways/g1/move", json!({"to": "fs2"}));
            404: w.operator("POST /domains/acme/gateways/nothing/move", json!({"to": "fs2"}));
            404: w.operator("POST /domains/acme/gateways/g1/move", json!({"to": "fs9"}));
            409: w.operator("POST /domains/acme/gateways/g1/move", json!({"to": "fs1"}));
        }
        "GET /placement" { 200: w.viewer("GET /placement", Null); }
        "POST /switches/{switch}/drain" {
            200: w.admin("POST /switches/fs1/drain", Null);
            403: w.operator("POST /switches/fs1/drain", Null);
            404: w.admin("POST /switches/fs9/drain", Null);
        }
        "GET /switches/{switch}/drain" {
            200: w.admin("GET /switches/fs1/drain", Null);
            403: w.operator("GET /switches/fs1/drain", Null);
            404: w.admin("GET /switches/fs9/drain", Null);
        }
        "POST /switches/{switch}/undrain" {
            204: w.admin("POST /switches/fs1/undrain", Null);
            403: w.operator("POST /switches/fs1/undrain", Null);
            404: w.admin("POST /switches/fs9/undrain", Null);
        }
        "GET /rebalance" {
            200: w.admin("GET /rebalance", Null);
            403: w.operator("GET /rebalance", Null);
        }
        "POST /rebalance" {
            200: async {
                let plan = w.admin("GET /rebalance", Null).await.answer.expect(200);
                w.admin("POST /rebalance", json!({"id": plan.body["id"]})).await
            };
            400: w.admin("POST /rebalance", json!({}));
            403: w.operator("POST /rebalance", json!({"id": "another"}));
            409: w.admin("POST /rebalance", json!({"id": "another"}));
        }
    }
}

fn of_people() -> Vec<Script> {
    scripts! { w;
        "POST /users" {
            201: w.admin("POST /users", json!({"name": "alice", "role": "viewer", "password": PASSWORD}));
            400: w.admin("POST /users", json!({"name": "bob", "role": "king", "password": PASSWORD}));
            403: w.operator("POST /users", json!({"name": "bob", "role": "viewer", "password": PASSWORD}));
            409: w.admin("POST /users", json!({"name": "alice", "role": "viewer", "password": PASSWORD}));
            422: w.admin("POST /users", json!({"name": "bob", "role": "viewer", "password": "short"}));
        }
        "GET /users" {
            200: w.admin("GET /users", Null);
            403: w.operator("GET /users", Null);
        }
        "PUT /users/{name}/password" {
            204: w.admin("PUT /users/alice/password", json!({"new": PASSWORD}));
            400: w.admin("PUT /users/alice/password", json!({}));
            401: {
                let wrong = json!({"old": "not that one", "new": PASSWORD});
                w.user("alice", "same-origin", "PUT /users/alice/password", wrong)
            };
            403: w.operator("PUT /users/alice/password", json!({"new": PASSWORD}));
            404: w.admin("PUT /users/nobody/password", json!({"new": PASSWORD}));
            409: async {
                // Somebody else changes the user all the while that the password is hashed.
                let mut connection = w.redis.connection().await;
                let stored: String = connection.hget("trunkd:users", "alice").await.unwrap();
                let changes = async {
                    for spaces in 0.. {
                        let changed = format!("{stored}{}", " ".repeat(spaces % 1000));
                        let _: () = connection.hset("trunkd:users", "alice", changed).await.unwrap();
                    }
                };
                tokio::select! {
                    sent = w.admin("PUT /users/alice/password", json!({"new": PASSWORD})) => sent,
                    () = changes => unreachable!(),
                }
            };
            422: w.admin("PUT /users/alice/password", json!({"new": "short"}));
            429: async {
                w.add_user("forgetful", "viewer").await;
                let cookie = w.sign_in("forgetful").await;
                w.until_slowed_down(async || {
                    let wrong = json!({"old": "not that one", "new": PASSWORD});
                    w.with_cookie(&cookie, "same-origin", "PUT /users/forgetful/password", wrong).await
                })
                .await
            };
        }
        "DELETE /users/{name}" {
            204: w.admin("DELETE /users/alice", Null);
            403: w.operator("DELETE /users/root", Null);
            404: w.admin("DELETE /users/nobody", Null);
            409: w.admin("DELETE /users/root", Null);
        }
        "POST /tokens" {
            201: {
                let token = json!({"name": "ci", "role": "operator", "domains": ["acme"], "expires": "90d"});
                w.admin("POST /tokens", token)
            };
            400: w.admin("POST /tokens", json!({"name": "ci2", "role": "operator", "expires": "never"}));
            403: w.operator("POST /tokens", json!({"name": "ci2", "role": "operator"}));
            409: w.admin("POST /tokens", json!({"name": "ci", "role": "operator"}));
            422: w.admin("POST /tokens", json!({"name": "a b", "role": "operator"}));
        }
        "GET /tokens" {
            200: w.admin("GET /tokens", Null);
            403: w.operator("GET /tokens", Null);
        }
        "DELETE /tokens/{name}" {
            204: w.admin("DELETE /tokens/ci", Null);
            403: w.operator("DELETE /tokens/ci", Null);
            404: w.admin("DELETE /tokens/nothing", Null);
        }
    }
}

fn of_sessions() -> Vec<Script> {
    scripts! { w;
        "POST /session" {
            200: w.nobody("POST /session", json!({"name": "root", "password": PASSWORD}));
            400: w.nobody("POST /session", json!({"name": "root"}));
            401: w.nobody("POST /session", json!({"name": "nobody", "password": PASSWORD}));
            413: w.nobody("POST /session", json!({"name": "x".repeat(1 << 20), "password": PASSWORD}));
            429: w.until_slowed_down(async || {
                let wrong = json!({"name": "mallory", "password": "not that one"});
                w.nobody_from("198.51.100.2", "POST /session", wrong).await
            });
        }
        "GET /session" { 200: w.viewer("GET /session", Null); }
        "DELETE /session" {
            204: w.user("root", "same-origin", "DELETE /session", Null);
            403: w.user("root", "cross-site", "DELETE /session", Null);
        }
    }
}

/// With Redis gone. Those that need a token are asked anyway.
pub(super) fn scripts_without_redis() -> Vec<Script> {
    scripts! { w;
        "POST /session" {
            503: w.nobody("POST /session", json!({"name": "root", "password": PASSWORD}));
        }
        "POST /setup" {
            503: w.nobody("POST /setup", json!({"code": "x", "name": "root", "password": PASSWORD}));
        }
    }
}
