//! What is shown, in order; each act checks what it says.

use anyhow::Context as _;
use anyhow::ensure;
use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::header;

use crate::cli::client::Call;
use crate::cli::client::Client;
use crate::cli::demo::burst;
use crate::cli::demo::burst::Burst;
use crate::cli::demo::endpoints::Endpoint;
use crate::cli::demo::endpoints::Endpoints;
use crate::cli::demo::home::Home;
use crate::cli::demo::process;
use crate::cli::demo::process::Daemon;
use crate::cli::key_options::Signature;
use crate::cli::output::Context;
use crate::cli::output::Tone;
use crate::cli::steps;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::view::Accepted;
use crate::model::view::DeliveryView;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

const JSON: &[u8] = br#"{"id": 42, "total": "99.00", "currency": "EUR"}"#;
const XML: &[u8] = b"<?xml version=\"1.0\"?>\n<order id=\"42\"><total>99.00</total></order>\n";

const TRY_NEXT: &str = "\
What to try next:
  postrider listen --help       a receiver that prints what comes, or fails as it is told
  postrider run --config FILE   the daemon; config.toml.example has every key
  postrider send order.created --data '{\"id\": 42}' --wait
  README.md                     ten minutes from here to a service

";

/// What the acts work with.
pub(super) struct Show<'a> {
    pub(super) context: &'a Context,
    pub(super) home: &'a Home,
    pub(super) ingest: &'a Client,
    pub(super) admin: &'a Client,
    pub(super) endpoints: &'a Endpoints,
}

