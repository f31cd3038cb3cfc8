//! Which endpoints an event goes to.

use crate::model::EventType;
use crate::model::TypeGlob;

/// Whether the pattern covers the type: `*` is one segment, `**` at the end one or more. The
/// events of postrider itself are covered only by patterns that name them.
pub fn covers(glob: &TypeGlob, event_type: &EventType) -> bool {
    if event_type.is_operational() && !glob.is_operational() {
        return false;
    }
    let mut patterns = glob.as_str().split('.');
    let mut segments = event_type.as_str().split('.');
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return true,
            (Some("**"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(pattern), Some(segment)) if pattern == segment => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(glob: &str, event_type: &str) -> bool {
        covers(&glob.parse().unwrap(), &event_type.parse().unwrap())
    }

    #[test]
    fn globs_cover_whole_segments() {
        assert!(check("order.created", "order.created"));
        assert!(check("order.*", "order.created"));
        assert!(!check("order.*", "order.item.added"));
        assert!(!check("order.*", "order"));
        assert!(check("order.**", "order.item.added"));
        assert!(!check("order.**", "order"), "** stands for at least one segment");
        assert!(check("**", "anything.at.all"));
        assert!(check("*", "ping"));
        assert!(!check("*", "order.created"));
        assert!(check("*.created", "order.created"));
        assert!(!check("order.created", "order.created.late"));
        assert!(!check("order", "orders"));
        assert!(!check("**", "postrider.endpoint.opened"), "not meant by those who want all");
        assert!(!check("*.endpoint.opened", "postrider.endpoint.opened"));
        assert!(check("postrider.**", "postrider.endpoint.opened"));
    }
}
