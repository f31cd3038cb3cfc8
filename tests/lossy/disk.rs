//! The disk in memory that the file system shows: nodes, calls that are made to fail, the cut.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;

use fuser::Errno;

use crate::file::Cut;
use crate::file::Directory;
use crate::file::File;
use crate::file::Naming;
use crate::harness::PATIENCE;

/// The number of the top directory (`FUSE_ROOT_ID`).
pub(crate) const TOP: u64 = 1;

/// What a process asks of the disk that changes it, or makes a change safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Write,
    Sync,
    Open,
    Resize,
    Rename,
    Unlink,
}

/// The call of a kind that fails, counted from one; and with `sticky`, all of the kind after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) call: Call,
    pub(crate) nth: u64,
    pub(crate) sticky: bool,
}

/// What has a number.
#[derive(Debug)]
pub(crate) enum Node {
    File(File),
    Directory(Directory),
}

/// All of it; clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug)]
pub(crate) struct State {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    rng: fastrand::Rng,
    /// Calls until the power goes.
    calls_left: Option<u64>,
    /// The power is gone: nothing is answered but errors.
    dark: bool,
    fault: Option<Fault>,
    calls: BTreeMap<Call, u64>,
    failed: u64,
}

impl Disk {
    pub(crate) fn new(rng: fastrand::Rng) -> Disk {
        let nodes = BTreeMap::from([(TOP, Node::Directory(Directory::default()))]);
        let state = State {
            nodes,
            next: TOP + 1,
            rng,
            calls_left: None,
            dark: false,
            fault: None,
            calls: BTreeMap::new(),
            failed: 0,
        };
        Disk(Arc::new((Mutex::new(state), Condvar::new())))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// The power goes after so many calls.
    pub(crate) fn cut_power_after(&self, calls: u64) {
        self.state().calls_left = Some(calls);
    }

    /// The power goes now, if it has not gone.
    pub(crate) fn cut_power(&self) {
        self.state().dark = true;
        self.0.1.notify_all();
    }

    /// Waits until the power is gone, or until `ended`, which is looked at now and then.
    pub(crate) fn dark_or(&self, ended: impl Fn() -> bool) -> bool {
        let (_, changed) = &*self.0;
        let mut state = self.state();
        while !state.dark && !ended() {
            state = changed.wait_timeout(state, PATIENCE / 1000).unwrap().0;
        }
        state.dark
    }

    /// Loses what was not synced, and works again.
    pub(crate) fn lose_unsynced(&self) {
        let mut state = self.state();
        let mut cut = Cut::new(state.rng.fork());
        for node in state.nodes.values_mut() {
            match node {
                Node::File(file) => file.cut(&mut cut),
                Node::Directory(directory) => directory.cut(&mut cut),
            }
        }
        state.forget_unnamed();
        (state.dark, state.calls_left, state.fault) = (false, None, None);
    }

    /// From its beginning on, this call fails.
    pub(crate) fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// How many calls of each kind there were.
    pub(crate) fn calls(&self) -> BTreeMap<Call, u64> {
        self.state().calls.clone()
    }

    /// How many calls have failed.
    pub(crate) fn failed(&self) -> u64 {
        self.state().failed
    }

    /// One more call. Whoever waits for the end of the power is told of it.
    pub(crate) fn begin(&self, call: Call) -> Result<MutexGuard<'_, State>, Errno> {
        let mut state = self.state();
        if let Some(left) = state.calls_left.as_mut() {
            *left = left.saturating_sub(1);
            state.dark |= *left == 0;
        }
        if state.dark {
            self.0.1.notify_all();
            return Err(Errno::EIO);
        }
        let count = state.calls.entry(call).or_default();
        *count += 1;
        let nth = *count;
        let fails = |fault: Fault| nth == fault.nth || (fault.sticky && nth > fault.nth);
        if state.fault.is_some_and(|fault| fault.call == call && fails(fault)) {
            state.failed += 1;
            return Err(Errno::EIO);
        }
        Ok(state)
    }
}

impl State {
    pub(crate) fn node(&self, number: u64) -> Result<&Node, Errno> {
        if self.dark { Err(Errno::EIO) } else { self.nodes.get(&number).ok_or(Errno::ENOENT) }
    }

    pub(crate) fn node_mut(&mut self, number: u64) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&number).ok_or(Errno::ENOENT)
    }

    pub(crate) fn file(&mut self, number: u64) -> Result<&mut File, Errno> {
        match self.node_mut(number)? {
            Node::File(file) => Ok(file),
            Node::Directory(_) => Err(Errno::EISDIR),
        }
    }

    pub(crate) fn directory(&mut self, number: u64) -> Result<&mut Directory, Errno> {
        match self.node_mut(number)? {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(Errno::ENOTDIR),
        }
    }

    pub(crate) fn named(&mut self, parent: u64, name: &OsStr) -> Result<u64, Errno> {
        if self.dark {
            return Err(Errno::EIO);
        }
        self.directory(parent)?.now.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Of a sync that failed although the power is there: what was pending will never be written.
    pub(crate) fn fail_to_sync(&mut self, number: u64) {
        match self.nodes.get_mut(&number) {
            _ if self.dark => {}
            Some(Node::File(file)) => file.fail_to_sync(),
            Some(Node::Directory(directory)) => directory.fail_to_sync(),
            None => {}
        }
    }

    /// A new node with this name.
    pub(crate) fn make(&mut self, parent: u64, name: &OsStr, node: Node) -> Result<u64, Errno> {
        let number = self.next;
        let come = Some((name.to_owned(), number));
        self.directory(parent)?.change(Naming { gone: None, come });
        self.next += 1;
        self.nodes.insert(number, node);
        Ok(number)
    }

    /// Nodes that no name leads to are no more.
    fn forget_unnamed(&mut self) {
        let mut named = BTreeMap::new();
        let mut found = vec![TOP];
        while let Some(number) = found.pop() {
            let Some(node) = self.nodes.remove(&number) else { continue };
            if let Node::Directory(directory) = &node {
                found.extend(directory.now.values());
            }
            named.insert(number, node);
        }
        self.nodes = named;
    }
}
