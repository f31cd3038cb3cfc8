//! `postrider queue`: what waits, by endpoint and age.

use std::process::ExitCode;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::options::Format;
use crate::cli::output::Context;
use crate::cli::output::Row;
use crate::cli::text;
use crate::model::Time;
use crate::model::queue::QueueRow;
use crate::model::queue::QueueView;

const NOTE: &str = "\
Columns: how many deliveries wait in all, and how many of them are up to 5 s old, over that and up
to 20 s, and so on, since their event was accepted; OLDER is over a day.";

/// Show what waits, by endpoint and age
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = NOTE)]
pub(super) struct QueueArgs {}

impl QueueArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let client = Client::admin(&context.options.socket, context.options.timeout)?;
        let queue: QueueView = client.get("/v1/queue")?;
        let mut rows = queue.endpoints.clone();
        if matches!(context.format, Format::Table | Format::Wide) {
            rows.insert(0, sum(&queue.endpoints));
        }
        context.list(&rows, &queue)?;
        let uncounted: u64 = queue.endpoints.iter().map(|row| row.uncounted).sum();
        if uncounted > 0 {
            let many = text::things(uncounted, "delivery is", "deliveries are");
            let why = "they wait behind others of their key, or are too many to look at";
            context.say(&format!("{many} in no column of ages: {why}."));
        }
        Ok(Exit::Done.into())
    }
}

/// All endpoints together, as a row of the table.
fn sum(rows: &[QueueRow]) -> QueueRow {
    let mut all = QueueRow::of("(all)".to_owned());
    for row in rows {
        all.total += row.total;
        all.uncounted += row.uncounted;
        all.ages.iter_mut().zip(&row.ages).for_each(|(sum, count)| *sum += count);
    }
    all
}

impl Row for QueueRow {
    const COLUMNS: &'static [&'static str] =
        &["ENDPOINT", "TOTAL", "5S", "20S", "1M", "5M", "20M", "1H", "5H", "1D", "OLDER"];
    const MORE: &'static [&'static str] = &["UNCOUNTED"];

    fn cells(&self, _time: &dyn Fn(Time) -> String) -> Vec<String> {
        let mut cells = vec![self.endpoint.clone(), self.total.to_string()];
        cells.extend(self.ages.iter().map(u64::to_string));
        cells.push(self.uncounted.to_string());
        cells
    }

    fn id(&self) -> String {
        self.endpoint.clone()
    }
}
