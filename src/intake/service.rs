//! From request to answer.

use std::fmt::Display;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::StatusCode;
use hyper::body::Body;
use tokio::sync::Semaphore;

use crate::engine::Admitted;
use crate::engine::SubmitMode;
use crate::intake::Desk;
use crate::intake::Listener;
use crate::intake::Outcome;
use crate::intake::Own;
use crate::intake::Settings;
use crate::intake::answer;
use crate::intake::answer::Answer;
use crate::intake::answer::Rejection;
use crate::intake::batch;
use crate::intake::batch::Item;
use crate::intake::body;
use crate::intake::cloudevents;
use crate::intake::cloudevents::Mode;
use crate::intake::envelope;
use crate::intake::rates::Rates;
use crate::intake::raw;
use crate::intake::results::ItemResult;
use crate::intake::results::Results;
use crate::intake::results::checks_failed;
use crate::intake::results::refused_as_a_whole;
use crate::intake::terms::Terms;
use crate::intake::webhook::BODIES_KIB_MAX;
use crate::intake::webhook::Proofs;
use crate::model::DeliveryId;
use crate::model::Submission;
use crate::model::Time;
use crate::model::problem::Code;
use crate::model::view::Accepted;
use crate::model::view::AcceptedDelivery;
use crate::model::view::Problem;

/// Says that the answer is that of an earlier request.
pub(super) const REPLAYED: &str = "idempotent-replayed";
/// Room for the JSON around one payload of the largest size.
const ENVELOPE_BYTES: usize = 64 << 10;

/// Who sends a request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The stable identity that its events belong to, such as `uid:1000`.
    pub source: Arc<str>,
}

/// Turns requests into submissions and their fate into answers.
#[derive(Debug)]
pub struct Intake<D> {
    pub(super) desk: Arc<D>,
    pub(super) settings: ArcSwap<Settings>,
    rates: Rates,
    pub(super) proofs: Proofs,
    /// Room for the bodies of webhooks, in KiB.
    pub(super) bodies: Arc<Semaphore>,
}

impl<D: Desk> Intake<D> {
    /// An intake in front of the hub.
    pub fn new(desk: Arc<D>, settings: Settings) -> Intake<D> {
        let settings = ArcSwap::from_pointee(settings);
        let bodies = Arc::new(Semaphore::new(BODIES_KIB_MAX));
        Intake { desk, settings, rates: Rates::default(), proofs: Proofs::default(), bodies }
    }

