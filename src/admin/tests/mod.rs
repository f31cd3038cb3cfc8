//! The API over a backend in memory: paths, parameters, statuses, problems, pages.

mod fake;
mod wire;

use std::sync::Arc;

use axum::body::Body;
use http::HeaderMap;
use http::Request;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::Value;
use serde_json::json;
use tower::ServiceExt;

use crate::admin::Actor;
use crate::admin::Metrics;
use crate::admin::router;
use crate::model::ReplayState;
use fake::Fake;
use fake::replay;

struct Api {
    fake: Arc<Fake>,
    router: axum::Router,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The word of the problem that it is.
    fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["instance"], "req_1", "every problem names its request");
        problem["code"].as_str().unwrap().to_owned()
    }
}

fn api() -> Api {
    api_of(Fake::new())
}

fn api_of(fake: Fake) -> Api {
    let fake = Arc::new(fake);
    let ids = Arc::new(|| "req_1".to_owned());
    let router = router(Arc::clone(&fake), Arc::new(Metrics::new(&[])), ids);
    Api { fake, router }
}

impl Api {
    async fn send(&self, method: &str, target: &str, body: &str) -> Reply {
        let mut request = Request::new(Body::from(body.to_owned()));
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = target.parse().unwrap();
        request.extensions_mut().insert(Actor("uid:0".into()));
        self.serve(request).await
    }

    async fn serve(&self, request: Request<Body>) -> Reply {
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        assert_eq!(head.headers["x-request-id"], "req_1", "every answer names its request");
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: head.status, headers: head.headers, body }
    }

    async fn get(&self, target: &str) -> Reply {
        self.send("GET", target, "").await
    }

    fn last_call(&self) -> String {
        self.fake.calls.lock().unwrap().last().unwrap().clone()
    }
}

#[tokio::test]
async fn status_and_probes_answer() {
    let api = api();
    let status = api.get("/v1/status").await.json();
    assert_eq!(status["state"], "running");
    assert_eq!(status["endpoints"][0]["fresh"], 3);
    assert_eq!(api.get("/healthz").await.status, 200);
    assert_eq!(api.get("/readyz").await.status, 200);
    let draining = api_of(Fake { draining: true, ..Fake::new() });
    let reply = draining.get("/readyz").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (503, "draining".into()));
    assert_eq!(reply.headers["retry-after"], "5");
    assert_eq!(draining.get("/healthz").await.status, 200, "alive, though not ready");
}

