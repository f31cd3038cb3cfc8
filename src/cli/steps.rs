//! The log of a delivery as a page for people.

use crate::cli::output::Context;
use crate::cli::output::Tone;
use crate::cli::text;
use crate::cli::text::NONE;
use crate::model::Attempt;
use crate::model::DeadReason;
use crate::model::DeliveryState;
use crate::model::Next;
use crate::model::Outcome;
use crate::model::Step;
use crate::model::StepKind;
use crate::model::Time;
use crate::model::WaitReason;
use crate::model::view::DeliveryView;

const HEADER: [&str; 10] =
    ["#", "AT", "OUTCOME", "STATUS", "DNS", "TCP", "TLS", "WAIT", "TOTAL", "NEXT"];
/// Lines of a response that are shown.
const RESPONSE_LINES_MAX: usize = 12;

/// A delivery with everything that happened to it.
pub(super) fn page(context: &Context, delivery: &DeliveryView) -> String {
    let tone = match delivery.state {
        DeliveryState::Delivered => Tone::Good,
        DeliveryState::Dead => Tone::Bad,
        _ => Tone::Odd,
    };
    let state = format!("{}{}", delivery.state, course(context.now(), delivery));
    let event_type = delivery.event_type.as_deref().unwrap_or("(no longer kept)");
    let mut lines = vec![
        format!("Delivery   {}   {}", delivery.id, context.paint(tone, &state)),
        format!("Event      {}   {}", delivery.event_id, text::clean(event_type)),
        format!("Endpoint   {}", delivery.endpoint),
    ];
    if !delivery.steps.is_empty() {
        lines.push(String::new());
        lines.push(context.grid(&HEADER, rows(&delivery.steps)));
    }
    lines.extend(last_failure(&delivery.steps));
    lines.push(String::new());
    lines.push(match delivery.payload_gone_at {
        Some(_) => format!("Payload    none{}", text::gone(delivery.payload_gone_at)),
        None => format!("Send again:  postrider delivery retry {}", delivery.id),
    });
    lines.join("\n")
}

/// What comes next, or why nothing does.
fn course(now: Time, delivery: &DeliveryView) -> String {
    let reason = delivery.reason.as_deref().map(text::clean);
    let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    match delivery.next_at {
        Some(at) => {
            let number = delivery.attempts.saturating_add(1);
            format!(", attempt {number} {}{why}", text::relative(now, at))
        }
        None => why,
    }
}

fn rows(steps: &[Step]) -> Vec<Vec<String>> {
    let mut attempts = 0_u32;
    let rows = steps.iter().map(|step| {
        let next = next(step);
        match &step.kind {
            StepKind::Attempt(attempt) => {
                attempts += 1;
                row(attempts.to_string(), step.at, attempt, &next)
            }
            StepKind::Command { actor } => note(step.at, &text::clean(actor), &next),
            StepKind::Rule | StepKind::Duplicate { .. } => note(step.at, "postrider", &next),
        }
    });
    rows.collect()
}

fn row(number: String, at: Time, attempt: &Attempt, next: &str) -> Vec<String> {
    let phases = attempt.phases;
    vec![
        number,
        text::clock(at),
        attempt.outcome.to_string(),
        attempt.status.map_or_else(|| NONE.into(), |status| status.to_string()),
        text::micros(phases.dns_us),
        text::micros(phases.connect_us),
        text::micros(phases.tls_us),
        text::micros(phases.wait_us),
        text::micros(phases.total_us),
        next.to_owned(),
    ]
}

fn note(at: Time, who: &str, next: &str) -> Vec<String> {
    let mut cells = vec![NONE.to_owned(), text::clock(at), format!("by {who}")];
    cells.resize(HEADER.len() - 1, String::new());
    cells.push(next.to_owned());
    cells
}

/// What followed from a step.
fn next(step: &Step) -> String {
    if let StepKind::Duplicate { of } = step.kind {
        return format!("duplicate of {of}");
    }
    match step.next {
        Next::Delivered => String::new(),
        Next::Cancelled => "cancelled".into(),
        Next::Dead { reason } => format!("dead: {}", dead(reason)),
        Next::Wait { due, why } => {
            let why = match why {
                WaitReason::Schedule => "",
                WaitReason::RetryAfter => " (Retry-After)",
                WaitReason::Requested => " (requested)",
                WaitReason::Delayed => " (delayed)",
                WaitReason::Held => " (held)",
                WaitReason::Interrupted => " (postrider stopped)",
                WaitReason::Breaker => " (breaker open)",
                WaitReason::OnHold => return "on hold".into(),
                WaitReason::Released => " (released)",
                WaitReason::ClockSetBack => " (the clock was set back)",
            };
            format!("+{}{why}", text::span(due.since(step.at)))
        }
    }
}

fn dead(reason: DeadReason) -> &'static str {
    match reason {
        DeadReason::Exhausted => "no attempt left",
        DeadReason::Expired => "too old",
        DeadReason::Refused => "refused for good",
        DeadReason::Poisoned => "ended the process too often",
        DeadReason::EndpointRemoved => "endpoint removed",
        DeadReason::Unreadable => "unreadable",
        DeadReason::Stale => "a later version came first",
        DeadReason::Deadline => "others of its key waited too long",
        DeadReason::Skipped => "failed, others of its key go on",
    }
}

/// What is known of the last attempt that failed: its detail, and the beginning of the response.
fn last_failure(steps: &[Step]) -> Vec<String> {
    let attempts = steps.iter().filter_map(|step| match &step.kind {
        StepKind::Attempt(attempt) => Some(attempt),
        StepKind::Command { .. } | StepKind::Rule | StepKind::Duplicate { .. } => None,
    });
    let numbered = attempts.enumerate().filter(|(_, attempt)| attempt.outcome != Outcome::Ok);
    let Some((index, attempt)) = numbered.last() else { return Vec::new() };
    let number = index + 1;
    let mut lines = Vec::new();
    if let Some(detail) = &attempt.detail {
        let remote = attempt.remote.as_deref().map(|at| format!(" ({at})")).unwrap_or_default();
        lines.push(format!(
            "Failure of #{number}: {}{}",
            text::clean(detail),
            text::clean(&remote)
        ));
    }
    if let Some(response) = &attempt.response {
        let content_type = text::clean(&response.content_type);
        let size = response.body.len();
        lines.push(format!("Response to #{number}: {content_type}, {size} B kept"));
        let body = String::from_utf8_lossy(&response.body);
        let shown = body.lines().take(RESPONSE_LINES_MAX);
        lines.extend(shown.map(|line| format!("  {}", text::clean(line))));
    }
    lines
}
