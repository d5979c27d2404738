//! The kernel as a server: it loads its own modules and those on its disk, and then answers clients
//! ([`bareflow_server`]) until one ends it.

mod channel_queue;
mod environment;
mod links;
pub mod poll_during_call;

pub use channel_queue::drain_rx;
pub use links::provide as provide_channel;

use alloc::boxed::Box;

use bareflow_containment::Contained;
use bareflow_loader::ModuleManager;
use bareflow_protocol::KernelOptions;
use bareflow_server::Server;
use bareflow_suite::archive::Archive;
use bareflow_suite::console::{Style, greet};
use x86_64::instructions::hlt;
use x86_64::registers::control::Cr8;

use crate::console::{self, KernelConsole};
use crate::devices::{interrupts, iommu};
use crate::disk::modules;
use crate::embedded;
use environment::KernelEnvironment;

/// The kernel's server.
pub type KernelServer = Server<'static, Contained, KernelEnvironment>;

/// The number of polls without work before the processor waits for the next tick.
const IDLE_ROUNDS: u32 = 2_000;

/// Serves until a client ends the kernel; returns whether the server could start.
pub fn run(manager: ModuleManager<Contained>, archive: &Archive<'static>, options: &KernelOptions) -> bool {
    let ticks = manager.platform().has_ticks();
    if let Err(error) = channel_queue::open(options.virtio) {
        console::show(Style::Error, format_args!("[ERROR] no clients can be served: {error}\n"));
        return false;
    }
    links::take(options.token);
    let environment = KernelEnvironment::new(options.icount);
    let server = match Server::new(manager, environment, archive.load_defaults()) {
        Ok(server) => server.with_parameters(archive.parameters),
        Err(error) => {
            console::show(Style::Error, format_args!("[ERROR] no clients can be served: {error}\n"));
            return false;
        }
    };
    let server = if options.token.is_some() { server.with_links(&links::LINKS) } else { server };
    let server: &'static KernelServer = Box::leak(Box::new(server));
    greet(&KernelConsole);
    for blob in embedded::modules().iter().chain(&archive.blobs) {
        server.load_at_startup(&blob.label, blob.bytes);
    }
    // Each module on the disk replaces one of the same name that the kernel carries.
    let on_disk = modules::select(server.manager().platform(), |source, error| {
        console::show(Style::Error, format_args!("[ERROR]"));
        console::show(Style::Plain, format_args!(" {source}: {error}\n"));
    });
    on_disk.iter().for_each(|path| server.load_file(path));
    server.refuse_pending();
    poll_during_call::install(server);
    let count = server.manager().ids().count();
    console::show(Style::Good, format_args!("[OK]"));
    console::show(
        Style::Plain,
        format_args!(" Serving {count} modules on {}\n", if options.virtio { "a virtio console" } else { "COM2" }),
    );
    // Bytes that arrived before the port was open are lost; from here on none are.
    server.announce();
    let mut idle = 0;
    while !server.has_ended() {
        // The last call may have left interrupts masked. Without ticks nothing would end the next call, or the wait.
        Cr8::write(None);
        let came = channel_queue::take(|bytes| server.receive(bytes));
        let worked = server.serve_links() | server.poll();
        let handled = server.run_events(false).called > 0;
        idle = if came || worked || handled { 0 } else { idle + 1 };
        if idle > IDLE_ROUNDS {
            server.look_at_clock();
            interrupts::tell_unasked();
            iommu::tell_faults();
            // The port's own buffer is small, so it is polled without a pause while more bytes are expected.
            if ticks && !server.is_receiving() {
                hlt();
            }
        }
    }
    links::flush(server);
    server.end_modules();
    console::show(Style::Title, format_args!("=== KERNEL ENDED BY A CLIENT ===\n"));
    channel_queue::flush();
    true
}
