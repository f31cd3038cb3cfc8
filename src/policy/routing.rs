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

/// Whether there are types that both patterns cover.
pub fn meet(one: &TypeGlob, other: &TypeGlob) -> bool {
    let mut ones = one.as_str().split('.');
    let mut others = other.as_str().split('.');
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return true,
            (Some("**"), Some(_)) | (Some(_), Some("**")) => return true,
            (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
            (Some(one), Some(other)) if one == other => {}
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
    fn globs_meet_where_a_type_fits_both() {
        let meets = |one: &str, other: &str| {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(meet(&one, &other), meet(&other, &one));
            meet(&one, &other)
        };
        assert!(meets("order.*", "order.created") && meets("order.*", "*.created"));
        assert!(meets("order.**", "order.item.added") && meets("**", "ping"));
        assert!(!meets("order.*", "user.*") && !meets("order.*", "order.item.added"));
        assert!(!meets("order.**", "order"));
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
