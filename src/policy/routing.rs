//! Which endpoints an event goes to.
//!
//! [`covers`] and [`meet`] say what a pattern means. [`Routes`] answers the same for all endpoints
//! at once: a tree of segments, of which a look-up visits only what covers the type so far, so that
//! its cost grows with the endpoints that match and not with those that there are.

use std::collections::BTreeMap;
use std::str::Split;

use crate::model::EndpointNo;
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

/// The types that each endpoint takes.
///
/// Invariant: no node is without an endpoint below it, but for the root.
#[derive(Debug, Default)]
pub struct Routes {
    globs: BTreeMap<EndpointNo, Vec<TypeGlob>>,
    root: Node,
}

/// Where patterns stand that begin alike.
#[derive(Debug, Default)]
struct Node {
    /// The endpoints of the pattern that ends here, in order.
    here: Vec<EndpointNo>,
    /// Those of the one that ends with `**` from here, in order.
    rest: Vec<EndpointNo>,
    /// What goes on with `*`.
    any: Option<Box<Node>>,
    /// What goes on with this segment.
    named: BTreeMap<Box<str>, Node>,
}

impl Routes {
    /// From now on the endpoint takes what these patterns cover, and nothing else.
    pub fn set(&mut self, endpoint: EndpointNo, globs: &[TypeGlob]) {
        let before = self.globs.remove(&endpoint).unwrap_or_default();
        if before != globs {
            before.iter().for_each(|glob| self.root.remove(glob.as_str().split('.'), endpoint));
            for glob in globs {
                let numbers = self.root.at(glob.as_str().split('.'));
                if let Err(place) = numbers.binary_search(&endpoint) {
                    numbers.insert(place, endpoint);
                }
            }
        }
        if !globs.is_empty() {
            self.globs.insert(endpoint, globs.to_vec());
        }
    }

    /// The endpoints that take the type, in order, each once. The events of postrider itself go
    /// only where a pattern names them.
    pub fn takers(&self, event_type: &EventType) -> Vec<EndpointNo> {
        let mut takers = Vec::new();
        let segments = event_type.as_str().split('.');
        if event_type.is_operational() {
            self.root.find_named(segments, &mut takers);
        } else {
            self.root.find(segments, &mut takers);
        }
        takers.sort_unstable();
        takers.dedup();
        takers
    }
}

impl Node {
    /// Where the endpoints of a pattern stand that goes on like this.
    fn at(&mut self, mut pattern: Split<'_, char>) -> &mut Vec<EndpointNo> {
        match pattern.next() {
            None => &mut self.here,
            Some("**") => &mut self.rest,
            Some("*") => self.any.get_or_insert_default().at(pattern),
            Some(name) => self.named.entry(name.into()).or_default().at(pattern),
        }
    }

    fn remove(&mut self, mut pattern: Split<'_, char>, endpoint: EndpointNo) {
        match pattern.next() {
            None => take_out(&mut self.here, endpoint),
            Some("**") => take_out(&mut self.rest, endpoint),
            Some("*") => {
                if let Some(any) = &mut self.any {
                    any.remove(pattern, endpoint);
                    self.any.take_if(|any| any.is_empty());
                }
            }
            Some(name) => {
                if let Some(node) = self.named.get_mut(name) {
                    node.remove(pattern, endpoint);
                    if node.is_empty() {
                        self.named.remove(name);
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.rest.is_empty() && self.any.is_none() && self.named.is_empty()
    }

    /// Adds the endpoints of all patterns that cover these segments.
    fn find(&self, mut segments: Split<'_, char>, found: &mut Vec<EndpointNo>) {
        let all = segments.clone();
        if segments.next().is_none() {
            found.extend_from_slice(&self.here);
            return;
        }
        found.extend_from_slice(&self.rest);
        if let Some(any) = &self.any {
            any.find(segments, found);
        }
        self.find_named(all, found);
    }

    /// The same for patterns that name the next segment.
    fn find_named(&self, mut segments: Split<'_, char>, found: &mut Vec<EndpointNo>) {
        if let Some(node) = segments.next().and_then(|name| self.named.get(name)) {
            node.find(segments, found);
        }
    }
}

fn take_out(numbers: &mut Vec<EndpointNo>, endpoint: EndpointNo) {
    if let Ok(place) = numbers.binary_search(&endpoint) {
        numbers.remove(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(glob: &str, event_type: &str) -> bool {
        covers(&glob.parse().unwrap(), &event_type.parse().unwrap())
    }

    fn globs(texts: &[&str]) -> Vec<TypeGlob> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_endpoint_is_found_once_and_leaves_nothing_behind() {
        let mut routes = Routes::default();
        let several = globs(&["order.*", "order.**", "order.paid", "order.paid", "*.*"]);
        routes.set(EndpointNo(7), &several);
        routes.set(EndpointNo(3), &globs(&["**"]));
        let takers = |routes: &Routes, text: &str| routes.takers(&text.parse().unwrap());
        assert_eq!(takers(&routes, "order.paid"), [EndpointNo(3), EndpointNo(7)]);
        assert_eq!(takers(&routes, "order"), [EndpointNo(3)]);
        assert_eq!(takers(&routes, "postrider.endpoint.opened"), []);
        routes.set(EndpointNo(7), &globs(&["ping"]));
        assert_eq!(takers(&routes, "order.paid"), [EndpointNo(3)]);
        assert_eq!(takers(&routes, "ping"), [EndpointNo(3), EndpointNo(7)]);
        routes.set(EndpointNo(7), &[]);
        routes.set(EndpointNo(3), &[]);
        assert!(routes.globs.is_empty());
        assert!(routes.root.is_empty(), "{routes:?}");
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