impl Show<'_> {
    /// All acts.
    ///
    /// # Errors
    /// If a claim does not hold.
    pub(super) async fn play(&self) -> anyhow::Result<()> {
        self.say(&format!(
            "postrider demo: a daemon on a new store in {},\nand receivers on this machine that \
             stand for four endpoints. Nothing leaves the machine.\n",
            self.home.path().display()
        ))?;
        let daemon = Daemon::start(self.home, self.admin).await?;
        let durability = process::status(self.admin).await?.durability;
        self.say(&format!(
            "The daemon runs (process {}); a 202 from it stands for: {durability}.\n",
            daemon.pid
        ))?;
        self.bodies().await?;
        self.retries().await?;
        let daemon = self.crash(daemon).await?;
        self.heading("4. It stops when it is told to")?;
        let status = daemon.stop().await?;
        ensure!(status.success(), "the daemon did not stop in order: {status}");
        self.say("   SIGTERM: attempts under way were let finish, exit code 0.\n")
    }

    /// Three kinds of payload, signed and byte for byte.
    async fn bodies(&self) -> anyhow::Result<()> {
        self.heading("1. Three events, three kinds of payload")?;
        self.say(
            "   Submitted over the unix socket; each was on disk before it was answered 202.\n   \
             The receiver checks each signature (Standard Webhooks) with the endpoint's secret.\n",
        )?;
        // every byte there is, so that nothing can take it for text
        let binary: Bytes = (0..=u8::MAX).collect();
        let bodies = [
            ("application/json", Bytes::from_static(JSON)),
            ("application/xml", Bytes::from_static(XML)),
            ("application/octet-stream", binary),
        ];
        let endpoint = &self.endpoints.orders;
        for (number, (content_type, body)) in bodies.into_iter().enumerate() {
            let accepted = self.submit("order.created", content_type, body.clone(), None).await?;
            self.arrows(endpoint, number * 2, number * 2 + 2).await?;
            let arrivals = endpoint.arrivals();
            let arrival = arrivals.get(number).context("nothing arrived")?;
            ensure!(arrival.id == accepted.id.to_string(), "another event arrived");
            ensure!(arrival.signature == Signature::Good, "{}", arrival.signature);
            ensure!(arrival.body == body, "the payload is not what was submitted");
            ensure!(arrival.content_type == content_type, "the content type is another");
        }
        self.good("3 of 3 arrived, signatures verified, payloads the same byte for byte")
    }

    /// An endpoint that fails and recovers.
    async fn retries(&self) -> anyhow::Result<()> {
        self.heading("2. An endpoint that fails, and recovers")?;
        self.say(
            "   It answers 503 three times. The delays are short for this demo; by default\n   \
             they grow from 5 seconds to a day, over more than three days.\n",
        )?;
        let body = Bytes::from_static(br#"{"invoice": 7}"#);
        let accepted = self.submit("invoice.issued", "application/json", body, None).await?;
        let endpoint = &self.endpoints.billing;
        self.arrows(endpoint, 0, 8).await?;
        process::settled(self.admin).await?;
        let id = accepted.deliveries.first().context("the event went to no endpoint")?.id;
        let delivery = self.delivery(id).await?;
        self.say("   What `postrider delivery show` says of it:\n")?;
        self.indented(&steps::page(self.context, &delivery))?;
        ensure!(delivery.state == DeliveryState::Delivered, "it is {}", delivery.state);
        let arrivals = endpoint.arrivals();
        ensure!(arrivals.len() == 4, "{} attempts instead of 4", arrivals.len());
        let same = accepted.id.to_string();
        ensure!(
            arrivals.iter().all(|a| a.id == same && a.signature == Signature::Good),
            "an attempt had another id, or a bad signature"
        );
        self.good("delivered by the 4th attempt, with the same webhook-id each time")
    }

    /// The daemon is killed while it is busy.
    async fn crash(&self, daemon: Daemon) -> anyhow::Result<Daemon> {
        self.heading("3. kill -9 in the middle of a burst")?;
        self.say(&format!(
            "   {} programs submit {} events as fast as they can, each for two slow endpoints.\n",
            burst::SUBMITTERS,
            burst::EVENTS,
        ))?;
        let burst = Burst::default();
        burst.until_killed(self, daemon).await?;
        let (safe, unanswered) = burst.halfway();
        let arrived = burst.tally(&self.endpoints.slow)?;
        self.say(&format!(
            "   Killed. {safe} events had been acknowledged, {unanswered} had no answer yet.\n   \
             {} of the {} acknowledged deliveries had arrived.\n",
            arrived.delivered, arrived.acknowledged,
        ))?;
        let daemon = Daemon::start(self.home, self.admin).await?;
        self.say(&format!("   Started again on the same store (process {}).\n", daemon.pid))?;
        let known = burst.finish(self).await?;
        self.say(&format!(
            "   What had no answer was sent again with the same Idempotency-Key; {known} of it was \
             known\n   already. The rest of the burst followed.\n",
        ))?;
        process::settled(self.admin).await?;
        let tally = burst.tally(&self.endpoints.slow)?;
        let lost = tally.acknowledged - tally.delivered;
        self.say(&format!(
            "   Deliveries: acknowledged {}, delivered {}, lost {lost}, duplicates {}.\n   \
             A duplicate was under way when the daemon died: it comes again under the same\n   \
             webhook-id, by which a receiver knows it.\n",
            tally.acknowledged, tally.delivered, tally.duplicates,
        ))?;
        ensure!(lost == 0, "{lost} acknowledged deliveries were lost");
        self.good("nothing that was acknowledged was lost")?;
        Ok(daemon)
    }

    /// Submits one event.
    ///
    /// # Errors
    /// If there is no answer, or a refusal.
    pub(super) async fn submit(
        &self,
        event_type: &str,
        content_type: &'static str,
        body: Bytes,
        key: Option<&str>,
    ) -> anyhow::Result<Accepted> {
        let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
        if let Some(key) = key {
            headers.push((IDEMPOTENCY_KEY, HeaderValue::from_str(key)?));
        }
        let target = format!("/v1/events/{event_type}");
        self.ingest.call(Call { method: Method::POST, target, headers, body }).await?.json()
    }

    async fn delivery(&self, id: DeliveryId) -> anyhow::Result<DeliveryView> {
        let call = Call::new(Method::GET, format!("/v1/deliveries/{id}"));
        self.admin.call(call).await?.json()
    }

    /// Shows the lines of an endpoint's ledger as they come.
    async fn arrows(&self, endpoint: &Endpoint, from: usize, to: usize) -> anyhow::Result<()> {
        for index in from..to {
            self.indented(&endpoint.line(index).await)?;
        }
        Ok(())
    }

    fn heading(&self, text: &str) -> anyhow::Result<()> {
        self.say(&format!("\n{}\n", self.context.paint(Tone::Strong, text)))
    }

    fn good(&self, text: &str) -> anyhow::Result<()> {
        self.say(&format!("   {} {text}\n", self.context.paint(Tone::Good, "ok:")))
    }

    fn indented(&self, text: &str) -> anyhow::Result<()> {
        let line =
            |line: &str| if line.is_empty() { "\n".into() } else { format!("     {line}\n") };
        self.say(&text.lines().map(line).collect::<String>())
    }

    fn say(&self, text: &str) -> anyhow::Result<()> {
        self.context.raw(text.as_bytes())
    }
}

/// What was shown, and what to do next.
pub(super) fn epilogue(home: &Home, took_secs: f64, kept: bool) -> String {
    let mut text = format!(
        "\nAll checks passed in {took_secs:.1} s: signed deliveries of any payload, retries until \
         an endpoint\nrecovers, and no acknowledged event lost to kill -9.\n\n{TRY_NEXT}"
    );
    text += &if kept {
        format!(
            "The directory is left: {path}\n  postrider run --config {config}\n  \
             postrider --socket {socket} status\n",
            path = home.path().display(),
            config = home.config().display(),
            socket = home.admin_socket().display(),
        )
    } else {
        "The directory is gone; --keep leaves it.\n".to_owned()
    };
    text
}
