//! The `serve` command: a kernel in QEMU that keeps running, and the broker between it and its clients (`broker`),
//! which find it at a socket (`socket`).

pub mod address;
pub mod broker;
mod clients;
mod flow;
mod listener;
mod request_queue;
mod response_queue;
pub mod token;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use bareflow_protocol::KernelOptions;
use bareflow_protocol::options::Task;

use crate::input_files::InputFiles;
use crate::needed::name_of;
use crate::options::ServeOptions;
use crate::qemu::{KillHandle, Machine};
use crate::{Exit, boot, engines, output, say};
pub use listener::Socket;
use token::TokenFile;

/// The port of the module `control` in the machine, unless its parameter says otherwise.
const CONTROL_PORT: u16 = 7777;

/// The interval between checks whether the kernel is up.
const POLL: Duration = Duration::from_millis(50);

/// Runs the command.
///
/// # Errors
/// Anything that keeps the kernel from being served, and any end but a successful shutdown.
pub fn serve(options: &ServeOptions) -> Result<Exit> {
    let (path, link) = address::to_listen(options.socket.as_deref());
    let files = engines::go_along(InputFiles::to_load(&options.files, &options.loading), &options.loading.portable)?;
    let mut machine = boot::machine(&options.machine, &files)?.machine;
    if let Some(refused) = files.unreadable.first() {
        bail!("{} can't be read, expected a blob; nothing was booted", refused.source);
    }
    let data_disk_read_only = machine.data_disk.as_deref().is_some_and(is_read_only);
    if data_disk_read_only {
        crate::complain!("[SERVE] the disk may not be written to, so `save` will be refused");
    }
    let network = options.control.map(|port| control(port, &mut machine)).transpose()?;
    let socket = Socket::bind(&path)?;
    let token_file = network.map(|()| TokenFile::create(&path)).transpose()?;
    let token = token_file.as_ref().map(TokenFile::token);
    let control_port = options.control;
    if control_port.is_some() && !files.blobs.iter().any(|(_, blob)| name_of(blob) == "control") {
        crate::complain!(
            "[SERVE] no module `control` is among the files, so no client comes by `--control`; name target/drivers/control.mod, \
             tcpip.mod and virtio-net.mod, which `bareflow build --drivers` makes"
        );
    }
    let options = KernelOptions { token, ..boot::kernel_options(Task::Serve, &options.loading) };
    let machine = Machine { options, files, virtio_channel: true, data_disk_read_only, ..machine };
    let _link = link.and_then(|link| address::SocketLink::publish(&link, &path));
    let stopped = Arc::new(AtomicBool::new(false));
    let (told, kill_handle) = mpsc::channel();
    end_on_signals(&stopped, kill_handle)?;
    let running = machine.start()?;
    // The receiver is gone only after a signal; the handle was received then.
    let _ = told.send(running.kill_handle());
    let up = AtomicBool::new(false);
    let ended = thread::scope(|scope| {
        let broker = scope.spawn(|| {
            let up = || up.store(true, Ordering::Release);
            broker::run_and_tell(socket.listener(), &running.channel, up)
        });
        let by_tcp = control_port.zip(token_file.as_ref().map(TokenFile::path));
        show(&running.console, &up, &path, by_tcp);
        // The console ends with QEMU, and the channel with it.
        let _ = running.channel.shutdown(std::net::Shutdown::Both);
        broker.join().unwrap_or_else(|_| Err(anyhow!("the broker panicked")))
    });
    let left = running.wait();
    ensure!(
        !stopped.load(Ordering::Relaxed),
        "stopped by a signal, expected `bareflow shutdown`; the kernel was ended with it"
    );
    left?;
    ended?;
    Ok(Exit::Passed)
}

/// Lets clients come by TCP at a port of 127.0.0.1.
fn control(port: u16, machine: &mut Machine) -> Result<()> {
    let network = machine.network.get_or_insert_default();
    ensure!(
        network.forward(port, CONTROL_PORT),
        "`--control` takes QEMU's user network, expected neither `--net=wire` nor `--net=stream:PATH`"
    );
    Ok(())
}

/// Whether an existing file may not be written to.
fn is_read_only(path: &Path) -> bool {
    std::fs::OpenOptions::new().read(true).write(true).open(path).is_err()
}

/// Shows the console to its end. Between two lines, once the kernel is `up`, also shows where clients find it:
/// at the socket `path`, and `by_tcp` with a token's file.
fn show(console: &mpsc::Receiver<Vec<u8>>, up: &AtomicBool, path: &Path, by_tcp: Option<(u16, &Path)>) {
    let (mut said, mut at_line_start) = (false, true);
    loop {
        match console.recv_timeout(POLL) {
            Ok(text) => {
                output::show_bytes(&text);
                at_line_start = text.ends_with(b"\n");
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        if !said && at_line_start && up.load(Ordering::Acquire) {
            say!("serving at {}; `bareflow shutdown` ends it", path.display());
            if let Some((port, token)) = by_tcp {
                say!("by TCP: `--tcp 127.0.0.1:{port} --token {}`", token.display());
            }
            said = true;
        }
    }
}

/// Makes Ctrl-C and SIGTERM end the machine; all else follows from that.
///
/// If the machine does not run yet, it is ended as soon as it does.
fn end_on_signals(stopped: &Arc<AtomicBool>, kill_handle: mpsc::Receiver<KillHandle>) -> Result<()> {
    let stopped = Arc::clone(stopped);
    let act = move || {
        stopped.store(true, Ordering::Relaxed);
        if let Ok(kill_handle) = kill_handle.recv() {
            kill_handle.kill();
        }
    };
    ctrlc::set_handler(act).map_err(|error| anyhow!("can't wait for Ctrl-C: {error}"))
}
