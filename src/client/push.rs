//! The `push` command: uploads a blob to a running kernel.

use anyhow::{Context, Result, anyhow, ensure};
use bareflow_abi::checksum::crc32c;
use bareflow_protocol::comparison::Gate;
use bareflow_protocol::control::{LoadOverrides, Push, Refusal};
use bareflow_protocol::tier::Tier;
use bareflow_protocol::{Request, Response};
use bareflow_suite::portable::{COMPILER, INTERPRETER, is_wasm};

use super::run_command::{keep, run_command};
use super::show::{compare, receipt};
use super::{Client, unexpected};
use crate::input::read_input;
use crate::input_files::{label, read_blob};
use crate::options::PushOptions;
use crate::output::progress_bar;
use crate::{Exit, engines, say};

/// The default number of measurements of each module for a gate.
const OVER: u32 = 1000;

/// The number of consecutive responses without progress after which an upload fails.
const MAX_STALLS: u32 = 8;

/// The form of a progress bar of bytes or calls.
pub(super) const PROGRESS: &str = "{pos}/{len} {wide_bar} {eta}";

/// Runs the command.
pub(crate) fn push(options: &PushOptions) -> Result<Exit> {
    let blob = read_blob(&options.file).map_err(|error| anyhow!("{}: {error}", label(&options.file)))?;
    let input = options.input.as_deref().map(|input| read_input(Some(input))).transpose()?;
    let conditions = options.conditions().map_err(|expected| anyhow!("--gate: {expected}"))?;
    let over = options.over.unwrap_or(OVER);
    let gate = conditions.map(|conditions| Gate { conditions, over, input: input.as_deref() });
    let label_of_file = label(&options.file);
    let parameters = options.overrides.assignments.lines();
    let overrides = options.overrides.overrides(&parameters);
    let push = Push { label: &label_of_file, overrides, beside: options.beside, gate };
    run_command(&options.connect, |client| {
        let bar = progress_bar(None, PROGRESS);
        let mut show = |done, of| {
            bar.set_length(of);
            bar.set_position(done);
        };
        if is_wasm(&blob) {
            provide_engine(client, options)?;
        }
        let answer = upload(client, &blob, &mut show).and_then(|()| client.ask_with(Request::Push(push), &mut show));
        bar.finish_and_clear();
        let json = options.connect.json.as_deref();
        match answer? {
            Response::Loaded(loaded) => {
                if let Some(verdict) = &loaded.verdict {
                    say!("{}\n", compare::verdict(verdict));
                }
                say!("{}", receipt::loaded(&loaded));
                keep(json, &loaded)?;
                Ok(Exit::Passed)
            }
            Response::GateFailed(verdict) => {
                say!("{}", compare::verdict(&verdict));
                crate::complain!("error: {} did not pass its gate and was unloaded; see above", label(&options.file));
                keep(json, &verdict)?;
                Ok(Exit::Failed)
            }
            other => Err(unexpected(&other)),
        }
    })
}

/// Loads an engine into the kernel if it has none that could compile a portable module.
fn provide_engine(client: &mut Client, options: &PushOptions) -> Result<()> {
    let tier = options.overrides.tier.tier;
    let is_it = |name: &str| match tier {
        Some(Tier::Interpreted) => name == INTERPRETER,
        Some(Tier::Quick | Tier::Fast) => name == COMPILER,
        None | Some(Tier::Auto) => name == COMPILER || name == INTERPRETER,
    };
    let modules = match client.ask(Request::Ps)? {
        Response::Modules(modules) => modules,
        other => return Err(unexpected(&other)),
    };
    if modules.iter().any(|module| is_it(&module.name)) {
        return Ok(());
    }
    ensure!(
        options.connect.port.is_none(),
        "the kernel has no engine for a portable module, and a serial port is too slow to send one; put it on the \
         kernel's disk (`disk create`), or into its boot archive"
    );
    for (label, engine) in engines::find_for(&options.engines, tier.unwrap_or(Tier::Auto))? {
        crate::complain!("the kernel has no engine for a portable module: sending {label}");
        upload(client, &engine, &mut |_, _| ())?;
        let push = Push { label: &label, overrides: LoadOverrides::default(), beside: false, gate: None };
        client.ask(Request::Push(push)).map_err(|problem| match problem.downcast::<Refusal>() {
            Ok(Refusal { error, code, call }) => {
                let error =
                    format!("{label}: {error}; `bareflow serve --engines FOLDER` starts a kernel with room for it");
                Refusal { error: error.into(), code, call }.into()
            }
            Err(problem) => problem,
        })?;
    }
    Ok(())
}

/// Uploads a blob in chunks; the next request can use it.
///
/// `progress` is given the bytes received and the total.
///
/// # Errors
/// When the kernel refuses it or is lost.
pub fn upload(client: &mut Client, blob: &[u8], progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
    let length = u32::try_from(blob.len())?;
    let mut request = Request::Upload { length, checksum: crc32c(&[blob]) };
    let (mut there, mut stalls) = (0, 0);
    loop {
        let received = match client.ask(request)? {
            Response::Received { length } => length,
            other => return Err(unexpected(&other)),
        };
        stalls = if received > there { 0 } else { stalls + 1 };
        there = received;
        progress(there.into(), length.into());
        if there == length {
            return Ok(());
        }
        let rest = blob.get(there as usize..).context("the kernel has more than was sent; try again")?;
        ensure!(stalls <= MAX_STALLS, "the kernel keeps {there} of {length} bytes and takes no more; try again");
        let bytes = rest.get(..client.chunk_size()).unwrap_or(rest);
        request = Request::Chunk { offset: there, bytes };
    }
}
