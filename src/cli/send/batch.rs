//! Many events: a file of JSON lines, sent in batches, each of which is admitted as a whole.
//!
//! Memory holds one batch. When a batch is refused, what came before it is safe: the message says
//! up to which line, so that the rest can be sent again.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::process::ExitCode;

use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use serde::Deserialize;
use serde::Serialize;

use crate::cli::client::Answer;
use crate::cli::client::Call;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output::Context;
use crate::cli::output::complain;
use crate::cli::text;
use crate::model::view::Problem;

/// Events of a batch, at most: the API's limit.
const BATCH_EVENTS_MAX: usize = 1_000;
/// Bytes of a batch, at most; a single longer line makes a batch of its own.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a line, at most.
const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Lines that go in one request.
#[derive(Debug, Default)]
struct Batch {
    body: Vec<u8>,
    /// The number of each line in the file, from 1.
    numbers: Vec<u64>,
}

/// What became of all lines.
#[derive(Debug, Default, Serialize)]
struct Total {
    accepted: u64,
    rejected: u64,
}

/// The answer to a batch that may be admitted in part.
#[derive(Debug, Deserialize)]
struct Partial {
    results: Vec<PartialResult>,
    accepted: u64,
    rejected: u64,
}

#[derive(Debug, Deserialize)]
struct PartialResult {
    index: usize,
    problem: Option<Problem>,
}

pub(super) fn run(
    context: &Context,
    client: &Client,
    source: Box<dyn Read>,
    partial: bool,
) -> anyhow::Result<ExitCode> {
    let mut lines = Lines { reader: BufReader::new(source), number: 0, held: None };
    let mut total = Total::default();
    while let Some(batch) = lines.next_batch()? {
        send(client, batch, partial, &mut total)?;
    }
    let rejected = match total.rejected {
        0 => String::new(),
        rejected => format!(", rejected {}", text::count(rejected)),
    };
    let line = || format!("accepted {}{rejected}", events(total.accepted));
    context.one(&total, &total.accepted.to_string(), line)?;
    Ok(if total.rejected > 0 { Exit::Usage } else { Exit::Done }.into())
}

fn send(client: &Client, batch: Batch, partial: bool, total: &mut Total) -> anyhow::Result<()> {
    let Batch { body, numbers } = batch;
    let target = if partial { "/v1/events:batch?partial=1" } else { "/v1/events:batch" };
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    let call = Call {
        headers: vec![(header::CONTENT_TYPE, ndjson)],
        body: body.into(),
        ..Call::new(Method::POST, target)
    };
    let answer = client.block_on(client.ask(call)).map_err(|error| so_far(error, total))?;
    if answer.status == StatusCode::MULTI_STATUS {
        let answered: Partial = answer.json()?;
        for (result, problem) in
            answered.results.iter().filter_map(|r| Some((r, r.problem.as_ref()?)))
        {
            let number = numbers.get(result.index).copied().unwrap_or(0);
            complain(&format!("postrider: line {number}: {}", text::clean(&problem.detail)));
        }
        total.accepted += answered.accepted;
        total.rejected += answered.rejected;
        return Ok(());
    }
    accepted(answer, &numbers).map_err(|error| so_far(error, total))?;
    total.accepted += numbers.len() as u64;
    Ok(())
}

/// The same error, with what is safe already.
fn so_far(error: anyhow::Error, total: &Total) -> anyhow::Error {
    let exit = error.downcast_ref::<Failure>().map_or(Exit::Failed, |failure| failure.exit);
    let safe = match total.accepted {
        0 => String::new(),
        accepted => format!("\nof earlier batches, {} accepted", events(accepted)),
    };
    Failure::new(exit, format!("{error:#}{safe}")).into()
}

fn events(number: u64) -> String {
    text::things(number, "event", "events")
}

/// Refusals name items of the batch; people know lines of the file.
fn accepted(answer: Answer, numbers: &[u64]) -> anyhow::Result<Answer> {
    let Some(mut problem) = answer.problem() else { return answer.accepted() };
    for fault in &mut problem.errors {
        let pointer = fault.pointer.strip_prefix('/').unwrap_or_default();
        let (index, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
        let number = index.parse().ok().and_then(|index: usize| numbers.get(index));
        if let Some(number) = number {
            let slash = if rest.is_empty() { "" } else { " /" };
            fault.pointer = format!("line {number}{slash}{rest}");
        }
    }
    if let [only] = problem.errors.as_slice() {
        problem.detail = format!("{}: {}", only.pointer, only.detail);
    }
    Err(Failure::from(problem).into())
}

/// The lines of a file, in batches.
struct Lines<R> {
    reader: BufReader<R>,
    number: u64,
    /// The line that did not fit into the batch before.
    held: Option<Vec<u8>>,
}

impl<R: Read> Lines<R> {
    /// The next batch; `None` at the end.
    fn next_batch(&mut self) -> anyhow::Result<Option<Batch>> {
        let mut batch = Batch::default();
        while batch.numbers.len() < BATCH_EVENTS_MAX {
            let Some(line) = self.next_line()? else { break };
            if !batch.body.is_empty() && batch.body.len() + line.len() > BATCH_BYTES_MAX {
                self.held = Some(line);
                break;
            }
            batch.body.extend_from_slice(&line);
            batch.body.push(b'\n');
            batch.numbers.push(self.number);
        }
        Ok(if batch.numbers.is_empty() { None } else { Some(batch) })
    }

    /// The next line that is not blank, without its end.
    fn next_line(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        if let Some(line) = self.held.take() {
            return Ok(Some(line));
        }
        loop {
            let mut line = Vec::new();
            let limit = LINE_BYTES_MAX as u64 + 1;
            if self.reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.len() > LINE_BYTES_MAX {
                let message = format!("line {} has more than {LINE_BYTES_MAX} bytes", self.number);
                return Err(Failure::new(Exit::Usage, message).into());
            }
            line.truncate(line.trim_ascii_end().len());
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(text: String) -> Vec<Batch> {
        let reader = BufReader::new(std::io::Cursor::new(text));
        let mut lines = Lines { reader, number: 0, held: None };
        std::iter::from_fn(|| lines.next_batch().unwrap()).collect()
    }

    #[test]
    fn blank_lines_count_but_are_not_sent() {
        let batches = batches("{\"a\":1}\n\n  \n{\"b\":2}\r\n{\"c\":3}".into());
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].numbers, [1, 4, 5]);
        assert_eq!(batches[0].body, b"{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
    }

    #[test]
    fn batches_end_at_either_limit() {
        let by_count = batches("{}\n".repeat(2_500));
        let sizes: Vec<_> = by_count.iter().map(|batch| batch.numbers.len()).collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
        assert_eq!(by_count[2].numbers[0], 2_001);

        let long = "x".repeat(3 * 1024 * 1024);
        let by_size = batches(format!("{long}\n{long}\n{{}}\n"));
        let numbers: Vec<_> = by_size.iter().map(|batch| batch.numbers.clone()).collect();
        assert_eq!(numbers, [vec![1], vec![2, 3]]);
    }

    #[test]
    fn refusals_name_lines_of_the_file() {
        use crate::model::view::Fault;
        let faults =
            vec![Fault::new("/1/type", "type", "is empty"), Fault::new("/2", "size", "is large")];
        let answer = Answer {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            headers: http::HeaderMap::new(),
            body: serde_json::to_vec(&Problem::invalid(faults)).unwrap().into(),
        };
        let error = accepted(answer, &[1, 4, 5]).unwrap_err().to_string();
        assert!(error.contains("line 4 /type: is empty\n  line 5: is large"), "{error}");
    }
}
