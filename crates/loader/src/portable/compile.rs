//! The call of an engine.

use core::fmt;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use bareflow_abi::{CallError, Out};
use bareflow_engine::{Description, Engine, EngineError, Options};

use super::compiled::Compiled;
use crate::error::BindError;
use crate::interfaces::Bound;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::lifecycle::ModuleState;
use crate::name::{Name, Version};
use crate::platform::Platform;
use crate::printable::Printable;
use crate::provenance::{Digest, Provenance, digest};

/// The bytes of a blob that are read at once: less than the platforms reserve for the output of each module.
const PIECE_BYTES: usize = 128 << 10;

/// The bytes of an engine's reason that are kept.
const REASON_BYTES: usize = 240;

/// The largest blob that an engine may make, in bytes: what a header can say is far less.
const MAX_BLOB_BYTES: u64 = 1 << 30;

/// The reason for which WebAssembly was not compiled. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError<A: Allocator> {
    /// No such engine is loaded.
    #[error("engine {engine}: {error}")]
    NoEngine {
        /// The name that was asked for.
        engine: Name,
        /// The reason.
        error: BindError,
    },
    /// The text is no module's name.
    #[error("the engine's name is none, expected a-z, 0-9, - and _, at most 31 of them")]
    Name,
    /// The engine refused the WebAssembly.
    #[error("engine {engine}: {reason}")]
    Refused {
        /// The engine's name.
        engine: Name,
        /// The kind of error.
        error: EngineError,
        /// The reason, in the engine's own words.
        reason: Reason<A>,
    },
    /// The engine gave no answer.
    #[error(
        "engine {engine}: {error:?}; see `log` for its fault, raise its budget (`--budget`), or use another engine"
    )]
    NoAnswer {
        /// The engine's name.
        engine: Name,
        /// The error that the call ended with.
        error: CallError,
    },
    /// The engine is compiling another module.
    #[error("engine {engine} is compiling another module; try again once that is done, or use another engine")]
    Busy {
        /// The engine's name.
        engine: Name,
    },
    /// The engine handed over less than it said, or too much.
    #[error("engine {engine} made a blob of {said} bytes and handed over {found}; use another engine")]
    Length {
        /// The engine's name.
        engine: Name,
        /// The bytes that it said.
        said: u64,
        /// The bytes that came.
        found: u64,
    },
    /// Another version of the engine was loaded meanwhile.
    #[error("engine {engine} was replaced meanwhile; try again")]
    Replaced {
        /// The engine's name.
        engine: Name,
    },
    /// Memory for the blob ran out.
    #[error("no memory for a blob of {bytes} bytes; unload a module or give the system more memory")]
    NoMemory {
        /// The blob's size.
        bytes: u64,
    },
}

/// The words of an engine: cut off if they are long, and none without memory.
pub struct Reason<A: Allocator>(Vec<u8, A>);

