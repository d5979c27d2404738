//! The delays of a timer in a kernel that serves: the longest from when it is due to its handler.

use std::error::Error;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bareflow::client::Client;
use bareflow_builder::Workspace;
use bareflow_loader::Domain;
use bareflow_protocol::control::LoadOverrides;
use bareflow_protocol::report::Events;
use bareflow_protocol::{Request, Response};

use crate::served::{Served, push};
use crate::{blob_of, table};

/// The time for which an idle kernel and one with much to load are watched.
const WATCHED: Duration = Duration::from_secs(20);

/// The time that the long call is to take; its budget is a minute.
const CALL: Duration = Duration::from_secs(54);

/// The steps of the call by which it is found out how many a second are.
const TRIAL: u64 = 50_000_000;

/// The module with a timer, of 10 ms.
const TICKER: &str = "ticker.interval_ms=10";

/// The modules that are loaded.
struct Blobs {
    ticker: Vec<u8>,
    rogue: Vec<u8>,
    sum: Vec<u8>,
}

/// A function that keeps the kernel busy while the timer runs.
type Meanwhile = fn(&mut Client, &Blobs, Domain) -> Result<(), Box<dyn Error>>;

/// All of them, with their names.
const ALL: [(&str, Meanwhile); 3] = [
    ("nothing", idle),
    ("a client pushes one module after another", pushes),
    ("a call runs that takes some 54 s", calls),
];

/// Prints the table.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let blob = |path, folder| blob_of(workspace, path, folder);
    let ticker = blob("examples/gallery/ticker", "gallery")?;
    let blobs =
        Blobs { ticker, rogue: blob("tests/modules/rogue", "test-modules")?, sum: blob("modules/sum", "modules")? };
    let mut rows = table(&["meanwhile", "domain", "handled", "late", "longest delay, ms"]);
    for domain in Domain::ALL {
        let served = Served::start(false)?;
        let mut client = served.client()?;
        for (name, meanwhile) in ALL {
            push(&mut client, &blobs.ticker, LoadOverrides { parameters: TICKER, ..in_domain(domain) })?;
            meanwhile(&mut client, &blobs, domain)?;
            let Events { handled, late, longest_delay_us, .. } = events(&mut client)?;
            let delay = format!("{:.1}", longest_delay_us as f64 / 1000.0);
            rows.add_row([name, domain.name(), &handled.to_string(), &late.to_string(), &delay]);
            client.ask(Request::Unload { module: "ticker" })?;
        }
        served.end(client)?;
    }
    println!("## The longest time from when a timer of 10 ms is due to its handler\n\n{rows}\n");
    println!("Late: more than 1 ms, a tick of the kernel's clock. The emulator's own delays are in it.\n");
    Ok(())
}

fn in_domain(domain: Domain) -> LoadOverrides<'static> {
    LoadOverrides { domain: Some(domain.name()), ..LoadOverrides::default() }
}

fn idle(_: &mut Client, _: &Blobs, _: Domain) -> Result<(), Box<dyn Error>> {
    sleep(WATCHED);
    Ok(())
}

fn pushes(client: &mut Client, blobs: &Blobs, domain: Domain) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        push(client, &blobs.sum, in_domain(domain))?;
    }
    Ok(())
}

fn calls(client: &mut Client, blobs: &Blobs, domain: Domain) -> Result<(), Box<dyn Error>> {
    push(client, &blobs.rogue, in_domain(domain))?;
    let trial = call(client, TRIAL)?;
    let steps = TRIAL as f64 * (CALL.as_secs_f64() / trial.as_secs_f64());
    call(client, steps as u64)?;
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
