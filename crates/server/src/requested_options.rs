//! The options of a load, as its client requests them.

use alloc::string::String;

use bareflow_loader::{Budget, Domain, FaultPolicy, Platform, Printable};
use bareflow_protocol::comparison::{Condition, MAX_CONDITIONS};
use bareflow_protocol::control::{MAX_PARAMETERS, MAX_WORD, Push};
use bareflow_protocol::tier::Tier;
use bareflow_suite::fallible::ErrorText;
use bareflow_suite::module_file::ModuleFile;
use bareflow_suite::{error_text, text};

use crate::{Server, ServerEnvironment};

/// The options of a load, as its client requested them.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// The blob's name in messages.
    pub label: String,
    pub domain: Option<Domain>,
    pub limits: Option<Budget>,
    pub on_fault: Option<FaultPolicy>,
    /// The parameters to set and the imports to bind, one on each line.
    pub parameters: String,
    /// The tier of a portable module.
    pub tier: Option<Tier>,
    /// Whether the module is loaded beside the active one of its name, instead of replacing it.
    pub beside: bool,
}

/// A file that waits to be loaded, with the client's options.
pub(crate) struct DeferredPush<P: Platform> {
    pub file: ModuleFile<'static, P>,
    pub wanted: Wanted,
    /// Whether it waits for an engine that compiles another module, and not for the module that it replaces.
    pub for_engine: bool,
}

impl<P: Platform> Default for DeferredPush<P> {
    fn default() -> Self {
        DeferredPush { file: ModuleFile::default(), wanted: Wanted::default(), for_engine: false }
    }
}

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Parses the options of a push.
    pub(crate) fn wanted(&self, push: &Push<'_>) -> Result<Wanted, ErrorText> {
        if let Some(gate) = push.gate.filter(|gate| gate.conditions.excess() > 0) {
            let asked = gate.conditions.asked();
            return Err(error_text!("{asked} conditions, expected at most {MAX_CONDITIONS}"));
        }
        let is_ratio = |ratio: f64| ratio.is_finite() && ratio > 0.0;
        let conditions = push.gate.map(|gate| gate.conditions).unwrap_or_default();
        for condition in conditions.as_slice() {
            if matches!(condition, Condition::AtMost { ratio, .. } if !is_ratio(*ratio)) {
                return Err(error_text!("condition {condition}, expected a ratio above 0"));
            }
        }
        let domain = push.overrides.domain.map(|word| {
            let word = bounded(word)?;
            let domain = Domain::from_name(word)
                .ok_or_else(|| error_text!("domain \"{}\", expected kernel, user or sandbox", Printable(word.as_bytes())))?;
            let (of_server, chosen) = (self.defaults.load.domain, domain.name());
            match (of_server, domain) {
                (Domain::User, Domain::Kernel | Domain::Sandbox) => {
                    Err(error_text!("domain \"{chosen}\", expected user: this kernel was started for modules of ring 3"))
                }
                (Domain::Sandbox, Domain::Kernel) => Err(error_text!(
                    "domain \"{chosen}\", expected user or sandbox: this kernel was started for modules that are not trusted"
                )),
                _ => Ok(()),
            }?;
            Ok::<_, ErrorText>(domain)
        });
        let on_fault = push.overrides.on_fault.map(|word| {
            let word = bounded(word)?;
            FaultPolicy::parse(word).ok_or_else(|| {
                error_text!("policy \"{}\", expected {}", Printable(word.as_bytes()), FaultPolicy::EXPECTED)
            })
        });
        let limits = push.overrides.budget;
        let label = text!("{}", bounded(push.label)?)?;
        let (domain, on_fault) = (domain.transpose()?, on_fault.transpose()?);
        let lines = push.overrides.parameters;
        if lines.len() > MAX_PARAMETERS {
            return Err(error_text!("{} bytes that set parameters, expected at most {MAX_PARAMETERS}", lines.len()));
        }
        let (tier, beside) = (push.overrides.tier, push.beside);
        Ok(Wanted { label, domain, limits, on_fault, parameters: text!("{lines}")?, tier, beside })
    }
}

/// Refuses a selector, label or path that exceeds the maximum length.
pub(crate) fn bounded(word: &str) -> Result<&str, ErrorText> {
    match word.len() {
        ..=MAX_WORD => Ok(word),
        length => Err(error_text!("a name of {length} bytes, expected at most {MAX_WORD}; see `ps` and `ls`")),
    }
}