impl<A: Allocator> Reason<A> {
    /// Returns the bytes, which may be any.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<A: Allocator> fmt::Debug for Reason<A> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl<A: Allocator> fmt::Display for Reason<A> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return out.write_str("it does not say why it refuses the module; use another engine");
        }
        Printable(&self.0).fmt(out)
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Asks the active module `engine` what it is.
    ///
    /// # Errors
    /// There is no such engine, or it gave no answer.
    pub fn describe_engine(&self, engine: &str) -> Result<Description, CompileError<P::Alloc>> {
        let engine = Name::new(engine).ok_or(CompileError::Name)?;
        let bound =
            self.bind::<dyn Engine>(engine.as_str()).map_err(|error| CompileError::NoEngine { engine, error })?;
        let mut description = Description::default();
        match bound.client().describe(&mut description) {
            Ok(()) => Ok(description),
            Err(EngineError::Call(error)) => Err(self.no_answer(engine, error)),
            Err(error) => Err(CompileError::Refused { engine, error, reason: self.reason(&bound) }),
        }
    }

    /// Makes the active module `engine` turn `wasm` into a blob, for a module that is called `name` if it does not say its
    /// own name.
    ///
    /// The engine runs as any module does, within its own budget, and what it made is validated when it is loaded. The call
    /// takes as long as the compilation.
    ///
    /// # Errors
    /// There is no such engine, it refused the module or gave no answer, or memory for the blob ran out.
    pub fn compile(
        &self,
        engine: &str,
        options: &Options,
        name: &str,
        wasm: &[u8],
    ) -> Result<Compiled<P::Alloc>, CompileError<P::Alloc>> {
        let engine = Name::new(engine).ok_or(CompileError::Name)?;
        let bound =
            self.bind::<dyn Engine>(engine.as_str()).map_err(|error| CompileError::NoEngine { engine, error })?;
        let (id, engine_version, engine_digest) = self.engine(engine)?;
        let mut client = bound.client();
        let said = match client.compile(options, name, wasm) {
            Ok(said) => said,
            Err(EngineError::Call(error)) => return Err(self.no_answer(engine, error)),
            Err(error) => return Err(CompileError::Refused { engine, error, reason: self.reason(&bound) }),
        };
        let mut blob = Vec::new_in(self.platform.allocator());
        let no_memory = || CompileError::NoMemory { bytes: said };
        let length = usize::try_from(said).ok().filter(|_| said <= MAX_BLOB_BYTES).ok_or_else(no_memory)?;
        let read = blob.try_reserve_exact(length).map_err(|_| no_memory()).and_then(|()| {
            blob.resize(length, 0);
            let mut found = 0;
            for piece in blob.chunks_mut(PIECE_BYTES) {
                let (expected, mut into) = (piece.len(), Out::new(piece));
                match client.read(found, &mut into) {
                    Err(EngineError::Call(error)) => return Err(self.no_answer(engine, error)),
                    Ok(()) | Err(_) => found += into.written().len() as u64,
                }
                if into.written().len() != expected {
                    return Err(CompileError::Length { engine, said, found });
                }
            }
            Ok(())
        });
        // An engine that can't forget keeps the blob until its next one.
        let _ = client.forget();
        read?;
        if self.engine(engine)?.0 != id {
            return Err(CompileError::Replaced { engine });
        }
        let provenance =
            Provenance { engine, engine_version, engine_digest, source_digest: digest(wasm), options: *options };
        Ok(Compiled { blob, provenance })
    }

    /// Returns the error for a call of an engine that gave no answer.
    ///
    /// An engine that says itself that it is busy, though no call of it is running, is none to wait for.
    fn no_answer(&self, engine: Name, error: CallError) -> CompileError<P::Alloc> {
        let active = self.active(&engine).and_then(|id| self.get(id));
        let is_running = active.is_some_and(|module| module.lifecycle.state() == ModuleState::Running);
        match error {
            CallError::Busy if is_running => CompileError::Busy { engine },
            error => CompileError::NoAnswer { engine, error },
        }
    }

    /// Returns an engine's own words on its last error; none if it gives no answer, or memory for them ran out.
    fn reason(&self, engine: &Bound<'_, P, dyn Engine>) -> Reason<P::Alloc> {
        let mut words = Vec::new_in(self.platform.allocator());
        if words.try_reserve_exact(REASON_BYTES).is_ok() {
            words.resize(REASON_BYTES, 0);
            let mut into = Out::new(&mut words);
            let _ = engine.client().explain(&mut into);
            let length = into.written().len();
            words.truncate(length);
        }
        Reason(words)
    }

    /// Returns the active module `engine`, its version and its digest.
    fn engine(&self, engine: Name) -> Result<(ModuleId, Version, Digest), CompileError<P::Alloc>> {
        let found = self.active(&engine).and_then(|id| {
            let module = self.get(id)?;
            Some((id, module.version, module.metadata.engine_digest()?))
        });
        found.ok_or(CompileError::NoEngine { engine, error: BindError::NotLoaded })
    }
}
