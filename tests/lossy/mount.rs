//! The disk as the kernel sees it: a FUSE file system.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use fuser::BackgroundSession;
use fuser::Config;
use fuser::Errno;
use fuser::FileAttr;
use fuser::FileHandle;
use fuser::FileType;
use fuser::Filesystem;
use fuser::FopenFlags;
use fuser::Generation;
use fuser::INodeNo;
use fuser::LockOwner;
use fuser::OpenFlags;
use fuser::RenameFlags;
use fuser::ReplyAttr;
use fuser::ReplyCreate;
use fuser::ReplyData;
use fuser::ReplyDirectory;
use fuser::ReplyEmpty;
use fuser::ReplyEntry;
use fuser::ReplyOpen;
use fuser::ReplyStatfs;
use fuser::ReplyWrite;
use fuser::Request;
use fuser::TimeOrNow;
use fuser::WriteFlags;

use crate::disk::Call;
use crate::disk::Disk;
use crate::disk::Node;
use crate::disk::State;
use crate::file::Directory;
use crate::file::File;
use crate::file::Naming;

/// Nobody else changes anything, so the kernel may remember names and attributes.
const REMEMBERED: Duration = Duration::from_secs(3600);
const BLOCK_BYTES: u32 = 512;
/// Room that is said to be there, in blocks.
const BLOCKS: u64 = 1 << 24;

/// While it lives, the disk is there.
#[derive(Debug)]
pub(crate) struct Mount(Option<BackgroundSession>);

struct Shown(Disk);

impl Mount {
    pub(crate) fn new(disk: &Disk, place: &Path) -> std::io::Result<Mount> {
        let session = fuser::spawn_mount(Shown(disk.clone()), place, &Config::default())?;
        Ok(Mount(Some(session)))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            session.umount_and_join().unwrap();
        }
    }
}

fn attributes(number: u64, node: &Node) -> FileAttr {
    let (kind, perm, size) = match node {
        Node::File(file) => (FileType::RegularFile, 0o600, file.now.len()),
        Node::Directory(_) => (FileType::Directory, 0o700, 0),
    };
    let size = u64::try_from(size).unwrap();
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(BLOCK_BYTES.into()),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn of(state: &State, number: u64) -> Result<FileAttr, Errno> {
    Ok(attributes(number, state.node(number)?))
}

impl Shown {
    fn look_up(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let mut state = self.0.state();
        let number = state.named(parent.into(), name)?;
        of(&state, number)
    }

    /// A new file, or the one that is there.
    fn open_named(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let mut state = self.0.begin(Call::Open)?;
        let number = match state.named(parent.into(), name) {
            Err(Errno::ENOENT) => state.make(parent.into(), name, Node::File(File::default()))?,
            found => found?,
        };
        of(&state, number)
    }

    fn make_directory(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let mut state = self.0.begin(Call::Open)?;
        let node = Node::Directory(Directory::default());
        let number = state.make(parent.into(), name, node)?;
        of(&state, number)
    }

    fn remove(&self, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        let mut state = self.0.begin(Call::Unlink)?;
        state.named(parent.into(), name)?;
        let naming = Naming { gone: Some(name.to_owned()), come: None };
        state.directory(parent.into())?.change(naming);
        Ok(())
    }

    fn move_to(&self, from: (INodeNo, &OsStr), to: (INodeNo, &OsStr)) -> Result<(), Errno> {
        let mut state = self.0.begin(Call::Rename)?;
        let number = state.named(from.0.into(), from.1)?;
        let (gone, come) = (Some(from.1.to_owned()), Some((to.1.to_owned(), number)));
        if from.0 == to.0 {
            state.directory(to.0.into())?.change(Naming { gone, come });
        } else {
            state.directory(to.0.into())?.change(Naming { gone: None, come });
            state.directory(from.0.into())?.change(Naming { gone, come: None });
        }
        Ok(())
    }

    fn resize(&self, number: INodeNo, bytes: u64) -> Result<FileAttr, Errno> {
        let mut state = self.0.begin(Call::Resize)?;
        state.file(number.into())?.resize(usize::try_from(bytes).map_err(|_| Errno::EFBIG)?);
        of(&state, number.into())
    }

    fn sync(&self, number: INodeNo) -> Result<(), Errno> {
        let mut state = match self.0.begin(Call::Sync) {
            Ok(state) => state,
            Err(error) => {
                self.0.state().fail_to_sync(number.into());
                return Err(error);
            }
        };
        match state.node_mut(number.into())? {
            Node::File(file) => file.sync(),
            Node::Directory(directory) => directory.sync(),
        }
        Ok(())
    }
}

fn finish(done: Result<(), Errno>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn enter(found: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match found {
        Ok(attributes) => reply.entry(&REMEMBERED, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn describe(found: Result<FileAttr, Errno>, reply: ReplyAttr) {
    match found {
        Ok(attributes) => reply.attr(&REMEMBERED, &attributes),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Shown {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        enter(self.look_up(parent, name), reply);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        describe(of(&self.0.state(), number.into()), reply);
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let resized = size.map(|bytes| self.resize(number, bytes));
        describe(resized.unwrap_or_else(|| of(&self.0.state(), number.into())), reply);
    }

    fn mkdir(&self, _: &Request, at: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        enter(self.make_directory(at, name), reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.open_named(parent, name) {
            Ok(found) => {
                let (handle, flags) = (FileHandle(0), FopenFlags::empty());
                reply.created(&REMEMBERED, &found, Generation(0), handle, flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.0.begin(Call::Open) {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.0.state().node(number.into()) {
            Ok(Node::File(file)) => {
                let length = file.now.len();
                let from = length.min(usize::try_from(offset).unwrap());
                let to = length.min(from + usize::try_from(size).unwrap());
                reply.data(&file.now[from..to]);
            }
            Ok(Node::Directory(_)) => reply.error(Errno::EISDIR),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let at = usize::try_from(offset).unwrap();
        let done = self.0.begin(Call::Write).and_then(|mut state| {
            state.file(number.into())?.write(at, data);
            Ok(())
        });
        match done {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap()),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let now = of(&self.0.state(), number.into());
        let bytes = now.map(|now| now.size.max(offset + length));
        finish(bytes.and_then(|bytes| self.resize(number, bytes)).map(drop), reply);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        finish(self.sync(number), reply);
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        finish(self.sync(number), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        finish(self.remove(parent, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        finish(self.remove(parent, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        finish(self.move_to((parent, name), (new_parent, new_name)), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let state = self.0.state();
        let directory = match state.node(number.into()) {
            Ok(Node::Directory(directory)) => directory,
            Ok(Node::File(_)) => return reply.error(Errno::ENOTDIR),
            Err(error) => return reply.error(error),
        };
        let skipped = usize::try_from(offset).unwrap();
        for (index, (name, node)) in (1..).zip(&directory.now).skip(skipped) {
            let kind = match state.node(*node) {
                Ok(Node::Directory(_)) => FileType::Directory,
                _ => FileType::RegularFile,
            };
            if reply.add(INodeNo(*node), index, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, 0, 0, BLOCK_BYTES, 255, BLOCK_BYTES);
    }
}
