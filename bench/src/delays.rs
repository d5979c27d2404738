//! How long a timer waits for its handler at most, in a kernel that serves.

use std::error::Error;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bareflow::client::Client;
use bareflow_builder::discover::module_at;
use bareflow_builder::{Workspace, build_module};
use bareflow_loader::Domain;
use bareflow_protocol::control::LoadOverrides;
use bareflow_protocol::report::Events;
use bareflow_protocol::{Request, Response};

use crate::served::{Served, push};
use crate::table;

/// The time for which an idle kernel and one with much to load are watched.
const WATCHED: Duration = Duration::from_secs(20);

/// The time that the long call is to take.
const CALL: Duration = Duration::from_secs(60);

/// The steps of the call by which it is found out how many a second are.
const TRIAL: u64 = 50_000_000;

/// The module with a timer, of 10 ms.
const TICKER: &str = "ticker.interval_ms=10";

/// Prints the table.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let blob = |path: &str, folder: &str| -> Result<Vec<u8>, Box<dyn Error>> {
        let manifest = workspace.root.join(path).join("Cargo.toml");
        Ok(build_module(&module_at(&manifest)?, &workspace.target.join(folder))?.bytes)
    };
    let ticker = blob("examples/gallery/ticker", "gallery")?;
    let (rogue, sum) = (blob("tests/modules/rogue", "test-modules")?, blob("modules/sum", "modules")?);
    let mut rows = table(&["meanwhile", "domain", "handled", "late", "longest delay, ms"]);
    for domain in Domain::ALL {
        let served = Served::start(false)?;
        let mut client = served.client()?;
        let mut measured = |name: &str, work: &mut dyn FnMut(&mut Client) -> Result<(), Box<dyn Error>>| {
            let overrides =
                LoadOverrides { domain: Some(domain.name()), parameters: TICKER, ..LoadOverrides::default() };
            push(&mut client, &ticker, overrides)?;
            work(&mut client)?;
            let Events { handled, late, longest_delay_us, .. } = events(&mut client)?;
            let delay = format!("{:.1}", longest_delay_us as f64 / 1000.0);
            rows.add_row([name, domain.name(), &handled.to_string(), &late.to_string(), &delay]);
            client.ask(Request::Unload { module: "ticker" })?;
            Ok::<_, Box<dyn Error>>(())
        };
        measured("nothing", &mut |_| {
            sleep(WATCHED);
            Ok(())
        })?;
        measured("a client pushes one module after another", &mut |client| {
            let start = Instant::now();
            while start.elapsed() < WATCHED {
                push(client, &sum, LoadOverrides::default())?;
            }
            Ok(())
        })?;
        measured("a call runs for a minute", &mut |client| {
            let overrides = LoadOverrides { domain: Some(domain.name()), ..LoadOverrides::default() };
            push(client, &rogue, overrides)?;
            let trial = call(client, TRIAL)?;
            let steps = TRIAL as f64 * (CALL.as_secs_f64() * 0.9 / trial.as_secs_f64());
            call(client, steps as u64).map(|_| ())
        })?;
        served.end(client)?;
    }
    println!("## The longest time from when a timer is due to its handler\n\n{rows}\n");
    println!("Late: more than 1 ms, a tick of the kernel's clock. The emulator's own delays are in it.\n");
    Ok(())
}

/// Calls the module for as many steps, and returns the time.
fn call(client: &mut Client, steps: u64) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    match client.ask(Request::Call { module: "rogue", input: &steps.to_le_bytes(), repeat: 1 })? {
        Response::Called(called) if called.result == 1 => Ok(start.elapsed()),
        other => Err(format!("{other:?}").into()),
    }
}

/// Returns the counts of the module with the timer.
fn events(client: &mut Client) -> Result<Events, Box<dyn Error>> {
    match client.ask(Request::Stats { module: Some("ticker") })? {
        Response::Modules(mut modules) => {
            let module = modules.pop().ok_or("no module")?;
            Ok(module.events.ok_or("no events")?)
        }
        other => Err(format!("{other:?}").into()),
    }
}
