//! What an attempt says about its endpoint: window, pause, breaker, and whether it is disabled.

use crate::engine::Engine;
use crate::engine::words::Notice;
use crate::model::Attempt;
use crate::model::EndpointNo;
use crate::model::EndpointState;
use crate::model::Held;
use crate::model::Time;
use crate::policy::breaker;
use crate::policy::signs;
use crate::policy::signs::Sign;
use crate::policy::verdict::Verdict;
use crate::policy::verdict::verdict;

/// A new state of an endpoint, which is written with the step that brought it.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) state: EndpointState,
    /// What is told once it is safe.
    pub(crate) notices: Vec<Notice>,
}

/// What an attempt means for its endpoint.
#[derive(Debug, Default)]
pub(crate) struct Health {
    pub(crate) change: Option<Change>,
    /// It was made to see whether the endpoint is well again, in vain: nothing is tried before
    /// this.
    pub(crate) not_before: Option<Time>,
}

impl Engine {
    /// Learns from an attempt that began then, before its place in the window is free again.
    pub(crate) fn examine(
        &mut self,
        now: Time,
        no: EndpointNo,
        attempt: &Attempt,
        began: Time,
    ) -> Health {
        let sign = signs::sign(attempt);
        let Some(lane) = self.lanes.get_mut(&no) else { return Health::default() };
        let full = lane.dialling >= lane.own_window();
        let max = lane.window_max();
        lane.gate.learn(sign, began, now, full, max);
        let retry = &lane.endpoint.retry;
        if let Some(asked) = attempt.retry_after.filter(|_| retry.honor_retry_after)
            && sign.is_strain()
        {
            lane.gate.pause_until(asked.min(now + retry.retry_after_max));
        }
        let policy = lane.endpoint.flow.breaker;
        let failures = lane.gate.failures;
        let disables = verdict(retry, attempt) == Verdict::Disable;
        let Some(entry) = self.entries.get_mut(&no) else { return Health::default() };
        let state = &mut entry.state;
        let (mut notices, mut not_before, outcome) = (Vec::new(), None, attempt.outcome);
        // that it is to be left alone holds at once; that it may be called again, once it is safe
        match (state.open, policy) {
            (Some(open), _) if matches!(sign, Sign::Well | Sign::Busy) => {
                state.open = None;
                notices.push(Notice::EndpointRecovered { endpoint: no, open });
            }
            (Some(open), Some(policy)) if sign.is_failure() && began >= open.until => {
                let open = breaker::stays_open(&policy, open, outcome, now);
                state.open = Some(open);
                lane.endpoint.state.open = state.open;
                not_before = Some(open.until);
                if breaker::gives_up(&policy, &open, now) {
                    let why = format!("every attempt has failed since {}", open.since);
                    notices.extend(disable(state, no, now, why));
                }
            }
            (None, Some(policy)) if sign.is_failure() => {
                // where it does not, it may just have been closed, which need not be safe yet
                if let Some(open) = breaker::opens(&policy, failures, outcome, now) {
                    state.open = Some(open);
                    lane.endpoint.state.open = Some(open);
                    notices.push(Notice::BreakerOpened { endpoint: no, open });
                }
            }
            _ => {}
        }
        if let Some(status) = attempt.status.filter(|_| disables) {
            notices.extend(disable(state, no, now, format!("the endpoint answered {status}")));
        }
        let changed = not_before.is_some() || !notices.is_empty();
        let change = changed.then(|| Change { state: state.clone(), notices });
        Health { change, not_before }
    }
}

fn disable(
    state: &mut EndpointState,
    endpoint: EndpointNo,
    since: Time,
    reason: String,
) -> Option<Notice> {
    if state.disabled.is_some() {
        return None;
    }
    let notice = Notice::EndpointDisabled { endpoint, reason: reason.clone() };
    state.disabled = Some(Held { since, actor: "postrider".to_owned(), reason });
    Some(notice)
}
