//! The shape of the configuration: which keys there are, and which of them was meant by a key that
//! is not one of them.

use figment::value::Dict;
use figment::value::Value;

/// What may stand at a place.
#[derive(Debug)]
pub enum Shape {
    /// A value, which its reader judges.
    Value,
    /// A table with any keys.
    Map,
    /// A table with these keys.
    Table(&'static [(&'static str, Shape)]),
    /// A list of tables of this shape, numbered as [`super::layer`] does it: `0`, `1`, ... are
    /// the keys of a table.
    List(&'static Shape),
}

/// What does not fit into the shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Where it stands, from the top.
    pub path: Vec<String>,
    /// What is wrong with it.
    pub kind: MisfitKind,
}

/// What is wrong with a misfit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MisfitKind {
    /// A key that means nothing, and what was probably meant.
    UnknownKey(Option<String>),
    /// A table was expected here.
    NotATable,
    /// A list of tables was expected here.
    NotAList,
}

/// Keys that differ in more than one character out of this many are not similar.
const SIMILAR_PER_CHARS: usize = 3;

/// Everything below `table` that does not fit into `shape`, in the order of keys.
pub fn misfits(table: &Dict, shape: &'static Shape) -> Vec<Misfit> {
    let mut walk = Walk { root: shape, path: Vec::new(), found: Vec::new() };
    walk.table(table, shape);
    walk.found
}

struct Walk {
    root: &'static Shape,
    path: Vec<String>,
    found: Vec<Misfit>,
}

impl Walk {
    fn note(&mut self, kind: MisfitKind) {
        self.found.push(Misfit { path: self.path.clone(), kind });
    }

    fn table(&mut self, table: &Dict, shape: &'static Shape) {
        let numbered = table.keys().all(|key| key.bytes().all(|byte| byte.is_ascii_digit()));
        if matches!(shape, Shape::List(_)) && !numbered {
            self.note(MisfitKind::NotAList);
            return;
        }
        for (key, value) in table {
            self.path.push(key.clone());
            match shape {
                Shape::Value | Shape::Map => {}
                Shape::List(item) => self.value(value, item),
                Shape::Table(keys) => match keys.iter().find(|(name, _)| name == key) {
                    Some((_, below)) => self.value(value, below),
                    None => self.note(MisfitKind::UnknownKey(suggest(key, keys, self.root))),
                },
            }
            self.path.pop();
        }
    }

    fn value(&mut self, value: &Value, shape: &'static Shape) {
        match (value, shape) {
            (Value::Dict(_, table), _) => self.table(table, shape),
            (Value::Empty(..), _) | (_, Shape::Value | Shape::Map) => {}
            (_, Shape::Table(_)) => self.note(MisfitKind::NotATable),
            (_, Shape::List(_)) => self.note(MisfitKind::NotAList),
        }
    }
}

fn suggest(key: &str, keys: &[(&'static str, Shape)], root: &Shape) -> Option<String> {
    let names = keys.iter().map(|(name, _)| *name);
    let near = names.map(|name| (distance(key, name), name)).min()?;
    let allowed = (key.len() / SIMILAR_PER_CHARS).max(1);
    if near.0 <= allowed {
        return Some(format!("a key with a similar name exists: `{}`", near.1));
    }
    let Shape::Table(tables) = root else { return None };
    let elsewhere = tables.iter().find_map(|(table, shape)| match shape {
        Shape::Table(inner) if inner.iter().any(|(name, _)| *name == key) => Some(table),
        _ => None,
    });
    elsewhere.map(|table| format!("this key belongs into the table `{table}`"))
}

/// How many characters must be added, removed, replaced or swapped with their neighbour to make
/// one text of the other (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (index, from) in left.chars().enumerate() {
        let mut next = vec![index + 1];
        for (column, to) in right.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let mut best = at(&row, column) + usize::from(from != *to);
            best = best.min(at(&row, column + 1) + 1).min(at(&next, column) + 1);
            let left_of = column.checked_sub(1);
            let swapped = left_of
                .filter(|left_of| previous == Some(*to) && right.get(*left_of) == Some(&from));
            if let Some(column) = swapped {
                best = best.min(at(&before, column).saturating_add(1));
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
        previous = Some(from);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits_and_swaps() {
        assert_eq!(distance("timeout", "timeout"), 0);
        assert_eq!(distance("timeuot", "timeout"), 1);
        assert_eq!(distance("timeut", "timeout"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn near_misses_are_suggested_and_strangers_are_not() {
        static KEYS: &[(&str, Shape)] =
            &[("max_in_flight", Shape::Value), ("user_agent", Shape::Value)];
        let similar = |name: &str| format!("a key with a similar name exists: `{name}`");
        assert_eq!(suggest("max_inflight", KEYS, &Shape::Value), Some(similar("max_in_flight")));
        assert_eq!(suggest("useragent", KEYS, &Shape::Value), Some(similar("user_agent")));
        assert_eq!(suggest("color", KEYS, &Shape::Value), None);
    }

    #[test]
    fn a_key_in_the_wrong_table_is_found() {
        static ROOT: Shape =
            Shape::Table(&[("egress", Shape::Table(&[("block_private", Shape::Value)]))]);
        let help = "this key belongs into the table `egress`".to_owned();
        assert_eq!(suggest("block_private", &[("cache", Shape::Value)], &ROOT), Some(help));
    }
}
