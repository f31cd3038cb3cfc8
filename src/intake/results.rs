//! The answer to a batch: one result for each of its items, in order.

use serde::Serialize;

use crate::engine::Admitted;
use crate::engine::Refusal;
use crate::intake::answer;
use crate::intake::answer::Rejection;
use crate::model::Code;
use crate::model::Submission;
use crate::model::view::Accepted;
use crate::model::view::Fault;
use crate::model::view::Problem;

/// What became of the items of a batch.
#[derive(Serialize)]
pub(super) struct Results {
    results: Vec<ItemResult>,
    accepted: usize,
    pub(super) rejected: usize,
}

#[derive(Serialize)]
pub(super) struct ItemResult {
    index: usize,
    status: u16,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    accepted: Option<Accepted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

impl Results {
    pub(super) fn new(results: Vec<ItemResult>) -> Results {
        let accepted = results.iter().filter(|result| result.accepted.is_some()).count();
        let rejected = results.len() - accepted;
        Results { results, accepted, rejected }
    }
}

impl ItemResult {
    pub(super) fn new(index: usize, outcome: Result<Accepted, Problem>) -> ItemResult {
        match outcome {
            Ok(accepted) => {
                ItemResult { index, status: 202, accepted: Some(accepted), problem: None }
            }
            Err(problem) => {
                let status = problem.status;
                ItemResult { index, status, accepted: None, problem: Some(problem) }
            }
        }
    }
}

/// Every fault of every item, each with its index before its pointer. Where nothing else is wrong
/// than types that the source may not submit, or payloads that are too large, that is the answer.
pub(super) fn checks_failed(items: &[Result<Submission, Box<Problem>>]) -> Problem {
    let mut faults = Vec::new();
    for (index, problem) in
        items.iter().enumerate().filter_map(|(i, r)| Some((i, r.as_ref().err()?)))
    {
        if problem.errors.is_empty() {
            let (code, detail) = (problem.code.clone(), problem.detail.clone());
            faults.push(Fault { pointer: format!("/{index}"), code, detail });
        }
        for fault in &problem.errors {
            let pointer = format!("/{index}{}", fault.pointer);
            faults.push(Fault { pointer, ..fault.clone() });
        }
    }
    let mut codes = items.iter().filter_map(|item| item.as_ref().err()?.known_code());
    let only = codes.next().filter(|first| codes.all(|code| code == *first));
    let only = only.filter(|code| matches!(code, Code::TypeNotAllowed | Code::PayloadTooLarge));
    match (only, faults.as_slice()) {
        (Some(code), [first, ..]) => {
            let detail =
                format!("event {}: {}", first.pointer.trim_start_matches('/'), first.detail);
            Problem { errors: faults, ..Problem::new(code, detail) }
        }
        _ => Problem::invalid(faults),
    }
}

/// The problem of a batch of which nothing was admitted: that of the first item with one of its
/// own.
pub(super) fn refused_as_a_whole(answers: &[Result<Admitted, Refusal>]) -> Option<Rejection> {
    if answers.iter().any(Result::is_ok) {
        return None;
    }
    let mut refusals = answers.iter().enumerate().filter_map(|(i, a)| Some((i, a.as_ref().err()?)));
    let (index, refusal) = refusals.find(|(_, refusal)| **refusal != Refusal::WithOthers)?;
    let Rejection { problem, wait } = answer::refused(refusal);
    let detail = format!("event {index}: {}", problem.detail);
    Some(Rejection { problem: Problem { detail, ..problem }, wait })
}