    /// Changes limits and habits for requests from now on.
    pub fn configure(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Answers one request.
    pub async fn answer<B>(&self, peer: &Peer, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let began = self.desk.now();
        let mut seen = Seen::default();
        let answered = self.route(peer, request, &mut seen).await;
        self.conclude((&peer.source, Listener::Ingest), answered, &seen, began)
    }

    /// Gives an answer its id, and counts it.
    pub(super) fn conclude(
        &self,
        (source, listener): (&Arc<str>, Listener),
        answered: Result<Answer, Rejection>,
        seen: &Seen,
        began: Time,
    ) -> Answer {
        let request_id = self.desk.request_id();
        let (mut answer, code) = match answered {
            Ok(answer) => (answer, None),
            Err(Rejection { problem, wait }) => {
                let code = problem.code.clone();
                let problem = problem.of_request(request_id.clone());
                (answer::rejection(&Rejection { problem, wait }), Some(code))
            }
        };
        if let Ok(value) = HeaderValue::try_from(request_id) {
            answer.headers_mut().insert("x-request-id", value);
        }
        let outcome = match code {
            Some(code) => {
                if seen.events > 0 {
                    self.desk.refused(source, &code, seen.events);
                }
                Outcome::Refused(code)
            }
            None if answer.headers().contains_key(REPLAYED) => Outcome::Replayed,
            None => Outcome::Taken,
        };
        self.desk.answered(listener, &outcome, seen.payload_bytes, began);
        answer
    }

    async fn route<B>(
        &self,
        peer: &Peer,
        request: Request<B>,
        seen: &mut Seen,
    ) -> Result<Answer, Rejection>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let settings = self.settings.load_full();
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let query = head.uri.query().unwrap_or_default();
        let Some(rest) = path.strip_prefix("/v1/events") else {
            return Err(no_such_path(path).into());
        };
        if head.method == Method::GET
            && let Some(id) = rest.strip_prefix('/')
        {
            return Ok(self.show(peer, id).await?);
        }
        if head.method != Method::POST {
            let problem = Problem::new(Code::MethodNotAllowed, "events are submitted with POST");
            return Err(problem.into());
        }
        let form = Form::of(rest, &head.headers).ok_or_else(|| no_such_path(path))?;
        seen.events = 1;
        let terms = Terms::of(&settings, &peer.source, &head.headers)?;
        let batch = matches!(form, Form::Batch | Form::Cloud(Mode::Batch));
        let most = terms.payload_max();
        let limit: (usize, &(dyn Display + Sync)) = match form {
            _ if batch => (settings.batch_bytes_max, &"ingest.max_batch_bytes"),
            Form::Raw(_) => (most.bytes, &most),
            _ => (most.bytes.saturating_mul(2) + ENVELOPE_BYTES, &most),
        };
        let partial = partial(query, batch)?;
        if batch && head.headers.contains_key("idempotency-key") {
            let detail = "one Idempotency-Key cannot stand for many events: give each its own, \
                          as idempotency_key (or as source and id of a CloudEvent)";
            return Err(Problem::new(Code::Validation, detail).into());
        }
        let body = body::read(&head.headers, body, limit, settings.body_timeout).await?;
        seen.payload_bytes = body.len();
        match form {
            Form::Raw(name) => {
                self.one(raw::read(name, &head.headers, body, &peer.source), &terms).await
            }
            Form::Envelope => {
                let mut item = envelope::read(&body, &peer.source);
                if let Ok(submission) = &mut item {
                    key_from_header(submission, &head.headers)?;
                }
                self.one(item, &terms).await
            }
            Form::Batch => {
                let items = batch::read(&body, &peer.source, settings.batch_events_max)?;
                seen.events = items.len();
                self.many(&peer.source, items, partial, &terms).await
            }
            Form::Cloud(Mode::Structured) => {
                let item = cloudevents::structured(&head.headers, &body, &peer.source);
                self.one(item, &terms).await
            }
            Form::Cloud(Mode::Binary) => {
                self.one(cloudevents::binary(&head.headers, body, &peer.source), &terms).await
            }
            Form::Cloud(Mode::Batch) => {
                let items_max = settings.batch_events_max;
                let items = cloudevents::batch(&head.headers, &body, &peer.source, items_max)?;
                seen.events = items.len();
                self.many(&peer.source, items, partial, &terms).await
            }
        }
    }

    async fn show(&self, peer: &Peer, id: &str) -> Result<Answer, Problem> {
        let none = || Problem::new(Code::NotFound, "there is no event of this id from this source");
        let id = id.parse().map_err(|_| none())?;
        match self.desk.own_event(id, &peer.source).await {
            Own::Event(event) => Ok(answer::json(StatusCode::OK, &event)),
            Own::None => Err(none()),
            Own::Failed => Err(Problem::new(Code::Internal, "the event could not be read")),
        }
    }

    async fn one(&self, item: Item, terms: &Terms<'_>) -> Result<Answer, Rejection> {
        let submission = terms.check(item).map_err(|problem| *problem)?;
        self.pace(&submission.source, 1, terms)?;
        let event_type = submission.event_type.clone();
        let answers = self.desk.submit(vec![submission], SubmitMode::Whole).await;
        let admitted = answers
            .and_then(|answers| answers.into_iter().next())
            .ok_or_else(ended)?
            .map_err(|refusal| answer::refused(&refusal))?;
        let event = admitted.event;
        let duplicate = admitted.duplicate;
        let accepted = self.accepted(admitted, event_type.as_str());
        let mut answer = answer::located(answer::json(StatusCode::ACCEPTED, &accepted), event);
        if duplicate {
            let replayed = HeaderValue::from_static("true");
            answer.headers_mut().insert(REPLAYED, replayed);
        }
        Ok(answer)
    }

