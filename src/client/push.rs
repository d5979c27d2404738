//! The `push` command: uploads a blob to a running kernel.

use anyhow::{Result, anyhow};
use bareflow_protocol::comparison::Gate;
use bareflow_protocol::control::Push;
use bareflow_protocol::{Request, Response};
use bareflow_suite::portable::is_wasm;

use super::engine::provide_engine;
use super::run_command::{keep, run_command};
use super::show::{compare, receipt};
use super::unexpected;
use super::upload::upload;
use crate::input::read_input;
use crate::input_files::{label, read_blob};
use crate::options::PushOptions;
use crate::output::progress_bar;
use crate::{Exit, say};

/// The default number of measurements of each module for a gate.
const OVER: u32 = 1000;

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
            provide_engine(client, &options.engines, options.overrides.tier.tier, &options.connect)?;
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
