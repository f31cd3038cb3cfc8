//! `postrider simulate`: what the configuration makes of an outage, without a daemon.

mod plan;

use std::process::ExitCode;
use std::time::Duration;

use fastrand::Rng;
use serde::Serialize;

use crate::cli::config;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output::Context;
use crate::cli::text;
use crate::cli::text::NONE;
use crate::config::value::Dur;
use crate::config::value::Pace;
use crate::config::value::duration;
use crate::model::RetryPolicy;
use plan::Moment;
use plan::What;
use plan::World;

/// Runs with jitter that the ranges come from. They are the same each time.
const RUNS: u64 = 500;
/// The longest outage.
const OUTAGE_MAX: Duration = Duration::from_secs(365 * 86_400);
/// Lines of a plan that are shown; of a longer one, so many from its beginning, and as many from
/// its end.
const LINES_MAX: usize = 40;

const NOTE: &str = "\
One delivery is accepted as the outage begins; until its end every attempt fails at once. AT is
without jitter; RANGE is where jitter puts it in 500 runs. Limits of rate and window are left out.

Example:
  postrider simulate --outage 2h --endpoint billing --traffic 10/s";

/// Show how a delivery comes through an outage: attempts, breaker, end
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = NOTE)]
pub(super) struct SimulateArgs {
    /// How long the endpoint fails
    #[arg(long, value_name = "DURATION", value_parser = outage)]
    outage: Duration,

    /// Which endpoint of the configuration file
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: String,

    /// Other events that come for it meanwhile, such as 10/s [default: none]
    #[arg(long, value_name = "RATE")]
    traffic: Option<Pace>,
}

fn outage(text: &str) -> Result<Duration, String> {
    let span: Dur = text.parse().map_err(|_| format!("expected {}", duration::EXPECTED))?;
    let fits = span.get() <= OUTAGE_MAX;
    fits.then_some(span.get()).ok_or_else(|| "at most 365d".to_owned())
}

/// The plan as a document.
#[derive(Debug, Serialize)]
struct Plan {
    endpoint: String,
    outage_ms: u64,
    moments: Vec<Line>,
    /// `delivered`, `dead` or `disabled`.
    end: &'static str,
    /// Of the runs with jitter, the share that ended delivered, from 0 to 1.
    delivered_share: f64,
    /// How long after the outage it is delivered, if it is.
    after_outage_ms: Option<u64>,
    /// The same in the runs with jitter.
    after_outage_range_ms: Option<(u64, u64)>,
}

/// Something that happens, without jitter, and when it does with it.
#[derive(Debug, Serialize)]
struct Line {
    at_ms: u64,
    range_ms: Option<(u64, u64)>,
    what: String,
}

