//! A served kernel with a broker, for many clients.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use bareflow::client::Client;
use bareflow::embedded::KERNEL;
use bareflow::qemu::{KillHandle, Machine};
use bareflow::serve::{Socket, broker};
use bareflow_protocol::options::Task;
use bareflow_protocol::{Request, Response};
use tempfile::TempDir;

/// A kernel with a broker.
pub struct Served {
    pub folder: TempDir,
    pub thread: Option<JoinHandle<String>>,
    pub kill_handle: KillHandle,
}

impl Drop for Served {
    fn drop(&mut self) {
        // Leaves no kernel running if the test fails, or does not wait for a call.
        self.kill_handle.kill();
    }
}

impl Served {
    /// Boots a kernel in the machine that `change` makes.
    pub fn start(change: impl FnOnce(&mut Machine)) -> Served {
        assert!(!KERNEL.is_empty(), "this build has no kernel; run `make setup`");
        let mut machine = Machine::new(KERNEL);
        machine.options.task = Task::Serve;
        machine.virtio_channel = true;
        change(&mut machine);
        let folder = tempfile::tempdir().unwrap();
        let socket = Socket::bind(&folder.path().join("s")).unwrap();
        let running = machine.start().unwrap_or_else(|error| panic!("{error}"));
        let kill_handle = running.kill_handle();
        let thread = spawn(move || {
            let channel = running.channel.try_clone().unwrap();
            let broker = spawn(move || broker::run(socket.listener(), &channel).map_err(|error| error.to_string()));
            let console: Vec<u8> = running.console.iter().flatten().collect();
            let console = String::from_utf8_lossy(&console).into_owned();
            let _ = running.channel.shutdown(std::net::Shutdown::Both);
            running.wait().unwrap_or_else(|error| panic!("{error}\n{console}"));
            broker.join().unwrap().unwrap_or_else(|error| panic!("{error}\n{console}"));
            console
        });
        Served { folder, thread: Some(thread), kill_handle }
    }

    /// Returns the broker's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Connects a client.
    pub fn client(&self) -> Client {
        let stream = UnixStream::connect(self.socket()).unwrap();
        Client::greet(Box::new(stream), &self.socket(), Duration::from_secs(120))
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Shuts the kernel down, which must respond as usual, and returns its console's output.
    pub fn end(mut self) -> String {
        let mut client = self.client();
        assert!(matches!(client.ask(Request::Ps), Ok(Response::Modules(_))));
        assert!(matches!(client.ask(Request::Shutdown), Ok(Response::Done)));
        self.thread.take().unwrap().join().unwrap()
    }
}
