//! Events: what one costs, and how many timers of a thousand modules the kernel keeps up with.

use std::error::Error;

use bareflow::embedded::KERNEL;
use bareflow::input_files::InputFiles;
use bareflow::qemu::Machine;
use bareflow_builder::discover::module_at;
use bareflow_builder::{Workspace, build_module};
use bareflow_loader::Domain;
use bareflow_protocol::options::{Rig, Task};

use crate::table;

/// The intervals of the timers in a crowd, in milliseconds.
const INTERVALS_MS: [u32; 5] = [100, 10, 4, 2, 1];

/// The lines of the rig that measures one event.
const COSTS: [&str; 3] = ["timer event", "nothing due", "task poll"];

/// Prints the tables.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let blob = |path: &str, folder: &str| -> Result<(String, Vec<u8>), Box<dyn Error>> {
        let manifest = workspace.root.join(path).join("Cargo.toml");
        Ok((path.to_owned(), build_module(&module_at(&manifest)?, &workspace.target.join(folder))?.bytes))
    };
    let ticker = blob("examples/gallery/ticker", "gallery")?;
    let task = blob("tests/modules/least-task", "test-modules")?;
    println!("task: {} bytes of a blob in all\n", task.1.len());
    let mut costs = table(&["what", "kernel domain", "user domain"]);
    let [kernel, user] = Domain::ALL.map(|domain| measure(&[ticker.clone(), task.clone()], domain, Rig::Events));
    let (kernel, user) = (kernel?, user?);
    for name in COSTS {
        let of =
            |console: &str| console.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).map(str::to_owned);
        let [kernel, user] = [of(&kernel), of(&user)].map(|figure| figure.ok_or(format!("{name}: no figure")));
        costs.add_row([name, &kernel?, &user?]);
    }
    println!("## An event, in instructions\n\n{costs}\n");
    println!("A timer event: from when it is due to when its handler, which publishes a notification, is done.\n");
    let mut crowd = table(&["interval", "domain", "a second, by a processor of 1 GIPS"]);
    for interval_ms in INTERVALS_MS {
        for domain in Domain::ALL {
            let console = measure(std::slice::from_ref(&ticker), domain, Rig::Crowd(interval_ms))?;
            let line = console
                .lines()
                .find(|line| line.starts_with("handled "))
                .ok_or_else(|| format!("no figures of a crowd:\n{console}"))?;
            crowd.add_row([&format!("{interval_ms} ms"), domain.name(), line]);
        }
    }
    println!("## Timers of a thousand modules\n\n{crowd}\n");
    println!("Late: the handler began more than 1 ms after its timer was due.\n");
    Ok(())
}

/// Returns the console of a rig in a kernel in which a tick is an instruction.
fn measure(blobs: &[(String, Vec<u8>)], domain: Domain, rig: Rig) -> Result<String, Box<dyn Error>> {
    let files = InputFiles { blobs: blobs.to_vec(), ..InputFiles::default() };
    let mut machine = Machine { icount: true, files, memory_megabytes: 1024, ..Machine::new(KERNEL) };
    machine.options.task = Task::Rig(rig);
    machine.options.load.domain = domain;
    Ok(machine.run(|_| ())?.console)
}