#[tokio::test]
async fn what_waits_is_shown_by_age_and_summed_up_for_metrics() {
    let api = api();
    let queue = api.get("/v1/queue").await.json();
    assert_eq!(queue["ages_s"].as_array().unwrap().len(), 8);
    let row = &queue["endpoints"][0];
    assert_eq!((&row["endpoint"], &row["total"]), (&"crm".into(), &7.into()));
    assert_eq!(row["ages"], serde_json::json!([1, 0, 1, 0, 0, 0, 0, 0, 1]));
    let text = String::from_utf8(api.get("/metrics").await.body.to_vec()).unwrap();
    for (end, count) in [("5", 1), ("20", 1), ("60", 2), ("86400", 2), ("+Inf", 7)] {
        let labels = format!("{{endpoint=\"_other\",le=\"{end}\"}}");
        let line = format!("postrider_queue_age_deliveries{labels} {count}\n");
        assert!(text.contains(&line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn sources_are_listed_and_shown() {
    let api = api();
    let list = api.get("/v1/sources").await.json();
    assert_eq!((&list["data"][0]["name"], &list["next_cursor"]), (&"shop".into(), &Value::Null));
    let one = api.get("/v1/sources/shop").await.json();
    assert_eq!((&one["id"], &one["defined_in"]), (&"uid:1000".into(), &"config.toml:7".into()));
    let none = api.get("/v1/sources/none").await;
    assert_eq!((none.status.as_u16(), none.code()), (404, "not-found".into()));
    assert_eq!(api.get("/v1/sources?state=x").await.status, 422, "nothing is ignored");
    assert_eq!(api.send("DELETE", "/v1/sources/shop", "").await.status, 405);
}

#[tokio::test]
async fn pages_follow_one_another() {
    let api = api();
    let first = api.get("/v1/deliveries?limit=2&state=dead&endpoint=crm").await;
    let page = first.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    let cursor = page["next_cursor"].as_str().unwrap();
    let target = format!("/v1/deliveries?endpoint=crm&limit=2&state=dead&cursor={cursor}");
    let link = first.headers["link"].to_str().unwrap();
    assert!(link.ends_with("; rel=\"next\"") && link.contains(cursor), "{link}");
    let second = api.get(&target).await;
    assert_eq!(second.json()["data"].as_array().unwrap().len(), 1);
    assert_eq!(second.json()["next_cursor"], Value::Null);
    assert!(!second.headers.contains_key("link"));
}

#[tokio::test]
async fn a_cursor_is_for_its_own_filters() {
    let api = api();
    let page = api.get("/v1/deliveries?limit=1&state=dead").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    for target in [
        format!("/v1/deliveries?state=delivered&cursor={cursor}"),
        format!("/v1/deliveries?cursor={cursor}"),
        "/v1/deliveries?cursor=AAAA".to_owned(),
    ] {
        let reply = api.get(&target).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (400, "bad-cursor".into()), "{target}");
    }
    let other_limit = api.get(&format!("/v1/deliveries?limit=9&state=dead&cursor={cursor}")).await;
    assert_eq!(other_limit.status, 200);
}

#[tokio::test]
async fn filters_reach_the_backend() {
    let api = api();
    let target = "/v1/events?type=order.*&tag=a%3Db&tag=c=d&tenant=acme&has_state=dead\
                  &since=2026-11-21T00:00:00Z";
    assert_eq!(api.get(target).await.status, 200);
    let call = api.last_call();
    for part in [r#"("a", "b"), ("c", "d")"#, "order.*", "acme", "Dead", "until: None"] {
        assert!(call.contains(part), "{part} in {call}");
    }
}

#[tokio::test]
async fn every_wrong_parameter_is_named() {
    let api = api();
    let reply = api.get("/v1/deliveries?state=ded&since=yesterday&limit=0&colour=red").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (422, "validation".into()));
    let mut pointers: Vec<_> = reply.json()["errors"].as_array().unwrap().clone();
    let pointers: Vec<_> = pointers.iter_mut().map(|fault| fault["pointer"].take()).collect();
    assert_eq!(json!(pointers), json!(["?limit", "?state", "?since", "?colour"]));
    for target in ["/v1/status?verbose=1", "/v1/deliveries?state=unknown", "/v1/events?tag=a"] {
        assert_eq!(api.get(target).await.status, 422, "{target}");
    }
    let repeated = api.get("/v1/deliveries?state=dead&state=dead").await.json();
    assert_eq!(repeated["errors"][0]["code"], "repeated");
}

#[tokio::test]
async fn ids_may_be_abbreviated_where_that_is_clear() {
    let api = api();
    let id = fake::event_id(20_000).to_string();
    assert_eq!(api.get(&format!("/v1/events/{id}")).await.json()["id"], id);
    assert_eq!(api.get(&format!("/v1/events/{}", &id[..13])).await.json()["id"], id);
    assert_eq!(api.get(&format!("/v1/events/{}", &id[4..13])).await.json()["id"], id);
    let code = |target: String| {
        let api = &api;
        async move { api.get(&target).await.code() }
    };
    assert_eq!(code(format!("/v1/events/{}", &id[..11])).await, "not-found", "too short");
    assert_eq!(code("/v1/events/evt_zzzzzzzzz".into()).await, "not-found");
    assert_eq!(code("/v1/events/evt_uuuuuuuuu".into()).await, "not-found");
    let delivery = fake::delivery(20_000, crate::model::DeliveryState::Dead).id.to_string();
    let shown = api.get(&format!("/v1/deliveries/{}", &delivery[..13])).await.json();
    assert_eq!(shown["id"], delivery);
    assert_eq!(code("/v1/deliveries/dlv_00000000".into()).await, "not-found");
}

#[tokio::test]
async fn several_matches_are_refused() {
    let mut fake = Fake::new();
    fake.deliveries.push(fake::delivery(20_001, crate::model::DeliveryState::Dead));
    let api = api_of(fake);
    let id = fake::event_id(20_000).to_string();
    let reply = api.get(&format!("/v1/events/{}", &id[..12])).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (409, "ambiguous".into()));
}

#[tokio::test]
async fn payloads_come_back_byte_for_byte() {
    let api = api();
    let reply = api.get(&format!("/v1/events/{}/payload", fake::event_id(0))).await;
    assert_eq!(reply.body, b"\x00\xFF\x0A!");
    assert_eq!(reply.headers["content-type"], "application/octet-stream");
    assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    let gone = api.get(&format!("/v1/events/{}/payload", fake::event_id(20_000))).await;
    assert_eq!((gone.status.as_u16(), gone.code()), (410, "payload-expired".into()));
}

#[tokio::test]
async fn a_delivery_is_shown_with_its_attempts_as_text() {
    let api = api();
    let id = fake::delivery(0, crate::model::DeliveryState::Dead).id;
    let shown = api.get(&format!("/v1/deliveries/{id}")).await.json();
    assert_eq!(shown["steps"][0]["kind"]["attempt"]["response"]["body"], "<h1>");
    assert_eq!(shown["steps"][0]["next"], json!({"dead": {"reason": "exhausted"}}));
}

#[tokio::test]
async fn deliveries_are_retried_and_cancelled_by_someone() {
    let api = api();
    let id = fake::delivery(0, crate::model::DeliveryState::Dead).id;
    let reply = api.send("POST", &format!("/v1/deliveries/{id}/retry"), "").await;
    assert_eq!((reply.status.as_u16(), &reply.json()["state"]), (202, &json!("queued")));
    assert_eq!(api.last_call(), "retry uid:0");
    let reply = api.send("POST", &format!("/v1/deliveries/{id}/cancel"), "{}").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (409, "wrong-state".into()));
    assert_eq!(reply.json()["detail"], "the delivery is dead");
    let with_field = api.send("POST", &format!("/v1/deliveries/{id}/retry"), "{\"at\":1}").await;
    assert_eq!(with_field.code(), "validation");

    let mut anonymous = Request::new(Body::empty());
    *anonymous.method_mut() = http::Method::POST;
    *anonymous.uri_mut() = format!("/v1/deliveries/{id}/retry").parse().unwrap();
    assert_eq!(api.serve(anonymous).await.code(), "unauthenticated");
}

