//! A file, and a directory, of which something is not synced yet; and what a cut leaves of them.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// What is written goes to the disk in pieces of so many bytes: one or the other for each cut.
const PIECE_BYTES: [usize; 2] = [512, 4096];

/// How kind a cut is.
#[derive(Debug)]
pub(crate) struct Cut {
    rng: fastrand::Rng,
    /// The share of what is not synced that is on the disk all the same.
    kept: f32,
    piece: usize,
    /// Whether a change of a directory may be kept where an earlier one is lost.
    names_in_order: bool,
}

/// Content as the process sees it, as it is on the disk for certain, and what lies between.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) now: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write {
        at: usize,
        data: Vec<u8>,
    },
    /// The file's length, changed by itself or by the write before it.
    Length(usize),
}

/// The same of a directory. Nodes are known by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(crate) now: BTreeMap<OsString, u64>,
    pub(crate) synced: BTreeMap<OsString, u64>,
    pending: Vec<Naming>,
}

/// A change of names within one directory: one of them goes, one of them comes, or both at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Naming {
    pub(crate) gone: Option<OsString>,
    pub(crate) come: Option<(OsString, u64)>,
}

impl Cut {
    pub(crate) fn new(mut rng: fastrand::Rng) -> Cut {
        let kept = rng.choice([0.0, 0.2, 0.5, 0.8, 1.0]).unwrap_or(0.5);
        let piece = rng.choice(PIECE_BYTES).unwrap_or(512);
        let names_in_order = rng.bool();
        Cut { rng, kept, piece, names_in_order }
    }

    fn keeps(&mut self) -> bool {
        self.rng.f32() < self.kept
    }

    /// Of changes that reach the disk in their order: how many did.
    fn first(&mut self, changes: usize) -> usize {
        (0..changes).take_while(|_| self.keeps()).count()
    }
}

impl File {
    pub(crate) fn write(&mut self, at: usize, data: &[u8]) {
        let end = at + data.len();
        let grows = end > self.now.len();
        put(&mut self.now, at, data);
        self.pending.push(Change::Write { at, data: data.to_vec() });
        if grows {
            self.pending.push(Change::Length(end));
        }
    }

    pub(crate) fn resize(&mut self, length: usize) {
        self.now.resize(length, 0);
        self.pending.push(Change::Length(length));
    }

    pub(crate) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            match change {
                Change::Write { at, data } => put(&mut self.synced, at, &data),
                Change::Length(length) => self.synced.resize(length, 0),
            }
        }
    }

    /// A sync that fails has not written what was pending, and no later one will.
    pub(crate) fn fail_to_sync(&mut self) {
        self.pending.clear();
    }

    /// Leaves what was synced, and of the rest what chance has put on the disk: pieces of writes in
    /// any order, the last one torn, and lengths up to some moment. What is kept of a write beyond
    /// the length that is kept is gone; where length is kept and the write is not, there are zeros.
    pub(crate) fn cut(&mut self, cut: &mut Cut) {
        let lengths = self.pending.iter().filter(|change| matches!(change, Change::Length(_)));
        let mut lengths_kept = cut.first(lengths.count());
        let mut length = self.synced.len();
        let writes = self.pending.iter().filter(|change| matches!(change, Change::Write { .. }));
        let mut writes_left = writes.count();
        for change in self.pending.drain(..) {
            match change {
                Change::Write { at, data } => {
                    writes_left -= 1;
                    let torn = (writes_left == 0).then(|| cut.rng.usize(..=data.len()));
                    write_some(&mut self.synced, at, &data[..torn.unwrap_or(data.len())], cut);
                }
                Change::Length(to) if lengths_kept > 0 => {
                    lengths_kept -= 1;
                    length = to;
                    self.synced.truncate(length);
                }
                Change::Length(_) => {}
            }
        }
        self.synced.resize(length, 0);
        self.now.clone_from(&self.synced);
    }
}

impl Directory {
    pub(crate) fn change(&mut self, naming: Naming) {
        apply(&mut self.now, naming.clone());
        self.pending.push(naming);
    }

    pub(crate) fn sync(&mut self) {
        for naming in self.pending.drain(..) {
            apply(&mut self.synced, naming);
        }
    }

    pub(crate) fn fail_to_sync(&mut self) {
        self.pending.clear();
    }

    /// Leaves the names that were synced, and of later changes those up to some moment, or any.
    pub(crate) fn cut(&mut self, cut: &mut Cut) {
        let first = cut.first(self.pending.len());
        for (index, naming) in self.pending.drain(..).enumerate() {
            let kept = if cut.names_in_order { index < first } else { cut.keeps() };
            if kept {
                apply(&mut self.synced, naming);
            }
        }
        self.now.clone_from(&self.synced);
    }
}

/// Writes the pieces of `data` that chance keeps.
fn write_some(content: &mut Vec<u8>, at: usize, data: &[u8], cut: &mut Cut) {
    let mut from = 0;
    while from < data.len() {
        let room = cut.piece - (at + from) % cut.piece;
        let to = data.len().min(from + room);
        if cut.keeps() {
            put(content, at + from, &data[from..to]);
        }
        from = to;
    }
}

fn put(content: &mut Vec<u8>, at: usize, data: &[u8]) {
    let end = at + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(data);
}

fn apply(names: &mut BTreeMap<OsString, u64>, naming: Naming) {
    if let Some(gone) = naming.gone {
        names.remove(&gone);
    }
    if let Some((name, node)) = naming.come {
        names.insert(name, node);
    }
}