impl SimulateArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let path = &context.options.config;
        let loaded = match config::load(context) {
            Ok(loaded) => loaded,
            Err(exit) => return Ok(exit.into()),
        };
        let mut endpoints = loaded.config.endpoints.iter();
        let endpoint = endpoints.find(|endpoint| *endpoint.name == *self.endpoint);
        let endpoint = endpoint.ok_or_else(|| {
            let message = format!("{} defines no endpoint {:?}", path.display(), self.endpoint);
            Failure::new(Exit::NotFound, message)
        })?;
        let world = World {
            retry: (*endpoint.retry).clone(),
            breaker: endpoint.flow.breaker,
            outage: self.outage,
            others_every: self.traffic.map(|pace| pace.per() / pace.count()),
        };
        let plan = self.plan(&world)?;
        context.one(&plan, &self.endpoint, || page(context, &plan))?;
        Ok(Exit::Done.into())
    }

    fn plan(&self, world: &World) -> Result<Plan, Failure> {
        let run = |world: &World, seed: u64| {
            plan::run(world, &mut Rng::with_seed(seed)).map_err(|plan::TooLong| {
                let message = format!("this takes more than {} steps", plan::MOMENTS_MAX);
                Failure::new(Exit::Usage, message)
            })
        };
        let even = RetryPolicy { jitter: 0.0, ..world.retry.clone() };
        let moments = run(&World { retry: even, ..world.clone() }, 0)?;
        let runs = (1..=RUNS).map(|seed| run(world, seed)).collect::<Result<Vec<_>, _>>()?;
        let ends = runs.iter().filter_map(|run| delivered(run)).collect::<Vec<_>>();
        let after = |at: Duration| millis(at.saturating_sub(world.outage));
        #[expect(clippy::cast_precision_loss, reason = "a few hundred runs")]
        let delivered_share = ends.len() as f64 / runs.len() as f64;
        let end = match moments.last() {
            Some((_, What::Delivered { .. })) => "delivered",
            Some((_, What::Disabled)) => "disabled",
            _ => "dead",
        };
        let line = |(at, what): &Moment| {
            let times = runs.iter().filter_map(|run| time_of(run, *what));
            Line { at_ms: millis(*at), range_ms: range(times.map(millis)), what: words(*what) }
        };
        Ok(Plan {
            endpoint: self.endpoint.clone(),
            outage_ms: millis(self.outage),
            moments: moments.iter().map(line).collect(),
            end,
            delivered_share,
            after_outage_ms: delivered(&moments).map(after),
            after_outage_range_ms: range(ends.into_iter().map(after)),
        })
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn range(times: impl Iterator<Item = u64>) -> Option<(u64, u64)> {
    times.fold(None, |range, at| match range {
        None => Some((at, at)),
        Some((low, high)) => Some((at.min(low), at.max(high))),
    })
}

/// When the delivery is delivered.
fn delivered(run: &[Moment]) -> Option<Duration> {
    run.last().filter(|(_, what)| matches!(what, What::Delivered { .. })).map(|(at, _)| *at)
}

/// When the same happens in another run: the attempt of the same number, whatever came of it.
fn time_of(run: &[Moment], what: What) -> Option<Duration> {
    let number = |what| match what {
        What::Failed { number, .. } | What::Delivered { number } => Some(number),
        _ => None,
    };
    let same = |other: What| match number(what) {
        Some(own) => number(other) == Some(own),
        None => other == what,
    };
    let unique = !matches!(what, What::OtherTried { .. });
    run.iter().find(|(_, other)| unique && same(*other)).map(|(at, _)| *at)
}

fn words(what: What) -> String {
    match what {
        What::Failed { number, probe: false } => format!("attempt {number} fails"),
        What::Failed { number, probe: true } => {
            format!("attempt {number} fails; not counted, the breaker stays open")
        }
        What::Delivered { number } => format!("attempt {number}: delivered"),
        What::Dead { reason } => format!("dead: {}", reason.as_str()),
        What::OtherTried { well: false } => "another delivery is tried and fails".to_owned(),
        What::OtherTried { well: true } => {
            "another delivery gets through; the breaker closes".to_owned()
        }
        What::Opened => "the breaker opens".to_owned(),
        What::Disabled => "the endpoint is disabled; all is kept until it is enabled".to_owned(),
    }
}

fn page(context: &Context, plan: &Plan) -> String {
    let span =
        |ms: u64| if ms == 0 { "0".to_owned() } else { text::span(Duration::from_millis(ms)) };
    let within = |(low, high): (u64, u64)| match (span(low), span(high)) {
        (low, high) if low == high => low,
        (low, high) => format!("{low} to {high}"),
    };
    let row = |line: &Line| {
        vec![span(line.at_ms), line.range_ms.map_or_else(|| NONE.into(), within), line.what.clone()]
    };
    let left_out = plan.moments.len().saturating_sub(2 * LINES_MAX);
    let (head, rest) = plan.moments.split_at(plan.moments.len().min(LINES_MAX));
    let mut rows: Vec<_> = head.iter().map(row).collect();
    if left_out > 0 {
        rows.push(vec!["...".into(), NONE.into(), format!("{left_out} lines more")]);
    }
    rows.extend(rest.iter().skip(left_out).map(row));
    let grid = context.grid(&["AT", "RANGE", "WHAT"], rows);
    let end = match (plan.after_outage_ms, plan.end) {
        (Some(after), _) => format!("Delivered {} after the outage.", span(after)),
        (None, end) => format!("Not delivered: {end}."),
    };
    let jitter = match plan.after_outage_range_ms {
        Some(range) => format!(
            "With jitter: {:.0} % delivered, {} after the outage.",
            plan.delivered_share * 100.0,
            within(range)
        ),
        None => "With jitter: never delivered.".to_owned(),
    };
    format!("{} fails for {}\n\n{grid}\n\n{end}\n{jitter}", plan.endpoint, span(plan.outage_ms))
}
