//! What must hold of operational events: told once in a while, and never to whom they are about.

use std::collections::BTreeMap;
use std::time::Duration;

use postrider::model::EventId;
use postrider::model::Record;
use postrider::model::Source;
use postrider::model::Time;
use serde_json::Value;

use crate::bugs::Bug;
use crate::world::World;

/// Where it is expected, an endpoint or a source without an event for so long is silent.
pub const SILENT_AFTER: Duration = Duration::from_secs(60);

/// A source that submits now and then.
pub const RARE: &str = "uid:1001";

/// The sources that have names: one that always submits, one that does now and then, and one that
/// never does and need not.
pub fn sources(bug: Bug) -> Vec<Source> {
    let silent_after = Some(bug.in_silence(SILENT_AFTER));
    let source = |identity: &str, name: &str, silent_after| Source {
        identity: identity.into(),
        name: name.into(),
        silent_after,
    };
    vec![
        source("uid:1000", "shop", silent_after),
        source(RARE, "cron", silent_after),
        source("uid:1002", "never", None),
    ]
}

/// When each thing was last told by this process: its type, and the endpoint or source that it is
/// about.
pub type Told = BTreeMap<(String, String), Time>;

impl World {
    pub fn check_reports(&mut self, records: &[Record]) {
        for record in records {
            let Record::Admit(admit) = record else { continue };
            let event = &admit.event;
            assert_eq!(event.id.is_operational(), event.event_type.is_operational());
            if !event.id.is_operational() {
                self.heard.insert(event.source.to_string(), self.now);
                for no in &event.targets {
                    let name = self.endpoints[no.0 as usize - 1].name.to_string();
                    self.heard.insert(name, self.now);
                }
            } else {
                let body: Value = serde_json::from_slice(&event.body).unwrap();
                self.check_report(event.event_type.as_str(), &body["data"]);
                let about = body["data"]["endpoint"].as_str();
                let own = self.endpoints.iter().find(|e| Some(&*e.name) == about);
                let fed = own.is_some_and(|own| event.targets.contains(&own.no));
                assert!(!fed, "seed {}: an endpoint is told of itself", self.seed);
            }
        }
    }

    fn check_report(&mut self, kind: &str, data: &Value) {
        let seed = self.seed;
        if let Some(event) = data["event"].as_str() {
            let event: EventId = event.parse().unwrap();
            assert!(!event.is_operational(), "seed {seed}: operational events feed themselves");
        }
        let about = data["endpoint"].as_str().or_else(|| data["source"].as_str());
        let about = about.unwrap_or_default().to_owned();
        if let Some(last) = self.reported.insert((kind.to_owned(), about), self.now) {
            let passed = self.now.since(last);
            assert!(
                passed >= self.limits.report_window,
                "seed {seed}: {kind} again after {passed:?}"
            );
        }
        self.marks.hit(match kind {
            "postrider.endpoint.opened" => "told: endpoint opened",
            "postrider.endpoint.recovered" => "told: endpoint recovered",
            "postrider.endpoint.disabled" => "told: endpoint disabled",
            "postrider.delivery.dead" => "told: delivery dead",
            "postrider.queue.late" => "told: queue late",
            "postrider.endpoint.slow" => {
                let [slow, delivered] =
                    ["slow", "delivered"].map(|key| data[key].as_u64().unwrap());
                assert!(delivered >= 20 && slow * 20 > delivered, "seed {seed}: {data}");
                "told: endpoint slow"
            }
            "postrider.endpoint.failing" => {
                let [failures, attempts] =
                    ["failures", "attempts"].map(|key| data[key].as_u64().unwrap());
                assert!(attempts >= 20 && failures * 2 >= attempts, "seed {seed}: {data}");
                "told: endpoint failing"
            }
            "postrider.endpoint.silent" => {
                let last = self.heard.get(data["endpoint"].as_str().unwrap());
                let silent = last.is_none_or(|at| self.now.since(*at) > SILENT_AFTER);
                assert!(silent, "seed {seed}: {data}, and an event came at {last:?}");
                "told: endpoint silent"
            }
            "postrider.source.silent" => {
                assert_ne!(data["source"], "never", "seed {seed}: nobody minds");
                let last = self.heard.get(data["source_id"].as_str().unwrap());
                let silent = last.is_none_or(|at| self.now.since(*at) > SILENT_AFTER);
                assert!(silent, "seed {seed}: {data}, and an event came at {last:?}");
                "told: source silent"
            }
            other => panic!("seed {seed}: {other}"),
        });
        if data["left_out"].as_u64().unwrap() > 0 {
            self.marks.hit("told after others were left out");
        }
    }
}
