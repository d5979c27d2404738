//! Loads: blobs that clients send, or that lie on the disk. Those at the start: [`first`](crate::first).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_loader::report::Style;
use bareflow_loader::state::{Layouts, schema_of};
use bareflow_loader::{
    Budget, Carried, Domain, LoadError, LoadOptions, ModuleId, Name, OnFault, Platform, Printable, RawModule, Reloaded,
};
use bareflow_protocol::Answer;
use bareflow_protocol::control::{LoadCycles, Loaded, Push, Replaced, Wish};
use bareflow_protocol::trial::Verdict;
use bareflow_suite::order;

use crate::jobs::{PATIENCE, Slice, Work};
use crate::library::load_of;
use crate::requests::{Handled, Next};
use crate::{Server, Surroundings, tell};

impl<P: Platform, S: Surroundings> Server<'_, P, S> {
    /// Loads a blob in place of the module of its name.
    pub(crate) fn load(&self, blob: Vec<u8>, label: &str, wish: &Wish) -> Handled<P> {
        let push = Push { label: label.to_string(), wish: wish.clone(), beside: false, gate: None };
        self.push(blob, push)
    }

    /// Loads a blob as its client wishes.
    pub(crate) fn push(&self, blob: Vec<u8>, push: Push) -> Handled<P> {
        let options = self.options(&blob, &push.wish)?;
        let refused = |error: LoadError| {
            let text = order::refusal(&self.manager, &blob, &error);
            self.say_refused(&push.label, &text);
            format!("{text}{}", self.layouts(&blob, &error))
        };
        if let Some(gate) = &push.gate {
            if push.beside {
                return Err("a gate is for a module that takes another one's place; leave out one of the two".into());
            }
            // Where there is nothing to be better than, there is nothing to prove.
            if let Some(old) = active_of(&blob).and_then(|name| self.manager.find(name.as_str())) {
                return self.open_gate(old, blob, &options, gate).map(Next::Work);
            }
        }
        if push.beside {
            let start = self.manager.platform().clock_fenced();
            let id = self.manager.load_versioned(&blob, &options).map_err(refused)?;
            let prepare = self.manager.platform().clock_fenced().saturating_sub(start);
            let cycles = LoadCycles { prepare, switch: 0 };
            return Ok(self.loaded(id, Some(blob), None, cycles, Carried::Nothing, None).into());
        }
        match self.manager.replace(&blob, &options) {
            Ok(reloaded) => Ok(self.replaced(reloaded, Some(blob), None).into()),
            Err(LoadError::StateBusy) => Ok(Next::Work(Work::Push(Box::new((blob, push))))),
            Err(error) => Err(refused(error)),
        }
    }

    /// Tries again to load a blob that has to wait for a call of the old module.
    pub(crate) fn push_again(&self, (blob, push): &mut (Vec<u8>, Push), waited: u64) -> Slice {
        match self.push(core::mem::take(blob), push.clone()) {
            Ok(Next::Answer(answer)) => Slice::Done(answer),
            Ok(Next::Work(Work::Push(mut again))) if waited < PATIENCE => {
                *blob = core::mem::take(&mut again.0);
                Slice::More(0, 1)
            }
            Ok(Next::Work(_)) => {
                let error = format!("{} (waited {waited} ms)", LoadError::StateBusy);
                Slice::Done(Answer::Refused { error })
            }
            Err(error) => Slice::Done(Answer::Refused { error }),
        }
    }

    /// Both states' fields, where one can't take over the other's.
    fn layouts(&self, blob: &[u8], error: &LoadError) -> String {
        if !matches!(error, LoadError::StateChanged { .. } | LoadError::StateDropped { .. }) {
            return String::new();
        }
        let old = active_of(blob).and_then(|name| self.manager.stats(self.manager.find(name.as_str())?));
        let library = self.library.borrow();
        let old = old.and_then(|old| RawModule::parse(&library.get(&load_of(&old))?.blob).ok());
        let new = RawModule::parse(blob).ok();
        Layouts { old: old.as_ref().and_then(schema_of), new: new.as_ref().and_then(schema_of) }.to_string()
    }

    /// Answers a load that may have replaced a module.
    pub(crate) fn replaced(&self, reloaded: Reloaded, blob: Option<Vec<u8>>, verdict: Option<Verdict>) -> Answer {
        let replaced = reloaded.replaced.map(|old| Replaced {
            version: old.version.to_string(),
            generation: old.generation,
            receipt: old.receipt.as_ref().map(tell::receipt),
        });
        let cycles = LoadCycles { prepare: reloaded.prepare_cycles, switch: reloaded.switch_cycles };
        let answer = self.loaded(reloaded.id, blob, replaced, cycles, reloaded.state, verdict);
        if let Some(receipt) = reloaded.replaced.and_then(|old| old.receipt) {
            self.say_gone(&receipt);
        }
        self.tidy();
        answer
    }

    fn loaded(
        &self,
        id: ModuleId,
        blob: Option<Vec<u8>>,
        replaced: Option<Replaced>,
        cycles: LoadCycles,
        state: Carried,
        verdict: Option<Verdict>,
    ) -> Answer {
        let Some(profile) = self.manager.stats(id) else {
            return Answer::Refused { error: "it is gone already; push it again".to_string() };
        };
        if let Some(blob) = blob {
            self.library.borrow_mut().keep(load_of(&profile), Cow::Owned(blob));
        }
        self.say_loaded(id);
        Answer::Loaded(Box::new(Loaded {
            name: profile.name.to_string(),
            version: profile.version.to_string(),
            generation: profile.generation,
            active: profile.active,
            replaced,
            state: state.name().to_string(),
            cycles,
            verdict,
        }))
    }

    /// How a blob is to be loaded: as the client wishes, or else as the module of its name is, or else as usual.
    pub(crate) fn options(&self, blob: &[u8], wish: &Wish) -> Result<LoadOptions, String> {
        let old = active_of(blob).and_then(|name| self.manager.options(self.manager.find(name.as_str())?));
        let mut options = old.unwrap_or(self.defaults);
        if let Some(domain) = &wish.domain {
            options.domain = Domain::from_name(domain)
                .ok_or_else(|| format!("domain \"{}\", expected kernel or user", Printable(domain.as_bytes())))?;
        }
        if let Some(policy) = &wish.on_fault {
            options.on_fault = OnFault::parse(policy).ok_or_else(|| {
                format!("policy \"{}\", expected stop, restart or restart:N", Printable(policy.as_bytes()))
            })?;
        }
        if let Some(budget) = &wish.budget {
            options.limits = Budget { time_us: budget.time_us, stack: budget.stack, heap: budget.heap };
        }
        Ok(options)
    }

    /// Writes a module's blob to the disk.
    pub(crate) fn save(&self, selector: &str) -> Handled<P> {
        let id = self.select(selector)?;
        let profile = self.manager.stats(id).ok_or_else(|| format!("{selector}: it is gone; see `ps`"))?;
        let library = self.library.borrow();
        let kept = library.get(&load_of(&profile)).ok_or_else(|| format!("{selector}: its blob was not kept"))?;
        let path = self.around.save(profile.name.as_str(), &kept.blob)?;
        Ok(Answer::Saved { path, bytes: kept.blob.len() as u64 }.into())
    }

    pub(crate) fn say_loaded(&self, id: ModuleId) {
        let Some(profile) = self.manager.stats(id) else { return };
        let (name, version, generation) = (profile.name, profile.version, profile.generation);
        self.around.say(Style::Good, format_args!("[OK]"));
        self.around.say(Style::Plain, format_args!(" Module loaded: {name} {version} (load {generation})\n"));
    }

    pub(crate) fn say_refused(&self, label: &str, error: &str) {
        self.around.say(Style::Bad, format_args!("[ERROR]"));
        self.around.say(Style::Plain, format_args!(" {}: {error}\n", Printable(label.as_bytes())));
    }
}

/// The name in a blob's header, valid or not.
fn active_of(blob: &[u8]) -> Option<Name> {
    Name::from_field(RawModule::parse(blob).ok()?.header().name)
}
