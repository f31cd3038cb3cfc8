//! Providers' webhooks: checked, made safe, and answered.
//!
//! A request comes in at the path of a source. It is read within its limits and proves itself by
//! the source's scheme, over the bytes as they came; only then is anything of it believed. Like any
//! other submission it is answered after the commit, and before anything is sent on.
//!
//! | answer | why |
//! |---|---|
//! | 200, empty | it is safe, now or since an earlier request: `postrider-event-id` names it |
//! | 401 | it does not prove itself; why is for the log, not for the sender |
//! | 400, 404, 405, 408, 413, 415, 508 | it is not of the form of a webhook, too long or too slow |
//! | 403, 422 | its type is not allowed |
//! | 429, 503 | later: `Retry-After` says when |
//!
//! A request is known by the provider's own id of the event where that is signed, else by its body,
//! as long as idempotency keys are kept; and by what was signed, as long as its time fits
//! (`webhook/proofs.rs`). What is known gets the first answer and has no second effect.

mod event;
mod handshake;
mod proofs;

pub(super) use proofs::Proofs;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::StatusCode;
use http::header;
use http_body_util::Full;
use hyper::body::Body;
use tokio::sync::OwnedSemaphorePermit;

use crate::engine::Admitted;
use crate::engine::Refusal;
use crate::engine::SubmitMode;
use crate::intake::Desk;
use crate::intake::Intake;
use crate::intake::Listener;
use crate::intake::answer;
use crate::intake::answer::Answer;
use crate::intake::answer::Rejection;
use crate::intake::body;
use crate::intake::service::REPLAYED;
use crate::intake::service::Seen;
use crate::intake::service::ended;
use crate::intake::terms::Terms;
use crate::model::EventId;
use crate::model::problem::Code;
use crate::model::view::Problem;
use crate::policy::scheme;
use crate::policy::scheme::Key;
use crate::policy::scheme::Place;
use crate::policy::scheme::Scheme;

/// Says which event a request has become.
const EVENT_ID: &str = "postrider-event-id";
/// Who sends requests to paths that lead nowhere, as far as they are counted.
const NOBODY: &str = "webhook:";
/// Bodies that are being read at once, of all sources together, in KiB: nobody has proved anything
/// before that.
pub(super) const BODIES_KIB_MAX: usize = 64 * 1_024;

/// A source whose webhooks come in.
#[derive(Debug)]
pub struct Provider {
    /// Its name.
    pub name: Arc<str>,
    /// What its events keep of it.
    pub identity: Arc<str>,
    /// How requests prove themselves.
    pub scheme: Arc<Scheme>,
    /// With what.
    pub keys: Vec<Key>,
    /// How far the time of a request may be from now; `None`: that is not looked at.
    pub tolerance: Option<Duration>,
    /// The URL that the provider calls, where that differs from what a request says.
    pub external_url: Option<String>,
    /// The type of all its events.
    pub fixed_type: Option<String>,
    /// Where else the type of an event stands.
    pub event_type: Vec<Place>,
    /// What stands before the types of its events.
    pub type_prefix: String,
    /// What the provider brings when it asks first, where that is not signed.
    pub verify_token: Option<Key>,
}

