//! postrider: durable webhook delivery for one machine.
//!
//! This page is the architecture: what there is, where it is, and what must stay true. How to use
//! it is in `README.md`.
//!
//! # Bird's eye
//!
//! One process. A pure core decides; a thin shell does; an embedded store (sled) remembers. A
//! program hands in an *event* over a unix socket and is answered 202 when it is safe on disk. Each
//! endpoint that wants it gets it as a signed HTTP request, again and again until it accepts, or
//! until the plan of retries is at its end.
//!
//! # Words
//!
//! - **source**: where events come from: a local program, known by its uid on the socket. That
//!   identity is what its events and idempotency keys keep; its name is for people, and looked up
//!   when it is shown.
//! - **event**: what was submitted: id, type, payload bytes, content type, attributes. Immutable.
//! - **endpoint**: where events go. Its name is for people; inside it is a number that is never
//!   used again.
//! - **delivery**: event x endpoint, until it is delivered, dead or cancelled.
//! - **attempt**: one try of a delivery. **outcome**: what came back, of a closed set. **verdict**:
//!   what the outcome means.
//! - **lane**: the queue of one endpoint. **flight**: a delivery that has been taken from its queue
//!   and not been settled.
//! - **replay**: one thing done to all deliveries that fit a filter, a few at a time, at a rate:
//!   they are sent again, cancelled, put **on hold** or released.
//!
//! # Map
//!
//! Modules by what a line is allowed to do; each sees only those above it, and those in one group
//! of the shell do not see each other. `tests/tidy.rs` holds the order.
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | core: the nouns and their stored encodings; the views that the API shows |
//! | [`policy`] | core: rules as functions: backoff, verdict, routing, signatures |
//! | [`engine`] | core: the state machine: admit, dispatch, settle, recover, commands |
//! | [`config`] | shell: TOML and environment, checked, with the place of every mistake |
//! | [`store`] | shell: one writer with group commit, readers, recovery, free space |
//! | [`courier`] | shell: one attempt: resolve, guard the address, connect, send, bound, time out |
//! | [`intake`] | shell: submissions and providers' webhooks over HTTP, within limits |
//! | [`admin`] | shell: the management API and the metrics |
//! | [`daemon`] | hub: the only place that spawns, reads clocks and hears signals |
//! | [`cli`] | commands: the daemon itself, clients of its two sockets, tools for developers |
//!
//! The core imports nothing of the network, of files, processes, threads or clocks. A line of code
//! asks: do I touch the world? If not: am I a fact (model), a rule (policy) or a transition
//! (engine)? If so: which piece of the world?
//!
//! # The path of an event
//!
//! 1. [`intake`] reads the request within its limits and hands the submission to the hub. A
//!    provider's webhook ([`intake::webhook`]) has to prove itself before, by the provider's scheme
//!    ([`policy::scheme`]).
//! 2. [`engine`] checks limits, routes by type, and decides: a commit of the event and its
//!    deliveries. Where a lane has room they go straight into flight with the same commit,
//!    so that the common case writes no queue.
//! 3. The writer ([`store::writer`]) takes everything that waits into one group, looks up
//!    idempotency keys, applies the records ([`store::fold`]), writes what that changes to the
//!    journal, syncs it once, and answers each record with a receipt: applied, duplicate of an
//!    earlier event, stale. sled gets the changes later, many groups at a time.
//! 4. Only now the caller is answered 202, and attempts begin, as far as the limits of the endpoint
//!    and of the whole allow. The payload of a fresh event is still in memory.
//! 5. [`courier`] performs the attempt and returns what came back. It decides nothing.
//! 6. [`policy`] says what follows: delivered, dead, or when to try again. That is a step of the
//!    delivery's log, and is written with the next group. Then the lane goes on.
//! 7. Until the next due time the process sleeps.
//!
//! # Flow control
//!
//! A lane dials when its window, its rate, the pause its endpoint asked for and its breaker allow
//! (`engine::gate`; the rules are [`policy::window`], [`policy::rate`], [`policy::breaker`]).
//! [`policy::signs`] says what an attempt tells about its endpoint. Only the breaker is on disk, as
//! part of the endpoint's state; the rest is learned anew after a start. Lanes are served in turn;
//! a quarter of all places is kept for those that have less than their share. So a due delivery of
//! a lane that may dial waits for a place no longer than one attempt may take, times the number of
//! busy lanes for each place (rounded up): with no more busy lanes than places, for one attempt.
//!
//! Of each key of an ordered endpoint, one delivery stands in the lane or in flight; the writer
//! lets the next one go with the very step that ends it (`store::fold::order`).
//!
//! Where an endpoint wants one event of a key in a window, the writer judges that too, before the
//! order (`store::fold::dedupe`): a duplicate is cancelled on arrival.
//!
//! A replay is a walk over a list. The engine paces it (`engine::replay`); each step is one record:
//! what is done to a few deliveries, with the place behind them and the counts. Sent again, they
//! stand among those that wait for a time, of which a lane takes one for each new delivery: so a
//! replay slows live traffic of the same endpoint down by a factor of 2 at most. What is on hold is
//! due at the end of time, behind everything else in its queue, and never in memory. What a
//! standing hold covers is put there on arrival (`engine::holds`).
//!
//! What postrider tells of itself are events like any other (`engine::report`).
//!
//! # Invariants
//!
//! 1. **Decide, commit, act.** A decision leaves the engine as a commit; what follows from it
//!    leaves only when its receipt has come back. No 2xx before the sync; no attempt
//!    before its start is on disk; no outcome is forgotten before its step is.
//! 2. **One judge.** What a record does to the tables is said once, in [`store::fold`], and judged
//!    by the writer, which sees all records in order. The engine holds the head of what is on disk;
//!    where the two disagree, the receipt says so and the engine lets go.
//! 3. **Deterministic.** The same seed and the same inputs at the same times give the same effects.
//!    `tests/sim` runs the engine so, against a simulated world that crashes at every commit.
//! 4. **Bounded.** Every collection has a named limit with a unit. Memory does not grow with the
//!    backlog, and neither does the time of a start: it costs what the endpoints cost.
//! 5. **Time is an argument**, read in one place, never running backwards within a process. Due
//!    times on disk are wall-clock times.
//! 6. **At least once.** The same `webhook-id` on every attempt. After an unclean stop, what was in
//!    flight is recorded as interrupted before it is dialled again, so that a delivery that kills
//!    the process is counted, and in the end put aside ([`policy::backoff::INTERRUPTED_MAX`]).
//! 7. **Nothing is dropped in silence.** Every delivery ends delivered, dead with its reason, or
//!    cancelled by a named person or as the duplicate of a named event, and can be listed.
//! 8. **Secrets and payloads are in no log line, error or debug output.**
//!
//! # What is on disk
//!
//! A journal ([`store::journal`]), and behind it one sled tree. A commit is safe once it stands in
//! the journal: one write and one sync, of what has changed and no more. The tree is synced once
//! for some thousand events; a start reads what it has not got from the journal. A reader waits for
//! the writer to hand over what is safe by then, and so sees whatever was answered before it came.
//!
//! Memory in the tree grows with the number of its keys, so the logical entries are packed
//! into pages ([`store::page`]), many to a key; [`store::layout`] lists the tables, and golden
//! files hold their bytes. In short:
//!
//! - events and bodies: what was submitted; bodies in chunks. Once all deliveries have ended, they
//!   go at their time ([`policy::retention`]); marks in the order of ids say how far that is, and
//!   what a mark passes by that cannot go yet has a row in *expiry* (`store::fold::prune`). Damage
//!   stops no sweep: it is told, and passed by.
//! - two due tables for each lane: *fresh* (never tried, in the order of admission) and *timed* (in
//!   the order of due times). One fresh delivery goes for each timed one, so that neither a backlog
//!   nor a burst starves the other.
//! - flight: what has been taken from there. After an unclean stop it is exactly what may have been
//!   on the wire.
//! - steps: the log of each delivery; the last step is its state.
//! - order: of each key of an endpoint that wants an order, the delivery that may go, and those
//!   that wait behind it; versions: the highest one of a key.
//! - seen: of each key of an endpoint that wants no duplicates, the event that has gone out.
//! - dead: the same by endpoint and time, to list and to replay.
//! - replays: running ones with how far they are, and the last that have ended; standing holds.
//! - idempotency keys; counts; endpoints with numbers, names and states.
//!
//! Every record is one atomic unit of at most [`store::batches::OPERATIONS_MAX`] pages; what is
//! larger goes in pieces, under a mark that opening finishes. Values have a version byte each.
//!
//! Three facts about sled 0.34 shape this module. Its flush is no barrier against a power cut on
//! Linux, unless `sync_file_range` fails: so a seccomp filter makes it fail ([`store::sync`];
//! `tests/power/run` cuts the power with and without). And values that do not fit its pages go to
//! files that it never syncs: so no value is that long. And it reads snapshots of its recovery that
//! a crash left half written: so they are removed before (`tests/lossy` found that). After a failed
//! write the process ends, and recovers on the next start.
//!
//! # What is deliberately absent
//!
//! - A second place that remembers: what is not in the store is not known after a start.
//! - Redirects and proxies in the courier: a request goes where the checked address says, or
//!   nowhere.
//! - Exactly-once: HTTP does not allow it. A receiver knows a repeated delivery by its
//!   `webhook-id`.
//! - Order between events, unless an endpoint asks for it by a key.
//! - More than one machine. The seam is the store's interface in the engine's words (records,
//!   receipts, rows of a lane); nothing else knows sled.

// -- core: no I/O, no clock, no global randomness, no tokio
pub mod model;
pub mod policy;
pub mod engine;
// -- shell: each module talks to one piece of the world, and not to another
pub mod config;
pub mod store;
pub mod courier;
pub mod intake;
pub mod admin;
// -- hub
pub mod daemon;
pub mod cli;
