//! The commands that send one request and show its response.

use std::time::Duration;

use anyhow::Result;
use bareflow_protocol::control::{Device, File, FileList, Interfaces};
use bareflow_protocol::{Request, Response};
use bareflow_suite::figures::OrDash;
use serde::Serialize;
use serde_json::json;

use super::push::PROGRESS;
use super::run_command::{keep, run_command};
use super::show::{aligned, compare as comparison, modules, receipt, stats as statistics};
use super::unexpected;
use crate::input::read_input;
use crate::interfaces::exports;
use crate::interfaces::listing::{Listing, Module};
use crate::options::{
    CompareOptions, ConnectOptions, FilesOptions, LoadFileOptions, LogOptions, ModuleOptions, StatsOptions,
};
use crate::output::progress_bar;
use crate::report::disassemble;
use crate::{Exit, say};

/// The interval between requests for new log lines.
const FOLLOW: Duration = Duration::from_millis(200);

/// Sends one request. `show` prints the response and returns the part that goes into the JSON.
fn ask<T: Serialize>(
    connect: &ConnectOptions,
    request: Request<'_>,
    show: impl FnOnce(Response) -> Result<T>,
) -> Result<Exit> {
    run_command(connect, |client| {
        let bar = progress_bar(None, PROGRESS);
        let answer = client.ask_with(request, &mut |done, of| {
            bar.set_length(of);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        keep(connect.json.as_deref(), &show(answer?)?)?;
        Ok(Exit::Passed)
    })
}

/// Sends a request whose response carries no data, and prints `said` on success.
fn tell(connect: &ConnectOptions, request: Request<'_>, said: &str) -> Result<Exit> {
    ask(connect, request, |answer| match answer {
        Response::Done => {
            say!("{said}");
            Ok(json!({ "done": true }))
        }
        other => Err(unexpected(&other)),
    })
}

/// `ps`.
pub(crate) fn ps(connect: &ConnectOptions) -> Result<Exit> {
    run_command(connect, |client| {
        let (found, memory) = (client.ask(Request::Ps)?, client.ask(Request::Memory)?);
        let (Response::Modules(found), Response::Memory { pages, arena_bytes, table_bytes }) = (&found, &memory) else {
            return Err(unexpected(&found));
        };
        say!(
            "{}\n{pages} pages, {arena_bytes} shared bytes and {table_bytes} bytes of tables in use",
            modules::table(found)
        );
        let memory = json!({ "pages": pages, "arena_bytes": arena_bytes, "table_bytes": table_bytes });
        keep(connect.json.as_deref(), &json!({ "modules": found, "memory": memory }))?;
        Ok(Exit::Passed)
    })
}

/// `devices`.
pub(crate) fn devices(connect: &ConnectOptions) -> Result<Exit> {
    ask(connect, Request::Devices, |answer| match answer {
        Response::Devices(found) => {
            let rows = found.iter().map(|device| {
                let Device { place, device, class, reach, interrupt, owner, state, regions, faults, problem } = device;
                let owner = owner.as_deref().unwrap_or("-").to_owned();
                let problem = problem.as_deref().unwrap_or_default().to_owned();
                let words = [place, device, class, &**reach, &**interrupt].map(str::to_owned);
                [&words[..], &[state.to_string(), owner, regions.to_string(), faults.to_string(), problem]].concat()
            });
            let titles = ["PLACE", "DEVICE", "CLASS", "REACH", "NOTICED BY", "STATE", "OWNER", "REGIONS", "FAULTS", ""];
            say!("{}", aligned(&titles, &[7, 8], rows));
            Ok(json!({ "devices": found }))
        }
        other => Err(unexpected(&other)),
    })
}

/// `stats`.
pub(crate) fn stats(options: &StatsOptions) -> Result<Exit> {
    ask(&options.connect, Request::Stats { module: options.name.as_deref() }, |answer| match answer {
        Response::Modules(mut found) => {
            found.iter_mut().for_each(disassemble);
            say!("{}", statistics::text(&found));
            Ok(json!({ "modules": found }))
        }
        other => Err(unexpected(&other)),
    })
}

/// `interfaces`.
pub(crate) fn interfaces(connect: &ConnectOptions) -> Result<Exit> {
    run_command(connect, |client| {
        let found = match client.ask(Request::Interfaces { module: None })? {
            Response::Interfaces(found) => found,
            other => return Err(unexpected(&other)),
        };
        let module = |Interfaces { name, version, generation, bindings, signatures, providers, .. }| {
            Module::new(name, version, Some(generation), &exports::read(&bindings, &signatures), &providers)
        };
        let listing = Listing::new(found.into_iter().map(module).collect());
        listing.finish("no loaded module has imports or exports", connect.json.as_deref())?;
        Ok(Exit::Passed)
    })
}

/// `unload`.
pub(crate) fn unload(options: &ModuleOptions) -> Result<Exit> {
    ask(&options.connect, Request::Unload { module: &options.name }, |answer| match answer {
        Response::Unloaded(given_back) => {
            say!("{}", receipt::text(&given_back));
            Ok(given_back)
        }
        other => Err(unexpected(&other)),
    })
}

/// `restart`.
pub(crate) fn restart(options: &ModuleOptions) -> Result<Exit> {
    tell(&options.connect, Request::Restart { module: &options.name }, &format!("{} was restarted", options.name))
}

/// `activate`.
pub(crate) fn activate(options: &ModuleOptions) -> Result<Exit> {
    let request = Request::Activate { module: &options.name };
    tell(&options.connect, request, &format!("{} is what its name stands for now", options.name))
}

/// `compare`.
pub(crate) fn compare(options: &CompareOptions) -> Result<Exit> {
    let (modules, input) = ([&*options.first, &*options.second], read_input(options.input.as_deref())?);
    let request = Request::Compare { modules, input: &input, over: options.over };
    ask(&options.connect, request, |answer| match answer {
        Response::Compared(found) => {
            say!("{}", comparison::text(&found));
            Ok(found)
        }
        other => Err(unexpected(&other)),
    })
}

/// `log`.
pub(crate) fn log(options: &LogOptions) -> Result<Exit> {
    run_command(&options.connect, |client| {
        let mut next = 0;
        loop {
            let (first, lines) = match client.ask(Request::Log { from: next })? {
                Response::Log { first, lines } => (first, lines),
                other => return Err(unexpected(&other)),
            };
            if first > next {
                crate::complain!("[{} older lines are gone]", first - next);
            }
            lines.iter().for_each(|line| say!("{line}"));
            // Otherwise a kernel that counts backwards would make this print the same lines forever.
            next = next.max(first.saturating_add(lines.len() as u64));
            if !options.follow {
                keep(options.connect.json.as_deref(), &json!({ "first": first, "lines": lines }))?;
                return Ok(Exit::Passed);
            }
            std::thread::sleep(FOLLOW);
        }
    })
}

/// `load`.
pub(crate) fn load(options: &LoadFileOptions) -> Result<Exit> {
    let parameters = options.overrides.assignments.lines();
    let request = Request::Load { path: &options.path, overrides: options.overrides.overrides(&parameters) };
    ask(&options.connect, request, |answer| match answer {
        Response::Loaded(loaded) => {
            say!("{}", receipt::loaded(&loaded));
            Ok(loaded)
        }
        other => Err(unexpected(&other)),
    })
}

/// `ls`.
pub(crate) fn ls(options: &FilesOptions) -> Result<Exit> {
    ask(&options.connect, Request::Ls { path: &options.path }, |answer| match answer {
        Response::Files(FileList { files, cut }) => {
            let row = |file: &File| {
                let size = if file.folder { "-".to_owned() } else { file.bytes.to_string() };
                let name = format!("{}{}", file.name, if file.folder { "/" } else { "" });
                let [module, version] = [&file.module, &file.version].map(|text| OrDash(text.as_ref()).to_string());
                vec![size, name, module, version, file.problem.clone().unwrap_or_default()]
            };
            say!("{}", aligned(&["BYTES", "NAME", "MODULE", "VERSION", ""], &[0], files.iter().map(row)));
            if let Some(cut) = &cut {
                crate::complain!("[WARN] {}: there may be more: {cut}", options.path);
            }
            Ok(json!({ "files": files, "cut": cut }))
        }
        other => Err(unexpected(&other)),
    })
}

/// `save`.
pub(crate) fn save(options: &ModuleOptions) -> Result<Exit> {
    ask(&options.connect, Request::Save { module: &options.name }, |answer| match answer {
        Response::Saved { path, bytes } => {
            say!("{} is at {path} now: {bytes} bytes", options.name);
            Ok(json!({ "path": path, "bytes": bytes }))
        }
        other => Err(unexpected(&other)),
    })
}

/// `shutdown`.
pub(crate) fn shutdown(connect: &ConnectOptions) -> Result<Exit> {
    tell(connect, Request::Shutdown, "the kernel ends")
}
