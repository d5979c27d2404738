//! QEMU's user network in a process of its own, whose frames go over a socket.

use std::fmt::Write;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The network. It ends when this is dropped, and with the thread that started it.
#[derive(Debug)]
pub struct UserNetwork {
    qemu: Child,
    _folder: TempDir,
}

/// A port of 127.0.0.1, and the host of the network and its port that it leads to.
pub type Forward = (u16, [u8; 4], u16);

impl UserNetwork {
    /// Starts it, and returns the end for frames.
    ///
    /// # Errors
    /// When QEMU can't be started.
    pub fn start(forwards: &[Forward]) -> io::Result<(UserNetwork, UnixStream)> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path)?;
        let mut user = "user,id=user".to_owned();
        for (here, [a, b, c, d], there) in forwards {
            // A string takes everything.
            _ = write!(user, ",hostfwd=tcp:127.0.0.1:{here}-{a}.{b}.{c}.{d}:{there}");
        }
        let stream = format!("stream,id=stream,server=off,addr.type=unix,addr.path={}", path.display());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64", "-machine", "none", "-nodefaults"]);
        command.args(["-no-user-config", "-display", "none"]);
        command.args(["-netdev", &user, "-netdev", "hubport,id=h0,hubid=0,netdev=user"]);
        command.args(["-netdev", &stream, "-netdev", "hubport,id=h1,hubid=0,netdev=stream"]);
        // It warns that there is no card.
        let qemu = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut network = UserNetwork { qemu, _folder: folder };
        listener.set_nonblocking(true)?;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    return Ok((network, stream));
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if network.qemu.try_wait()?.is_some() => {
                    return Err(io::Error::other("QEMU ended at once; is a port taken?"));
                }
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for UserNetwork {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        _ = self.qemu.kill();
        _ = self.qemu.wait();
    }
}

/// Returns ports of 127.0.0.1 that no one uses.
///
/// # Errors
/// When there is none.
pub fn free_ports<const COUNT: usize>() -> io::Result<[u16; COUNT]> {
    let mut ports = [0; COUNT];
    let mut listeners = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
