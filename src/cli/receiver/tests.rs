use std::net::SocketAddr;

use http::HeaderValue;
use tokio::sync::oneshot;

use super::forward::ForwardError;
use super::script::Scope;
use super::script::Step;
use super::*;
use crate::policy::keys::SigningKey;
use crate::policy::keys::VerifyingKey;
use crate::policy::sign::sign;
use crate::policy::verify::VerifyError;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW: Time = Time::from_secs(1_795_256_102);

fn receiver(script: Script) -> Receiver {
    let keys = VerifyKeys(vec![VerifyingKey::parse(SECRET).unwrap()]);
    Receiver { keys, script, forward_to: None, clock: Arc::new(|| NOW) }
}

fn headers(id: &'static str, body: &[u8]) -> HeaderMap {
    let key = SigningKey::parse(SECRET).unwrap();
    let signature = sign(&[key], id, NOW.as_secs(), body);
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", HeaderValue::from_static(id));
    headers.insert("webhook-timestamp", NOW.as_secs().into());
    headers.insert("webhook-signature", signature.parse().unwrap());
    headers.insert("content-type", HeaderValue::from_static("application/xml"));
    headers.insert("postrider-event-type", HeaderValue::from_static("order.created"));
    headers.insert("postrider-attempt", HeaderValue::from_static("2"));
    headers
}

/// Runs the receiver for as long as `sender` runs; gives what that gives, and what was noted.
async fn with_receiver<T>(
    receiver: Receiver,
    sender: impl AsyncFnOnce(SocketAddr) -> T,
) -> (T, Vec<Note>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (log, mut notes) = mpsc::channel(NOTES_PENDING_MAX);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = serve(listener, receiver, log, async {
        let _ = stopped.await;
    });
    let sending = async {
        let result = sender(address).await;
        drop(stop);
        result
    };
    let ((), result) = tokio::join!(serving, sending);
    let mut noted = Vec::new();
    while let Some(note) = notes.recv().await {
        noted.push(note);
    }
    (result, noted)
}

async fn post(
    address: SocketAddr,
    id: &'static str,
    body: &'static [u8],
) -> Result<StatusCode, ForwardError> {
    let to: ForwardTo = format!("http://{address}/hook").parse().unwrap();
    to.post(&headers(id, body), Bytes::from_static(body)).await
}

fn arrivals(notes: &[Note]) -> Vec<&Arrival> {
    let mut arrivals = Vec::new();
    for note in notes {
        if let Note::Arrived(arrival) = note {
            arrivals.push(arrival);
        }
    }
    arrivals
}

#[tokio::test]
async fn a_signed_request_is_logged_as_it_came() {
    let (status, notes) = with_receiver(receiver(Script::default()), async |address| {
        post(address, "evt_1", b"<a>\xff</a>").await.unwrap()
    })
    .await;
    assert_eq!(status, StatusCode::OK);
    let arrival = arrivals(&notes)[0];
    assert_eq!((arrival.id.as_str(), arrival.attempt), ("evt_1", Some(2)));
    assert_eq!(arrival.event_type, "order.created");
    assert_eq!(arrival.content_type, "application/xml");
    assert_eq!(arrival.body, b"<a>\xff</a>".as_slice());
    assert_eq!(arrival.signature, Signature::Good);
    assert!(matches!(&notes[1], Note::Answered(Answered { status: Some(StatusCode::OK), .. })));
}

#[tokio::test]
async fn a_changed_body_is_logged_with_a_bad_signature_and_refused() {
    let (status, notes) = with_receiver(receiver(Script::default()), async |address| {
        let to: ForwardTo = format!("http://{address}/").parse().unwrap();
        to.post(&headers("evt_1", b"one"), Bytes::from_static(b"two")).await.unwrap()
    })
    .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(arrivals(&notes)[0].signature, Signature::Bad(VerifyError::NoMatch));
}

#[tokio::test]
async fn the_script_decides_the_answer() {
    let steps: Vec<Step> = ["503x1", "dropx1"].iter().map(|step| step.parse().unwrap()).collect();
    let script = Script { scope: Scope::PerEvent, ..Script::failing(steps) };
    let (answers, notes) = with_receiver(receiver(script), async |address| {
        let first = post(address, "evt_1", b"{}").await.unwrap();
        let other = post(address, "evt_2", b"{}").await.unwrap();
        let dropped = post(address, "evt_1", b"{}").await;
        let last = post(address, "evt_1", b"{}").await.unwrap();
        (first, other, matches!(dropped, Err(ForwardError::Exchange(_))), last)
    })
    .await;
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    assert_eq!(answers, (unavailable, unavailable, true, StatusCode::OK));
    assert_eq!(arrivals(&notes).len(), 4);
}

#[tokio::test]
async fn failures_carry_retry_after_and_successes_do_not() {
    let script = Script { retry_after: Some(7), ..Script::default() };
    let (log, _notes) = mpsc::channel(1);
    let shared = Shared { receiver: receiver(script), progress: Mutex::default(), log };
    let failure = shared.dressed(StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(failure.headers()[header::RETRY_AFTER], "7");
    assert!(!shared.dressed(StatusCode::OK).headers().contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn accepted_requests_are_handed_on_and_the_answer_comes_back() {
    let behind = receiver(Script::failing(vec!["418x1".parse().unwrap()]));
    let ((status, notes), behind) = with_receiver(behind, async |behind| {
        let forward_to = Some(format!("http://{behind}/hook").parse().unwrap());
        let front = Receiver { forward_to, ..receiver(Script::default()) };
        with_receiver(front, async |address| post(address, "evt_1", b"{}").await.unwrap()).await
    })
    .await;
    assert_eq!(status, StatusCode::IM_A_TEAPOT);
    assert_eq!(arrivals(&notes).len(), 1);
    assert_eq!(arrivals(&behind)[0].signature, Signature::Good, "nothing was changed on the way");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_bad_gateway() {
    // a port that was free a moment ago: nobody listens there
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let forward_to = Some(format!("http://{gone}/").parse().unwrap());
    let front = Receiver { forward_to, ..receiver(Script::default()) };
    let (status, notes) =
        with_receiver(front, async |address| post(address, "evt_1", b"{}").await.unwrap()).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    let Note::Answered(answered) = &notes[1] else { panic!("{notes:?}") };
    assert!(answered.forward_error.as_ref().unwrap().starts_with("cannot connect"));
}

#[tokio::test]
async fn an_answer_is_as_slow_as_the_script_says() {
    let delay = Duration::from_millis(200);
    let slow = receiver(Script { delay, ..Script::default() });
    let (waited, _) = with_receiver(slow, async |address| {
        let soon = timeout(delay / 4, post(address, "evt_1", b"{}")).await;
        let done = post(address, "evt_2", b"{}").await.unwrap();
        (soon.is_err(), done)
    })
    .await;
    assert_eq!(waited, (true, StatusCode::OK));
}

#[test]
fn control_characters_do_not_reach_a_terminal() {
    assert_eq!(printable("a\u{1b}[2Jb"), "a?[2Jb");
}