#[tokio::test]
async fn endpoints_are_managed() {
    let api = api();
    assert_eq!(api.get("/v1/endpoints").await.json()["data"][0]["name"], "crm");
    assert_eq!(api.get("/v1/endpoints/nope").await.code(), "not-found");
    let made = api.send("POST", "/v1/endpoints", r#"{"name":"billing"}"#).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.headers["location"], "/v1/endpoints/billing");
    assert_eq!(made.headers["cache-control"], "no-store");
    assert_eq!(made.json()["secret"], "whsec_x");
    let taken = api.send("POST", "/v1/endpoints", r#"{"name":"crm"}"#).await;
    assert_eq!((taken.status.as_u16(), taken.code()), (409, "name-taken".into()));
    let nameless = api.send("POST", "/v1/endpoints", "{}").await;
    assert_eq!(nameless.json()["errors"][0]["pointer"], "/name");
    let removed = api.send("DELETE", "/v1/endpoints/crm?deliveries=cancel", "").await;
    assert_eq!((removed.status.as_u16(), removed.body.len()), (204, 0));
    assert_eq!(api.last_call(), "remove crm Cancel uid:0");
    assert_eq!(api.send("DELETE", "/v1/endpoints/crm", "").await.status, 204);
    assert_eq!(api.last_call(), "remove crm Keep uid:0");
    let odd = api.send("DELETE", "/v1/endpoints/crm?deliveries=drop", "").await;
    assert_eq!(odd.code(), "validation");
}

#[tokio::test]
async fn endpoints_are_paused_resumed_and_tried() {
    let api = api();
    let paused = api.send("POST", "/v1/endpoints/crm/pause", r#"{"reason":"move"}"#).await;
    assert_eq!(paused.status, 200);
    assert_eq!(api.last_call(), "pause crm \"move\" uid:0");
    let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(201));
    assert_eq!(api.send("POST", "/v1/endpoints/crm/pause", &long).await.code(), "validation");
    assert_eq!(api.send("POST", "/v1/endpoints/crm/resume", "").await.status, 200);
    let managed = api.send("POST", "/v1/endpoints/crm/enable", "").await;
    assert_eq!((managed.status.as_u16(), managed.code()), (409, "managed-by-config".into()));

    let tried = api.send("POST", "/v1/endpoints/crm/test", "").await;
    assert_eq!((tried.status.as_u16(), &tried.json()["outcome"]), (200, &json!("connect_refused")));
    assert_eq!(api.last_call(), "test postrider.ping b\"{}\"");
    let body = r#"{"type":"blocked","data":{"a":[1, 2]}}"#;
    let blocked = api.send("POST", "/v1/endpoints/crm/test", body).await;
    assert_eq!((blocked.status.as_u16(), blocked.code()), (422, "blocked-address".into()));
    assert_eq!(api.last_call(), r#"test blocked b"{\"a\":[1, 2]}""#);
}

#[tokio::test]
async fn replays_are_of_what_has_ended() {
    let api = api();
    let dry = r#"{"filter":{"endpoint":"crm","type":"order.*"},"dry_run":true}"#;
    let reply = api.send("POST", "/v1/replays", dry).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["matched"]), (200, &json!(41)));
    assert!(api.last_call().contains("filter: FilterView { state: Some(Dead)"));
    let wet = r#"{"filter":{"state":"cancelled"},"rate":"600/m"}"#;
    let reply = api.send("POST", "/v1/replays", wet).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["submitted"]), (202, &json!(3)));
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(reply.headers["location"], format!("/v1/replays/{id}"));
    assert_eq!(reply.json()["filter"], json!({"state": "cancelled"}));
    assert!(api.last_call().contains("rate: Rate { count: 600, per: 60s, burst: 1 }"));
    for (body, pointer) in [
        (r#"{"filter":{"state":"waiting"}}"#, "/filter/state"),
        (r#"{"filter":{},"rate":"1001/s"}"#, "/rate"),
        (r#"{"action":"release","filter":{"state":"waiting"}}"#, "/filter/state"),
        (r#"{"action":"release","filter":{"type":"order.*"},"standing":true}"#, "/standing"),
        (r#"{"action":"hold","filter":{"endpoint":"crm"},"standing":true}"#, "/standing"),
        (
            r#"{"action":"hold","filter":{"type":"a","state":"queued"},"standing":true}"#,
            "/standing",
        ),
    ] {
        let reply = api.send("POST", "/v1/replays", body).await;
        assert_eq!(reply.json()["errors"][0]["pointer"], pointer);
    }
    let hold = r#"{"action":"hold","filter":{"type":"order.*"},"standing":true,"dry_run":true}"#;
    assert_eq!(api.send("POST", "/v1/replays", hold).await.json()["standing"], json!(true));
    assert_eq!(api.get("/v1/holds").await.json()["data"][0]["type"], "order.*");
    let unknown = r#"{"filter":{"colour":"red"}}"#;
    assert_eq!(api.send("POST", "/v1/replays", unknown).await.code(), "validation");
}

#[tokio::test]
async fn a_replay_is_shown_and_ended_by_its_id() {
    let api = api();
    let id = replay(ReplayState::Running).id.to_string();
    assert_eq!(api.get("/v1/replays").await.json()["data"][0]["id"], id);
    let shown = api.get(&format!("/v1/replays/{}", &id[..14])).await.json();
    assert_eq!((&shown["id"], &shown["state"]), (&json!(id), &json!("done")));
    assert_eq!(api.get("/v1/replays/rpl_00000000").await.code(), "not-found");
    let reply = api.send("POST", &format!("/v1/replays/{id}/cancel"), "").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (409, "wrong-state".into()));
    assert_eq!(api.last_call(), format!("cancel {id} uid:0"));
}

#[tokio::test]
async fn a_refused_reload_lists_its_faults() {
    let api = api();
    let reply = api.send("POST", "/v1/admin/reload", "").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (422, "validation".into()));
    assert_eq!(reply.json()["errors"][0]["pointer"], "config.toml:3:1");
    let drained = api.send("POST", "/v1/admin/drain", "").await;
    assert_eq!(drained.json()["state"], "draining");
    assert_eq!(api.send("POST", "/v1/admin/resume", "").await.json()["state"], "running");
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_too() {
    let api = api();
    assert_eq!(api.get("/v2/events").await.code(), "not-found");
    let reply = api.send("PUT", "/v1/status", "").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (405, "method-not-allowed".into()));
    assert_eq!(reply.headers["allow"], "GET,HEAD");
}

#[tokio::test]
async fn bodies_are_json_within_a_limit() {
    let api = api();
    let broken = api.send("POST", "/v1/replays", "{\"filter\":").await;
    assert_eq!((broken.status.as_u16(), broken.code()), (400, "malformed-json".into()));
    let large = format!("{{\"filter\":{{}}}}{}", " ".repeat(70_000));
    let reply = api.send("POST", "/v1/replays", &large).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (413, "payload-too-large".into()));
    assert_eq!(api.get("/v1/endpoints/%ff").await.code(), "malformed-request");
    let query = format!("/v1/events?type={}", "a".repeat(5_000));
    assert_eq!(api.get(&query).await.code(), "malformed-request");
}

#[tokio::test]
async fn metrics_show_the_status() {
    let api = api();
    let reply = api.get("/metrics").await;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(reply.headers["content-type"], content_type);
    let text = String::from_utf8(reply.body).unwrap();
    for line in [
        "postrider_queue_deliveries{state=\"queued\"} 3\n",
        "postrider_queue_deliveries{state=\"dead\"} 2\n",
        "postrider_queue_oldest_due_age_seconds 1.5\n",
        "postrider_attempts_in_flight 2\n",
        "# EOF\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
