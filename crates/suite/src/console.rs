//! The output of a run: text in styles.

use core::fmt;

use bareflow_loader::diagnosis::FaultText;
use bareflow_loader::parameters::parameters_of;
use bareflow_loader::records::bindings;
use bareflow_loader::{Assignment, BadAssignment, LoadError, LoadOptions, ModuleManager, Platform, RawModule};

use crate::error_text;
use crate::fallible::ErrorText;

/// The style of a piece of text, for outputs with colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Ordinary text.
    Plain,
    /// A title: cyan.
    Title,
    /// The heading of a test: yellow.
    Heading,
    /// A success: green.
    Good,
    /// An error: red.
    Error,
    /// A warning: yellow.
    Warning,
}

/// An output for text.
pub trait Console {
    /// Shows `text`, which includes its line ends.
    fn show(&self, style: Style, text: fmt::Arguments<'_>);

    /// Receives the output of a module's last call; ignores it by default.
    fn keep_output(&self, module: &str, bytes: &[u8]) {
        let _ = (module, bytes);
    }
}

/// Shows one line: `line!(console, Style::Good, "{name} loaded")`, or an empty one: `line!(console)`.
#[macro_export]
macro_rules! line {
    ($console:expr) => {
        $crate::console::Console::show($console, $crate::console::Style::Plain, format_args!("\n"))
    };
    ($console:expr, $style:ident, $($text:tt)+) => {{
        $crate::console::Console::show($console, $crate::console::Style::$style, format_args!($($text)+));
        $crate::line!($console);
    }};
}

/// Shows a fault with its diagnosis.
pub fn show_fault(console: &impl Console, fault: FaultText<'_>) {
    console.show(Style::Error, format_args!("[FAULT]"));
    console.show(Style::Plain, format_args!(" {fault}"));
}

/// Returns the reason for which the load of a blob with these `options` was refused.
///
/// For a cycle, it includes the modules on it; for a fault, the diagnosis, which is shown on the console as well.
pub fn explain_refusal<P: Platform>(
    manager: &ModuleManager<P>,
    blob: &[u8],
    options: &LoadOptions,
    error: &LoadError,
    console: &impl Console,
) -> ErrorText {
    if let Some(fault) = manager.load_fault(blob, options, error) {
        show_fault(console, fault.text());
        return error_text!("{fault}");
    }
    match error {
        LoadError::Parameter(BadAssignment::Unknown { .. } | BadAssignment::Inherited { .. }) => {
            return error_text!("{error} ({})", NamesIn { blob, imports: false });
        }
        LoadError::Parameter(BadAssignment::UnknownImport { .. }) => {
            return error_text!("{error} ({})", NamesIn { blob, imports: true });
        }
        _ => {}
    }
    if let Some(details) = manager.explain_import(blob, error) {
        return error_text!("{error} ({details})");
    }
    let is_cycle = matches!(error, LoadError::DependencyCycle { .. });
    match is_cycle.then(|| manager.dependency_cycle(blob)).flatten() {
        Some(cycle) => error_text!("{error} ({cycle})"),
        None => error_text!("{error}"),
    }
}

/// Returns the lines among `parameters` that are for no loaded module, each with its module's name.
pub fn unused_parameters<'lines, P: Platform>(
    manager: &ModuleManager<P>,
    parameters: &'lines str,
) -> impl Iterator<Item = Assignment<'lines>> {
    Assignment::all(parameters).flatten().filter(|line| manager.find(line.module).is_none())
}

/// Returns why a line sets nothing: no module of that name is loaded.
#[must_use]
pub fn explain_unused(line: &Assignment<'_>) -> ErrorText {
    error_text!("no module {} is loaded, so nothing is set; check the name, or load it first", line.module)
}

/// The names of the parameters or of the imports that a blob has, as text.
struct NamesIn<'blob> {
    blob: &'blob [u8],
    imports: bool,
}

impl fmt::Display for NamesIn<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw = RawModule::parse(self.blob).ok();
        let mut separator = "it has";
        let mut show = |name: &str| write!(out, "{} {name}", core::mem::replace(&mut separator, ","));
        if self.imports {
            raw.iter().flat_map(|raw| bindings(raw.records).imports()).try_for_each(|import| show(import.name))?;
        } else {
            raw.iter().flat_map(parameters_of).try_for_each(|parameter| show(parameter.name))?;
        }
        if separator == "," {
            return Ok(());
        }
        write!(out, "it has no {}", if self.imports { "imports" } else { "parameters" })
    }
}

/// Shows the name of the system.
pub fn greet(console: &impl Console) {
    line!(console, Title, "{SEPARATOR}");
    line!(console, Title, "  DYNAMIC MODULE SYSTEM - LLVM AOT");
    line!(console, Title, "{SEPARATOR}");
    line!(console);
}

/// The rule above and below a title.
pub(crate) const SEPARATOR: &str = "========================================";
