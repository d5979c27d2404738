//! A kernel that serves the bench alone.

use std::error::Error;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use bareflow::client::{Client, upload};
use bareflow::embedded::KERNEL;
use bareflow::qemu::Machine;
use bareflow_protocol::control::{LoadOverrides, Loaded, Push};
use bareflow_protocol::options::Task;
use bareflow_protocol::{KernelOptions, Request, Response};

/// A kernel without a broker: the thread that waits for its end, and its channel.
pub struct Served(JoinHandle<Result<(), String>>, UnixStream);

impl Served {
    /// Starts it, with a clock that counts instructions or not, and waits until it is ready.
    pub fn start(icount: bool) -> Result<Served, Box<dyn Error>> {
        Served::start_with(|machine| machine.icount = icount)
    }

    /// Starts it in the machine that `change` makes, and waits until it is ready.
    pub fn start_with(change: impl FnOnce(&mut Machine)) -> Result<Served, Box<dyn Error>> {
        let options = KernelOptions { task: Task::Serve, ..KernelOptions::default() };
        let mut machine = Machine { options, virtio_channel: true, ..Machine::new(KERNEL) };
        change(&mut machine);
        let running = machine.start()?;
        let channel = running.channel.try_clone()?;
        // The kernel sends a greeting when it is ready.
        let mut first = [0];
        (&channel).read_exact(&mut first)?;
        let waiting = spawn(move || {
            running.console.iter().for_each(drop);
            running.wait().map_err(|error| error.to_string())
        });
        Ok(Served(waiting, channel))
    }

    /// Returns a client of it.
    pub fn client(&self) -> Result<Client, Box<dyn Error>> {
        Ok(Client::greet(Box::new(self.1.try_clone()?), Path::new("COM2"), Duration::from_secs(120))?)
    }

    /// Ends it.
    pub fn end(self, mut client: Client) -> Result<(), Box<dyn Error>> {
        client.ask(Request::Shutdown)?;
        drop((client, self.1));
        self.0.join().map_err(|_| "the kernel's thread panicked")?.map_err(Into::into)
    }
}

/// Uploads a blob, and loads it.
pub fn push(client: &mut Client, blob: &[u8], overrides: LoadOverrides<'_>) -> Result<Loaded, Box<dyn Error>> {
    upload(client, blob, &mut |_, _| ())?;
    load(client, overrides)
}

/// Loads what was uploaded.
pub fn load(client: &mut Client, overrides: LoadOverrides<'_>) -> Result<Loaded, Box<dyn Error>> {
    let push = Push { label: "bench", overrides, beside: false, gate: None };
    match client.ask(Request::Push(push))? {
        Response::Loaded(loaded) => Ok(loaded),
        other => Err(format!("{other:?}").into()),
    }
}
