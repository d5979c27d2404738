//! Requests to the kernel.

use anyhow::{Result, bail, ensure};
use bareflow::client::{Client, upload};
use bareflow_loader::Domain;
use bareflow_protocol::control::{LoadOverrides, Push};
use bareflow_protocol::{Request, Response};

/// Loads a module.
pub fn load(client: &mut Client, blob: &[u8], domain: Domain) -> Result<()> {
    upload(client, blob, &mut |_, _| ())?;
    let overrides = LoadOverrides { domain: Some(domain.name()), ..LoadOverrides::default() };
    match client.ask(Request::Push(Push { label: "measured", overrides, beside: false, gate: None }))? {
        Response::Loaded(_) => Ok(()),
        other => bail!("{other:?}"),
    }
}

/// Calls a module. Returns its result and its output.
pub fn call(client: &mut Client, module: &str) -> Result<(i32, String)> {
    match client.ask(Request::Call { module, input: &[], repeat: 1 })? {
        Response::Called(called) => Ok((called.result, String::from_utf8_lossy(&called.output).into_owned())),
        other => bail!("{other:?}"),
    }
}

/// Unloads a module, which has to give all its pages back.
pub fn unload(client: &mut Client, module: &str) -> Result<()> {
    match client.ask(Request::Unload { module })? {
        Response::Unloaded(receipt) => {
            let [held, returned] = [receipt.pages_held, receipt.pages_returned];
            ensure!(held == returned, "{module} held {held} pages, and gave {returned} back");
            Ok(())
        }
        other => bail!("{other:?}"),
    }
}
