//! The power goes under load, again and again, on one store after the other.

use std::fmt;
use std::sync::mpsc;

use crate::disk::Disk;
use crate::harness::PATIENCE;
use crate::harness::daemon::now;
use crate::place::Place;
use crate::place::Running;
use crate::pledge;
use crate::pledge::Acknowledged;

const CLIENTS: usize = 6;
/// A round is over after at most so many acknowledgements of events that are kept.
const ACKS_MAX: usize = 60;
/// And at most so many calls to the disk later.
const CALLS_MAX: u64 = 12;
/// The power goes while the store is being opened after at most so many calls.
const OPENING_CALLS_MAX: u64 = 40;
/// A store sees at most so many rounds.
const LIFE_MAX: u64 = 30;
/// Numbers of one round; those of the next follow.
const NUMBERS: u64 = 1_000_000;

/// What a run of rounds came to.
#[derive(Debug)]
pub(crate) enum Verdict {
    Whole,
    /// What was acknowledged is not there, or not as it was.
    Lost(String),
    /// It does not start any more.
    Unopened(String),
}

/// Counts of all rounds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rounds: u64,
    stores: u64,
    while_opening: u64,
    pub(crate) acknowledged: usize,
    payloads_gone: u64,
}

struct Cuts {
    place: Place,
    disk: Disk,
    rng: fastrand::Rng,
    acknowledged: Acknowledged,
    while_opening: bool,
    tally: Tally,
}

/// Mostly small, sometimes up to 1 MiB.
fn length(number: u64) -> usize {
    let mut rng = fastrand::Rng::with_seed(number);
    let bits_max = if rng.u8(..8) == 0 { 20 } else { 13 };
    let bits = rng.u32(1..=bits_max);
    (200 + rng.usize(..1 << bits)).min(1 << 20)
}

/// Runs so many rounds, or up to the first that finds something wrong.
pub(crate) fn run(durability: &str, rounds: u64, seed: u64) -> (Verdict, Tally) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let disk = Disk::new(rng.fork());
    let (place, tally) = (Place::new(durability), Tally::default());
    let acknowledged = Acknowledged::new();
    // without the filter, nothing may be left before anything was acknowledged: that proves little
    let while_opening = durability == "fsync";
    let mut cuts = Cuts { place, disk, rng, acknowledged, while_opening, tally };
    let done = cuts.rounds(rounds);
    (done.err().unwrap_or(Verdict::Whole), cuts.tally)
}

impl Cuts {
    fn rounds(&mut self, rounds: u64) -> Result<(), Verdict> {
        while self.tally.rounds < rounds {
            self.disk = Disk::new(self.rng.fork());
            self.acknowledged.clear();
            self.tally.stores += 1;
            let life = self.rng.u64(1..=LIFE_MAX).min(rounds - self.tally.rounds);
            for _ in 0..life {
                self.tally.rounds += 1;
                if self.while_opening && self.rng.u8(..3) == 0 {
                    self.cut_while_opening();
                }
                let running = self.start_and_check()?;
                self.cut_under_load(running);
            }
            assert_eq!(self.start_and_check()?.stop(), Some(0), "it does not stop in order");
        }
        Ok(())
    }

    fn cut_while_opening(&mut self) {
        self.disk.cut_power_after(self.rng.u64(1..=OPENING_CALLS_MAX));
        let running = self.place.start(&self.disk);
        let ready = || running.daemon.log().contains("daemon.ready");
        if self.disk.dark_or(ready) {
            self.tally.while_opening += 1;
        }
        running.cut(&self.disk);
    }

    /// Everything that was acknowledged is there after a start.
    fn start_and_check(&mut self) -> Result<Running, Verdict> {
        let running = self.place.start(&self.disk);
        let daemon = &running.daemon;
        if !running.is_ready() {
            let how = if daemon.has_ended() { "it ended" } else { "it is not ready in time" };
            let round = self.tally.rounds;
            return Err(Verdict::Unopened(format!("round {round}: {how}:\n{}", daemon.log())));
        }
        let (ingest, admin) = (daemon.ingest_socket(), daemon.admin_socket());
        let found = pledge::check(ingest, admin, &length, &self.acknowledged);
        let found = found.unwrap_or_else(|error| panic!("{error}\n{}", daemon.log()));
        self.tally.payloads_gone += found.payloads_gone;
        if !found.is_whole() {
            let round = self.tally.rounds;
            return Err(Verdict::Lost(format!("round {round}: {found}\n{:#?}", found.faults)));
        }
        Ok(running)
    }

    fn cut_under_load(&mut self, running: Running) {
        let acks = self.rng.usize(1..=ACKS_MAX);
        let calls = self.rng.u64(1..=CALLS_MAX);
        let first = self.tally.rounds * NUMBERS;
        let ingest = running.daemon.ingest_socket().to_owned();
        let (tell, told) = mpsc::channel();
        let before = self.acknowledged.len();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let heard = |number, heard| {
                    if let Ok(event) = heard {
                        tell.send((event, number)).unwrap();
                    }
                };
                // it ends when the daemon does
                let _ = pledge::load(&ingest, &length, first, CLIENTS, &heard);
            });
            let hear = |_| told.recv_timeout(PATIENCE).ok();
            self.acknowledged.extend((0..acks).map_while(hear));
            self.disk.cut_power_after(calls);
            let began = now();
            self.disk.dark_or(|| began.elapsed() > PATIENCE);
            running.cut(&self.disk);
        });
        self.acknowledged.extend(told);
        let new = self.acknowledged.len() - before;
        assert!(new >= acks, "the daemon does not acknowledge");
        self.tally.acknowledged += new;
    }
}

impl Tally {
    /// Whether everything that should have been tried was.
    pub(crate) fn is_hard(&self) -> bool {
        self.while_opening > 0 && self.payloads_gone > 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} cuts under load and {} while opening, {} stores, {} acknowledged, \
             {} payloads pruned at checks",
            self.rounds, self.while_opening, self.stores, self.acknowledged, self.payloads_gone,
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Whole => write!(out, "nothing is lost"),
            Verdict::Lost(what) => write!(out, "lost: {what}"),
            Verdict::Unopened(log) => write!(out, "it does not start:\n{log}"),
        }
    }
}
