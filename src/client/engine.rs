//! An engine for a kernel that has none.

use anyhow::{Result, ensure};
use bareflow_protocol::control::{LoadOverrides, Push, Refusal};
use bareflow_protocol::tier::Tier;
use bareflow_protocol::{Request, Response};
use bareflow_suite::portable::{COMPILER, INTERPRETER};

use super::upload::upload;
use super::{Client, unexpected};
use crate::engines;
use crate::options::{ConnectOptions, EngineOptions};

/// Loads an engine into the kernel if it has none that could compile a portable module.
///
/// # Errors
/// When there is none to send, or the kernel refuses it.
pub(crate) fn provide_engine(
    client: &mut Client,
    options: &EngineOptions,
    tier: Option<Tier>,
    connect: &ConnectOptions,
) -> Result<()> {
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
        connect.port.is_none(),
        "the kernel has no engine for a portable module, and a serial port is too slow to send one; put it on the \
         kernel's disk (`disk create`), or into its boot archive"
    );
    let mut is_provided = false;
    for (label, engine) in engines::find_for(options, tier.unwrap_or(Tier::Auto))? {
        crate::complain!("the kernel has no engine for a portable module: sending {label}");
        upload(client, &engine, &mut |_, _| ())?;
        let push = Push { label: &label, overrides: LoadOverrides::default(), beside: false, gate: None };
        let Err(problem) = client.ask(Request::Push(push)) else {
            is_provided = true;
            continue;
        };
        let Refusal { error, code, call } = problem.downcast::<Refusal>()?;
        let room = "`bareflow serve --engines FOLDER` starts a kernel with room for it";
        if !is_provided {
            return Err(Refusal { error: format!("{label}: {error}; {room}").into(), code, call }.into());
        }
        // Another one is there, which is enough to begin with.
        crate::complain!("the module stays in its first tier, since the kernel refuses {label}: {error}; {room}");
    }
    Ok(())
}
