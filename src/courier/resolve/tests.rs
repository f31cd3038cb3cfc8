use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

use super::*;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(10);
const TTL: Duration = Duration::from_secs(30);

/// Answers only once it is told to, and counts how often it was asked.
#[derive(Default)]
struct Slow {
    asked: AtomicUsize,
    go: Arc<Notify>,
}

impl Resolve for Slow {
    fn resolve(&self, name: Arc<str>) -> Lookup {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let go = Arc::clone(&self.go);
        Box::pin(async move {
            go.notified().await;
            match &*name {
                "missing" => Err(io::Error::other("no such name")),
                "empty" => Ok(Vec::new()),
                "many" => Ok((0..=255).map(|n| IpAddr::from([192, 0, 2, n])).collect()),
                _ => Ok(vec![IpAddr::from([192, 0, 2, 1])]),
            }
        })
    }
}

struct Bench {
    slow: Arc<Slow>,
    names: Names,
    now: Arc<Mutex<Time>>,
}

fn bench() -> Bench {
    let slow = Arc::new(Slow::default());
    let now = Arc::new(Mutex::new(Time::from_secs(1_000)));
    let read = Arc::clone(&now);
    let spawner = Spawner::new(|task| drop(tokio::spawn(task)));
    let clock: Clock = Arc::new(move || *lock(&read));
    let resolver = Arc::clone(&slow) as Arc<dyn Resolve>;
    Bench { slow, names: Names::new(resolver, spawner, clock, TTL), now }
}

impl Bench {
    fn asked(&self) -> usize {
        self.slow.asked.load(Ordering::SeqCst)
    }

    fn pass(&self, span: Duration) {
        let mut now = lock(&self.now);
        *now = *now + span;
    }

    /// So many look-ups under way that are not answered.
    async fn hang(&self, count: usize) {
        for n in 0..count {
            let hung = self.names.lookup(&format!("shop-{n}").into(), Duration::ZERO).await;
            assert_eq!(hung, Err(LookupError::Timeout));
        }
    }

    /// One look-up, answered at once.
    async fn ask(&self, name: &str) -> Answer {
        self.slow.go.notify_one();
        self.names.lookup(&name.into(), LONG).await
    }
}

#[tokio::test]
async fn an_answer_is_used_again_until_it_is_too_old() {
    let bench = bench();
    assert!(bench.ask("shop").await.is_ok());
    bench.pass(TTL - Duration::from_secs(1));
    assert!(bench.names.lookup(&"shop".into(), LONG).await.is_ok());
    assert_eq!(bench.asked(), 1);
    bench.pass(Duration::from_secs(1));
    assert!(bench.ask("shop").await.is_ok());
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_shorter_time() {
    let bench = bench();
    assert!(matches!(bench.ask("missing").await, Err(LookupError::Failed(_))));
    bench.pass(Duration::from_secs(NEGATIVE_TTL_SECS - 1));
    assert!(bench.names.lookup(&"missing".into(), LONG).await.is_err());
    assert_eq!(bench.asked(), 1);
    bench.pass(Duration::from_secs(1));
    assert!(bench.ask("missing").await.is_err());
    assert_eq!(bench.asked(), 2);
    assert!(matches!(bench.ask("empty").await, Err(LookupError::Failed(_))));
}

#[tokio::test]
async fn one_look_up_serves_all_who_wait_even_after_one_gave_up() {
    let bench = bench();
    let name: Arc<str> = "shop".into();
    assert_eq!(bench.names.lookup(&name, SHORT).await, Err(LookupError::Timeout));
    let waiting = (0..8).map(|_| {
        let (names, name) = (bench.names.clone(), Arc::clone(&name));
        tokio::spawn(async move { names.lookup(&name, LONG).await })
    });
    let waiting: Vec<_> = waiting.collect();
    bench.slow.go.notify_one();
    for one in waiting {
        assert!(one.await.unwrap().is_ok());
    }
    assert_eq!(bench.asked(), 1);
}

#[tokio::test]
async fn hanging_look_ups_are_bounded_and_make_room_once_they_end() {
    let bench = bench();
    bench.hang(LOOKUPS_MAX - LOOKUPS_KEPT).await;
    let refused = bench.names.lookup(&"one-more".into(), LONG).await;
    assert_eq!(refused, Err(LookupError::Overloaded));
    // The first one ends, and whoever asks for its name learns so.
    let (names, first) = (bench.names.clone(), Arc::from("shop-0"));
    let waiting = tokio::spawn(async move { names.lookup(&first, LONG).await });
    tokio::task::yield_now().await;
    bench.slow.go.notify_waiters();
    assert!(waiting.await.unwrap().is_ok());
    assert!(bench.ask("one-more").await.is_ok());
}

#[tokio::test]
async fn names_that_hang_leave_look_ups_to_those_that_had_an_answer() {
    let bench = bench();
    let had = || (0..=LOOKUPS_KEPT).map(|n| format!("had-{n}"));
    for name in had() {
        assert!(bench.ask(&name).await.is_ok());
    }
    assert!(bench.ask("missing").await.is_err());
    bench.pass(TTL);
    bench.hang(LOOKUPS_MAX - LOOKUPS_KEPT).await;
    let now = Duration::ZERO;
    assert_eq!(bench.names.lookup(&"missing".into(), now).await, Err(LookupError::Overloaded));
    for name in had().take(LOOKUPS_KEPT) {
        assert_eq!(bench.names.lookup(&name.into(), now).await, Err(LookupError::Timeout));
    }
    let last: Arc<str> = format!("had-{LOOKUPS_KEPT}").into();
    assert_eq!(bench.names.lookup(&last, now).await, Err(LookupError::Overloaded));
}

#[tokio::test]
async fn the_system_knows_itself_and_not_what_cannot_exist() {
    let found = SystemResolver.resolve("localhost".into()).await.unwrap();
    assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    assert!(SystemResolver.resolve("no such name".into()).await.is_err());
}

#[tokio::test]
async fn only_so_many_addresses_and_names_are_kept() {
    let bench = bench();
    assert_eq!(bench.ask("many").await.unwrap().len(), ADDRESSES_MAX);
    for n in 0..=NAMES_MAX {
        assert!(bench.ask(&format!("shop-{n}")).await.is_ok());
    }
    assert_eq!(lock(&bench.names.entries).len(), NAMES_MAX);
    bench.pass(TTL);
    assert!(bench.ask("another").await.is_ok());
    assert_eq!(lock(&bench.names.entries).len(), 1);
}