    async fn many(
        &self,
        source: &Arc<str>,
        items: Vec<Item>,
        partial: bool,
        terms: &Terms<'_>,
    ) -> Result<Answer, Rejection> {
        let items: Vec<_> = items.into_iter().map(|item| terms.check(item)).collect();
        if !partial && items.iter().any(Result::is_err) {
            return Err(checks_failed(&items).into());
        }
        let types: Vec<_> =
            items.iter().flatten().map(|item| item.event_type.as_str().to_owned()).collect();
        let mut problems = Vec::with_capacity(items.len());
        let mut submissions = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Ok(submission) => {
                    submissions.push(submission);
                    problems.push(None);
                }
                Err(problem) => problems.push(Some(*problem)),
            }
        }
        if !submissions.is_empty() {
            self.pace(source, submissions.len(), terms)?;
        }
        let mode = if partial { SubmitMode::Partial } else { SubmitMode::Whole };
        let answers = self.desk.submit(submissions, mode).await.ok_or_else(ended)?;
        if !partial && let Some(refused) = refused_as_a_whole(&answers) {
            return Err(refused);
        }
        let mut answers = answers.into_iter().zip(types);
        let results: Vec<_> = problems
            .into_iter()
            .enumerate()
            .map(|(index, problem)| {
                let outcome = match problem {
                    Some(problem) => Err(problem),
                    None => match answers.next() {
                        Some((Ok(admitted), kind)) => Ok(self.accepted(admitted, &kind)),
                        Some((Err(refusal), _)) => Err(answer::refused(&refusal).problem),
                        None => Err(ended()),
                    },
                };
                if let Err(problem) = &outcome {
                    self.desk.refused(source, &problem.code, 1);
                }
                ItemResult::new(index, outcome)
            })
            .collect();
        let results = Results::new(results);
        let whole = !partial && results.rejected == 0;
        let status = if whole { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
        Ok(answer::json(status, &results))
    }

    /// Refuses events of a source that sends them faster than it may.
    pub(super) fn pace(
        &self,
        source: &Arc<str>,
        events: usize,
        terms: &Terms<'_>,
    ) -> Result<(), Rejection> {
        let Some(rate) = terms.rate() else { return Ok(()) };
        self.rates.take(source, events, &rate, self.desk.now()).map_err(|wait| {
            let (limit, millis) = (terms.too_fast(source, &rate), wait.as_micros().div_ceil(1_000));
            let detail = format!("{limit}; try again in {millis} ms");
            Rejection { problem: Problem::new(Code::RateLimited, detail), wait: Some(wait) }
        })
    }

    fn accepted(&self, admitted: Admitted, event_type: &str) -> Accepted {
        let deliveries = admitted
            .targets
            .iter()
            .map(|no| AcceptedDelivery {
                id: DeliveryId::new(admitted.event, *no),
                endpoint: self.desk.endpoint_name(*no),
            })
            .collect();
        Accepted {
            id: admitted.event,
            event_type: event_type.to_owned(),
            accepted_at: admitted.accepted_at,
            deliveries,
            duplicate: admitted.duplicate,
        }
    }
}

/// What is known of a request so far.
#[derive(Default)]
pub(super) struct Seen {
    /// The length of its body.
    pub(super) payload_bytes: usize,
    /// Events that it submits: at least one if it submits any.
    pub(super) events: usize,
}

/// What a path and its content type say that the body is.
enum Form<'a> {
    Raw(&'a str),
    Envelope,
    Batch,
    Cloud(Mode),
}

impl Form<'_> {
    fn of<'a>(rest: &'a str, headers: &HeaderMap) -> Option<Form<'a>> {
        match rest {
            ":batch" => Some(Form::Batch),
            "" => Some(cloudevents::mode(headers).map_or(Form::Envelope, Form::Cloud)),
            _ => rest.strip_prefix('/').map(Form::Raw),
        }
    }
}

/// Whether a query asks for what can be done of a batch.
fn partial(query: &str, batch: bool) -> Result<bool, Problem> {
    match query {
        "" => Ok(false),
        "partial=1" if batch => Ok(true),
        other => Err(Problem::new(Code::Validation, format!("unknown query {other:?}"))),
    }
}

fn no_such_path(path: &str) -> Problem {
    let detail =
        format!("there is no {path:?} here; POST /v1/events/TYPE, /v1/events or /v1/events:batch");
    Problem::new(Code::NotFound, detail)
}

pub(super) fn ended() -> Problem {
    Problem::new(Code::Draining, "the daemon ended before the event was safe; try again")
}

/// The header's key, where the envelope brings none; both must be the same.
fn key_from_header(submission: &mut Submission, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    let key = text.parse().map_err(|error: crate::model::event::KeyError| {
        Problem::new(Code::Validation, error.to_string())
    })?;
    if submission.idempotency_key.as_ref().is_some_and(|own| *own != key) {
        let detail = "the Idempotency-Key header and idempotency_key differ";
        return Err(Problem::new(Code::Validation, detail));
    }
    submission.idempotency_key = Some(key);
    Ok(())
}
