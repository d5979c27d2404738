//! `serve`: a kernel in QEMU that keeps running, and the broker between it and
//! any number of clients (`broker`), which find it at a socket (`socket`).

pub mod broker;
mod client_queue;
mod clients;
mod flow;
mod socket;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use crate::files::Files;
use crate::options::ServeOptions;
use crate::qemu::{Killer, Machine};
use crate::{Ended, Problem, boot, say};
pub use socket::{Socket, default_path};

/// Carries the command out.
///
/// # Errors
/// What keeps it from being carried out, or what the kernel ended with.
pub fn serve(options: &ServeOptions) -> Result<Ended, Problem> {
    let path = options.socket.clone().unwrap_or_else(default_path);
    let machine = boot::machine(&options.machine)?;
    let files = Files::blobs(&options.files);
    if let Some(refused) = files.unreadable.first() {
        return Err(format!("{} can't be read, expected a blob; nothing was booted", refused.source).into());
    }
    let command_line = boot::command_line(&options.loading, options.machine.icount, 1);
    let archive = boot::boot_archive(&files);
    let machine = Machine { command_line: format!("{command_line} serve=1"), archive, ..machine };
    let socket = Socket::bind(&path)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let (told, killer) = mpsc::channel();
    end_on_signals(&stopped, killer)?;
    let running = machine.start()?;
    // Nobody listens only after a signal, which has ended the machine then.
    let _ = told.send(running.killer());
    say!("serving at {}; `bareflow shutdown` ends it", path.display());
    let ended = thread::scope(|scope| {
        let broker = scope.spawn(|| broker::run(socket.listener(), &running.channel).map_err(|e| e.to_string()));
        running.console.iter().for_each(|text| boot::show(&text));
        // The console ends with QEMU, and the channel with it.
        let _ = running.channel.shutdown(std::net::Shutdown::Both);
        broker.join().unwrap_or_else(|_| Err("the broker panicked".to_owned()))
    });
    let left = running.wait();
    if stopped.load(Ordering::Relaxed) {
        return Err("stopped by a signal, expected `bareflow shutdown`; the kernel was ended with it".into());
    }
    left?;
    ended?;
    Ok(Ended::Passed)
}

/// Lets Ctrl-C and SIGTERM end the machine; all else follows from that. A machine that is not there yet is
/// ended as soon as it is.
fn end_on_signals(stopped: &Arc<AtomicBool>, killer: mpsc::Receiver<Killer>) -> Result<(), Problem> {
    let stopped = Arc::clone(stopped);
    let act = move || {
        stopped.store(true, Ordering::Relaxed);
        if let Ok(killer) = killer.recv() {
            killer.kill();
        }
    };
    ctrlc::set_handler(act).map_err(|error| format!("can't wait for Ctrl-C: {error}").into())
}
