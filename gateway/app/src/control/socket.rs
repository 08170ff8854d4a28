//! The socket itself.
//!
//! Promises: it is for its user alone from the moment it is there; whoever asks is known by what the kernel
//! says of them; a data folder with a long path has one, too.
//!
//! Refuses: following a link that lies in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::process::geteuid;
use tokio::runtime::Handle;

use super::FILE;

/// Connections that wait until they are looked at.
const WAITING: i32 = 16;
/// What the kernel takes as the path of a socket.
const LONGEST_PATH: usize = 100;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) user: u32,
    /// Not told of a process in another container.
    pub(super) process: Option<i32>,
}

impl Peer {
    /// What the kernel says. tokio is asked since rustix takes a process's number for one that is never 0,
    /// which it is for one in another container.
    pub(super) fn of(stream: &UnixStream, runtime: &Handle) -> Result<Self> {
        let _inside = runtime.enter();
        let twin = stream.try_clone()?;
        twin.set_nonblocking(true)?;
        let known = tokio::net::UnixStream::from_std(twin)?.peer_cred();
        // The two are one to the kernel.
        stream.set_nonblocking(false)?;
        known.map(|known| Peer { user: known.uid(), process: known.pid() })
    }

    /// Whether they could read the data folder anyway.
    pub(super) fn is_trusted(self) -> bool {
        self.may_answer_for(geteuid().as_raw())
    }

    /// Whether it is this user, or root.
    pub(super) fn may_answer_for(self, owner: u32) -> bool {
        self.user == 0 || self.user == owner
    }
}

/// Makes the socket in a data folder that belongs to this process; one that was left behind goes.
pub(super) fn listen_in(folder: &Path) -> Result<UnixListener> {
    match fs::remove_file(folder.join(FILE)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (path, _held) = reachable(folder)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // The file that stands for it is made with this mode, so that it never has another.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, WAITING)?;
    Ok(socket.into())
}

pub(super) fn connect_in(folder: &Path) -> Result<UnixStream> {
    let (path, _held) = reachable(folder)?;
    UnixStream::connect(path)
}

/// A path of the socket that is short enough, as long as the file lives.
fn reachable(folder: &Path) -> Result<(PathBuf, Option<File>)> {
    let path = folder.join(FILE);
    if path.as_os_str().len() <= LONGEST_PATH {
        return Ok((path, None));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let held = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(folder)?;
    let short = Path::new("/proc/self/fd").join(held.as_raw_fd().to_string());
    if !short.exists() {
        return Err(Error::new(ErrorKind::InvalidInput, "its path is too long, and /proc is not mounted"));
    }
    Ok((short.join(FILE), Some(held)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[tokio::test]
    async fn it_is_for_its_user_alone_takes_the_place_of_what_was_left_and_may_lie_deep() {
        let top = tempfile::tempdir().unwrap();
        let deep = top.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        fs::write(top.path().join("other"), "untouched").unwrap();
        symlink(top.path().join("other"), deep.join(FILE)).unwrap();
        for folder in [top.path(), &deep] {
            for _ in 0..2 {
                let listener = listen_in(folder).unwrap();
                let about = fs::symlink_metadata(folder.join(FILE)).unwrap();
                assert!(about.file_type().is_socket());
                assert_eq!(about.permissions().mode() & 0o777, 0o600);
                let asking = connect_in(folder).unwrap();
                let peer = Peer::of(&listener.accept().unwrap().0, &Handle::current()).unwrap();
                assert_eq!((peer.user, peer.is_trusted()), (geteuid().as_raw(), true));
                assert_eq!(peer.process, i32::try_from(std::process::id()).ok());
                drop(asking);
            }
            assert_eq!(connect_in(folder).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
        assert_eq!(fs::read(top.path().join("other")).unwrap(), b"untouched");
    }

    #[test]
    fn another_user_is_not_trusted_unless_it_is_root() {
        let own = geteuid().as_raw();
        let trusted = |user| Peer { user, process: None }.is_trusted();
        assert!(trusted(own) && trusted(0) && !trusted(own + 1));
        let answers_for = |user, owner| Peer { user, process: None }.may_answer_for(owner);
        assert!(answers_for(7, 7) && answers_for(0, 7) && !answers_for(8, 7) && !answers_for(7, 0));
    }
}