impl<D: Desk> Intake<D> {
    /// Answers one request of a provider.
    pub async fn receive<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let began = self.desk.now();
        let mut seen = Seen::default();
        let settings = self.settings.load_full();
        let provider = settings.providers.get(request.uri().path());
        let source = provider.map_or_else(|| NOBODY.into(), |one| Arc::clone(&one.identity));
        let answered = match provider {
            Some(provider) => {
                let terms = Terms::of(&settings, &source, request.headers());
                match terms {
                    Ok(terms) => self.take(provider, &terms, request, &mut seen).await,
                    Err(problem) => Err(problem.into()),
                }
            }
            None => Err(Problem::new(Code::NotFound, "nothing is received here").into()),
        };
        self.conclude((&source, Listener::Http), answered, &seen, began)
    }

    async fn take<B>(
        &self,
        provider: &Provider,
        terms: &Terms<'_>,
        request: Request<B>,
        seen: &mut Seen,
    ) -> Result<Answer, Rejection>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let (head, body) = request.into_parts();
        if head.method == Method::GET
            && let Some(answer) = handshake::subscription(provider, &head.uri)
        {
            return answer.map_err(Rejection::from);
        }
        if head.method != Method::POST {
            let problem = Problem::new(Code::MethodNotAllowed, "webhooks are sent with POST");
            return Err(problem.into());
        }
        seen.events = 1;
        let most = terms.payload_max();
        let timeout = terms.settings.body_timeout;
        let _room = self.room(body.size_hint().exact(), most.bytes)?;
        let body = body::read(&head.headers, body, (most.bytes, &most), timeout).await?;
        seen.payload_bytes = body.len();
        let url = provider.url(&head.uri, &head.headers);
        let said = scheme::Request::new(head.method.as_str(), &url, &head.headers, &body);
        let tolerance_s = provider.tolerance.map(|tolerance| tolerance.as_secs());
        let (now, scheme) = (self.desk.wall(), &provider.scheme);
        let proof = match scheme.verify(&provider.keys, &said, now, tolerance_s) {
            Ok(proof) => proof,
            Err(fault) => {
                self.desk.unverified(&provider.name, &provider.identity, &fault);
                let detail = "the request does not prove where it comes from";
                return Err(Problem::new(Code::Unauthenticated, detail).into());
            }
        };
        if let Some(answer) = handshake::of(provider, &said, &proof) {
            return Ok(answer);
        }
        let mut key = event::key(provider, &said);
        if let Some(own) = &key
            && let Some(tolerance) = provider.tolerance.filter(|_| scheme.has_time())
        {
            let proof = (Arc::clone(&provider.identity), proof.hash());
            key = Some(self.proofs.first_of(proof, own.clone(), self.desk.now(), 2 * tolerance));
        }
        let mut submission = event::submission(provider, &said, &head, body.clone());
        submission.idempotency_key.clone_from(&key);
        let mut submission = terms.check(Ok(submission)).map_err(|problem| *problem)?;
        // ingest.idempotency is for programs, which may know better than to send twice
        submission.idempotency_key = key;
        self.pace(&provider.identity, 1, terms)?;
        let answers = self.desk.submit(vec![submission], SubmitMode::Whole).await;
        match answers.and_then(|answers| answers.into_iter().next()).ok_or_else(ended)? {
            Ok(Admitted { event, duplicate, .. }) => Ok(taken(event, duplicate)),
            // the provider's id of the event counts, whatever else the request says
            Err(Refusal::KeyReused(first)) => {
                self.desk.said_otherwise(&provider.name, &provider.identity, first);
                Ok(taken(first, true))
            }
            Err(refusal) => Err(answer::refused(&refusal)),
        }
    }
}

impl<D: Desk> Intake<D> {
    /// Room for a body, as long as it says or as long as it may be, before it is read.
    fn room(&self, said: Option<u64>, bytes_max: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let bytes = said.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(bytes_max);
        let kib = bytes.min(bytes_max).div_ceil(1_024).clamp(1, BODIES_KIB_MAX);
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        Arc::clone(&self.bodies).try_acquire_many_owned(kib).map_err(|_| {
            let detail = "as much is being received as there is room for; try again in a second";
            Problem::new(Code::RateLimited, detail)
        })
    }
}

impl Provider {
    /// The URL that the provider called: its query is the request's.
    fn url(&self, uri: &http::Uri, headers: &HeaderMap) -> String {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        match &self.external_url {
            Some(url) => format!("{}{query}", url.split('?').next().unwrap_or_default()),
            None => {
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
                format!("https://{}{}{query}", host.unwrap_or_default(), uri.path())
            }
        }
    }
}

/// The answer that says that the event is safe.
fn taken(event: EventId, duplicate: bool) -> Answer {
    let mut answer = Answer::new(Full::default());
    *answer.status_mut() = StatusCode::OK;
    if let Ok(value) = HeaderValue::try_from(event.to_string()) {
        answer.headers_mut().insert(EVENT_ID, value);
    }
    if duplicate {
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}
