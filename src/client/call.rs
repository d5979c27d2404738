//! The `call` command: calls a module, a function, or a method with arguments in JSON.

use anyhow::{Error, Result, bail, ensure};
use bareflow_protocol::control::{Called, Interfaces, Refusal};
use bareflow_protocol::{Request, Response};
use serde::Serialize;
use serde_json::Value;

use super::push::PROGRESS;
use super::run_command::{keep, run_command};
use super::{Client, unexpected};
use crate::input::read_input;
use crate::interfaces::exports;
use crate::interfaces::signature::Signature;
use crate::options::CallOptions;
use crate::output::progress_bar;
use crate::{Exit, output_file, say};

/// The answer of a method, and the calls that were made.
#[derive(Serialize)]
struct Document<'call> {
    #[serde(flatten)]
    answer: &'call Value,
    #[serde(flatten)]
    called: &'call Called,
}

/// Runs the command.
pub(crate) fn call(options: &CallOptions) -> Result<Exit> {
    run_command(&options.connect, |client| match callee(client, &options.name)? {
        Callee::Method(method) => call_method(client, options, &method),
        Callee::Function => match &options.arguments {
            Some(arguments) => {
                bail!("{} takes an input, not arguments such as {arguments}; give it by `--input`", options.name)
            }
            None => call_function(client, options),
        },
        // The kernel says what there is instead.
        Callee::Unknown => call_function(client, options),
    })
}

/// The code that a selector names.
enum Callee {
    /// A module's `run`, or a plain function.
    Function,
    /// A method, with its signature.
    Method(Signature),
    /// Nothing that is known.
    Unknown,
}

/// Returns what a selector names.
fn callee(client: &mut Client, selector: &str) -> Result<Callee> {
    let (path, version) = selector.split_at(selector.find('@').unwrap_or(selector.len()));
    let Some((module, function)) = path.split_once('.') else { return Ok(Callee::Function) };
    let module = format!("{module}{version}");
    let found = match client.ask(Request::Interfaces { module: Some(&module) })? {
        Response::Interfaces(found) => found,
        other => return Err(unexpected(&other)),
    };
    let Some(Interfaces { bindings, signatures, .. }) = found.first() else { return Ok(Callee::Unknown) };
    match exports::find(&exports::read(bindings, signatures), function) {
        Some((interface, _)) if interface.name.is_empty() => Ok(Callee::Function),
        Some((interface, index)) => interface.signature(index).map(Callee::Method),
        None => Ok(Callee::Unknown),
    }
}

fn call_function(client: &mut Client, options: &CallOptions) -> Result<Exit> {
    let called = ask(client, options, &read_input(options.input.as_deref())?)?;
    show(&called, &called.result.to_string());
    if !called.output.is_empty() {
        say!("  Output: {}", bareflow_loader::Printable(&called.output));
    }
    show_figures(&called, |result| result.to_string());
    if let Some(path) = &options.output {
        output_file::write(path, &called.output)?;
    }
    keep(options.connect.json.as_deref(), &called)?;
    Ok(Exit::Passed)
}

fn call_method(client: &mut Client, options: &CallOptions, method: &Signature) -> Result<Exit> {
    let name = &options.name;
    ensure!(
        options.input.is_none(),
        "{name} takes arguments, not an input: `{}`; give them as a JSON array",
        method.text
    );
    ensure!(options.output.is_none(), "{name} has no output for a file: `{}`; take it from the JSON", method.text);
    let arguments = options.arguments.as_deref().unwrap_or("[]");
    let arguments = serde_json::from_str(arguments)
        .map_err(|error| Error::msg(format!("the arguments of `{}` are no JSON: {error}", method.text)))?;
    let input = method.pack(&arguments)?;
    let called = ask(client, options, &input)?;
    let answer = method.answer(&input, called.result, &called.output)?;
    show(&called, &answer.json.to_string());
    show_figures(&called, |status| match method.answer(&input, status, &called.output) {
        Ok(answer) if !answer.is_ok => answer.json.to_string(),
        _ => "ok".to_owned(),
    });
    keep(options.connect.json.as_deref(), &Document { answer: &answer.json, called: &called })?;
    Ok(if answer.is_ok { Exit::Passed } else { Exit::Failed })
}

/// Makes the calls.
fn ask(client: &mut Client, options: &CallOptions, input: &[u8]) -> Result<Called> {
    let CallOptions { name, repeat, .. } = options;
    let bar = progress_bar(None, PROGRESS);
    let answer = client.ask_with(Request::Call { module: name, input, repeat: *repeat }, &mut |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    match answer.map_err(|problem| which_call(problem, name, *repeat))? {
        Response::Called(called) => Ok(called),
        other => Err(unexpected(&other)),
    }
}

/// Adds the module and the number of the call that failed to a refusal of calls.
fn which_call(problem: Error, module: &str, repeat: u32) -> Error {
    match problem.downcast::<Refusal>() {
        Ok(refusal @ Refusal { call: Some(number), .. }) => {
            let error = format!("{module}: {refusal} (call {number} of {repeat})").into();
            Refusal { error, ..refusal }.into()
        }
        Ok(refusal) => refusal.into(),
        Err(problem) => problem,
    }
}

fn show(Called { name, version, generation, .. }: &Called, answer: &str) {
    say!("{name} {version} (load {generation}) returned {answer}");
}

fn show_figures(called: &Called, result: impl Fn(i32) -> String) {
    let Called { calls, results, total_cycles, min_cycles, max_cycles, .. } = called;
    if results.len() > 1 {
        let each: Vec<_> = results.iter().map(|(value, times)| format!("{} ({times})", result(*value))).collect();
        say!("  Results, and how often: {}", each.join(", "));
    }
    match calls {
        0 | 1 => say!("  {total_cycles} cycles"),
        _ => say!("  {calls} calls, {total_cycles} cycles: min {min_cycles}, max {max_cycles}"),
    }
}
