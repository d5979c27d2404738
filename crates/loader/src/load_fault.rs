//! The diagnosis of a fault that made a load fail: the module is gone by then, but its blob is there.

use core::fmt;

use crate::diagnosis::remedy::{Explained, Remedy};
use crate::diagnosis::{Diagnosis, FaultText, InFunction, Subject};
use crate::error::LoadError;
use crate::fault::Fault;
use crate::format::raw::RawModule;
use crate::format::valid::{Capabilities, ValidModule};
use crate::manager::ModuleManager;
use crate::name::Name;
use crate::platform::Platform;
use crate::policy::LoadOptions;
use crate::policy::budget::Budget;

/// A fault that made a load fail, with its diagnosis.
#[derive(Clone, Copy, Debug)]
pub struct LoadFault {
    subject: Subject,
    /// The load's error, which the fault is part of.
    error: LoadError,
    /// The fault.
    pub fault: Fault,
    /// The diagnosis of the fault, if there is one.
    pub diagnosis: Option<Diagnosis>,
}

impl LoadFault {
    /// Returns the fault and its diagnosis as text of several lines.
    #[must_use]
    pub fn text(&self) -> FaultText<'_> {
        FaultText { subject: self.subject, fault: &self.fault, diagnosis: self.diagnosis.as_ref() }
    }
}

/// Shows the load's error on one line, with the diagnosis and the remedy.
impl fmt::Display for LoadFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fault, diagnosis) = (&self.fault, self.diagnosis.as_ref());
        let remedy = Remedy::of(fault, diagnosis, &self.subject.budget, self.subject.services);
        let (when, otherwise) = match self.error {
            LoadError::SaveFaulted(_) => {
                ("the old module faulted when it was to hand over its state", "unload it first")
            }
            LoadError::MigrateFaulted(_) => ("migrate faulted", "correct the module"),
            LoadError::ParametersFaulted(_) => ("the module faulted when it was to take its parameters", "rebuild it"),
            _ => ("init faulted", "correct the module"),
        };
        write!(out, "{when}: {}", Explained { fault, diagnosis, remedy })?;
        if remedy.is_none() { write!(out, "; {otherwise}") } else { Ok(()) }
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the diagnosis of the fault for which a load of `blob`, or its promotion, has just failed with `error`.
    ///
    /// `None` if `error` is no fault. The diagnosis is handed out once.
    #[cold]
    pub fn load_fault(&self, blob: &[u8], options: &LoadOptions, error: &LoadError) -> Option<LoadFault> {
        let error = *error;
        match error {
            LoadError::InitFaulted(fault) | LoadError::MigrateFaulted(fault) | LoadError::ParametersFaulted(fault) => {
                let diagnosis = self.platform.diagnosis();
                let valid =
                    ValidModule::validate(RawModule::parse(blob).ok()?, Capabilities::of(&self.platform)).ok()?;
                let header = valid.raw().header();
                let subject = Subject {
                    name: valid.name(),
                    version: valid.version(),
                    budget: Budget::of(&header, &options.limits),
                    services: header.services,
                };
                let diagnosis = diagnosis.map(|found| {
                    let function = InFunction::blamed(valid.symbols(), &fault, &found.callers);
                    Diagnosis { function, ..found }
                });
                Some(LoadFault { subject, error, fault, diagnosis })
            }
            LoadError::SaveFaulted(fault) => {
                let name = Name::from_field(RawModule::parse(blob).ok()?.header().name)?;
                let old = self.find(name.as_str())?;
                let profile = self.stats(old)?;
                // The restart may have faulted as well; then the profile has that fault.
                let is_known = profile.fault == Some(fault);
                let diagnosis = is_known.then(|| self.take_diagnosis(old)).flatten();
                Some(LoadFault { subject: Subject::of(&profile), error, fault, diagnosis })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::{PanicMessage, Text};
    use crate::fault::FaultKind;
    use crate::profile::Timing;
    use crate::testing::{FakePlatform, blob, manager};
    use bareflow_abi::header::FLAG_INIT;
    use std::string::ToString;

    #[test]
    fn says_on_one_line_what_a_panic_of_init_says() {
        let mut bytes = blob::small("early");
        blob::change_header(&mut bytes, |header| header.flags |= FLAG_INIT);
        let fault = Fault { kind: FaultKind::Panic, offset: Some(5), address: None };
        let platform = FakePlatform::default();
        let manager = manager(&platform, Timing::Fast);
        let (message, file) = (Text::new(b"no table"), Text::new(b"src/lib.rs"));
        let panic = Some(PanicMessage { message, file, line: 7 });
        platform.diagnoses.borrow_mut().push_back(Diagnosis { panic, ..Diagnosis::at(0) });
        platform.results.borrow_mut().push_back(Err(fault));
        let options = LoadOptions::default();
        let error = manager.load_with(&bytes, &options).unwrap_err();
        let found = manager.load_fault(&bytes, &options, &error).unwrap();
        let line = "init faulted: panic at offset 0x5: no table (src/lib.rs:7); correct the module";
        assert_eq!(found.to_string(), line);
        assert!(manager.load_fault(&bytes, &options, &LoadError::NoMemory).is_none());
    }

    #[test]
    fn says_what_would_have_kept_it_away() {
        let mut bytes = blob::small("early");
        blob::change_header(&mut bytes, |header| header.flags |= FLAG_INIT);
        let fault = Fault { kind: FaultKind::HeapBudget, offset: None, address: None };
        let platform = FakePlatform::default();
        let manager = manager(&platform, Timing::Fast);
        platform.results.borrow_mut().push_back(Err(fault));
        let options = LoadOptions::default();
        let error = manager.load_with(&bytes, &options).unwrap_err();
        let found = manager.load_fault(&bytes, &options, &error).unwrap().to_string();
        assert!(found.starts_with("init faulted: heap_budget outside the module; it allocates and"), "{found}");
        assert!(!found.contains("correct the module"), "{found}");
    }
}
