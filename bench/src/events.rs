//! Events: what one costs, and how many timers of a thousand modules the kernel keeps up with.

use std::error::Error;

use bareflow::embedded::KERNEL;
use bareflow::input_files::InputFiles;
use bareflow::qemu::Machine;
use bareflow_builder::Workspace;
use bareflow_loader::Domain;
use bareflow_protocol::options::{Crowd, Rig, Task};

use crate::{blob_of, table};

/// The intervals of the timers in a crowd, in milliseconds.
const INTERVALS_MS: [u32; 5] = [100, 10, 4, 2, 1];

/// The interval of timers for which it is narrowed down with how many modules half are late, and between which numbers.
const HALF_LATE_MS: u32 = 2;
const HALF_LATE_BETWEEN: (u32, u32) = (1000, 2000);
const NARROW: u32 = 63;

/// The names of a crowd's figures on the console.
const CROWD: [&str; 4] = ["handled ", "missed ", "late ", "interrupts off for at most "];

/// The lines of the rig that measures one event.
const COSTS: [&str; 4] = ["timer event", "nothing due", "task poll", "tick"];

/// Prints the tables.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let blob = |path: &str, folder: &str| -> Result<(String, Vec<u8>), Box<dyn Error>> {
        Ok((path.to_owned(), blob_of(workspace, path, folder)?))
    };
    let ticker = blob("examples/gallery/ticker", "gallery")?;
    let task = blob("tests/modules/least-task", "test-modules")?;
    println!("task: {} bytes of a blob in all\n", task.1.len());
    let mut costs = table(&["what", "kernel domain", "user domain"]);
    let [kernel, user] = Domain::ALL.map(|domain| measure(&[ticker.clone(), task.clone()], domain, Rig::Events));
    let (kernel, user) = (kernel?, user?);
    for name in COSTS {
        costs.add_row([name, &figure(&kernel, name)?.to_string(), &figure(&user, name)?.to_string()]);
    }
    println!("## An event, in instructions\n\n{costs}\n");
    println!("A timer event: from when it is due to when its handler, which publishes a notification, is done.");
    println!("A tick: of the kernel's clock, with interrupts off, when nothing is due.\n");
    crowds(&ticker)
}

/// Prints how many timers are kept up with.
fn crowds(ticker: &(String, Vec<u8>)) -> Result<(), Box<dyn Error>> {
    let mut rows = table(&["modules", "interval", "domain", "handled", "missed", "late", "interrupts off at most"]);
    for domain in Domain::ALL {
        let mut watch = |modules, interval_ms| -> Result<bool, Box<dyn Error>> {
            let crowd = Crowd { modules, interval_ms };
            let console = measure(std::slice::from_ref(ticker), domain, Rig::Crowd(crowd))?;
            let [handled, missed, late, off] = CROWD.map(|name| figure(&console, name));
            let (handled, missed, late, off) = (handled?, missed?, late?, off?);
            let [modules, interval] = [modules.to_string(), format!("{interval_ms} ms")];
            let is_late = 2 * late > handled;
            rows.add_row(
                [modules, interval, domain.name().to_owned()]
                    .into_iter()
                    .chain([handled, missed, late, off].map(|figure| figure.to_string())),
            );
            Ok(is_late)
        };
        for interval_ms in INTERVALS_MS {
            watch(1000, interval_ms)?;
        }
        // The number of modules, each with a timer of 2 ms, from which on half of all handlers are late.
        let (mut kept, mut late) = HALF_LATE_BETWEEN;
        while late - kept > NARROW {
            let middle = kept.midpoint(late);
            *(if watch(middle, HALF_LATE_MS)? { &mut late } else { &mut kept }) = middle;
        }
        let rate = |modules: u32| u64::from(modules) * 1000 / u64::from(HALF_LATE_MS);
        println!(
            "{} domain: half are late from between {} and {} events a second on\n",
            domain.name(),
            rate(kept),
            rate(late)
        );
    }
    println!("## Timers of a thousand modules, for a second of a processor of 1 GIPS\n\n{rows}\n");
    println!(
        "Late: the handler began more than 1 ms after its timer was due. Interrupts off: the longest delay of a tick, in instructions.\n"
    );
    Ok(())
}

/// Returns the number behind a name on the console.
fn figure(console: &str, name: &str) -> Result<u64, String> {
    let found = console.split_once(name).map(|(_, rest)| rest.trim_start());
    let number = found.and_then(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok());
    number.ok_or_else(|| format!("no figure \"{name}\":\n{console}"))
}

/// Returns the console of a rig in a kernel in which a tick is an instruction.
fn measure(blobs: &[(String, Vec<u8>)], domain: Domain, rig: Rig) -> Result<String, Box<dyn Error>> {
    let files = InputFiles { blobs: blobs.to_vec(), ..InputFiles::default() };
    let mut machine = Machine { icount: true, files, memory_megabytes: 1024, ..Machine::new(KERNEL) };
    machine.options.task = Task::Rig(rig);
    machine.options.load.domain = domain;
    Ok(machine.run(|_| ())?.console)
}
