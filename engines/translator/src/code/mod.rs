//! Machine code: each function compiled, all collated and linked.
//!
//! ```text
//! text.rs       the text: pieces of code one after the other, and the distances between them
//! ```

mod text;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use bareflow_abi::layout::{DATA_OFFSET, RODATA_OFFSET};
use bareflow_abi::traps::TrapSite;
use bareflow_portable::refusal::Refusal;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Signature;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::{CodegenError, Context, FinalizedRelocTarget};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

pub(crate) use text::Piece;

use crate::emitter::{Emitter, Environment};
use crate::module::Module;
use crate::options::Options;
use crate::plan::Plan;
use crate::routines::Routine;
use crate::signatures::{signature_of, signature_of_routine};
use crate::symbols::Symbol;
use crate::traps::site;
use crate::{function, isa, runtime};
use text::{Relocation, Text};

/// The code of a module.
pub(crate) struct Compiled {
    pub text: Vec<u8>,
    /// The offset of the entry.
    pub entry: u32,
    /// The offsets of the module's functions.
    pub functions: Vec<u32>,
    /// All pieces of code, in ascending order.
    pub pieces: Vec<Piece>,
    /// The trap sites, in ascending order.
    pub traps: Vec<TrapSite>,
}

struct Collator<'module> {
    environment: Environment<'module>,
    isa: OwnedTargetIsa,
    context: Context,
    builder: FunctionBuilderContext,
    text: Text,
    /// The offsets of the module's functions.
    functions: Vec<u32>,
    /// The offsets of the routines that are used, as soon as they are known.
    routines: BTreeMap<Routine, Option<u32>>,
    traps: Vec<TrapSite>,
}

/// Compiles all functions of a module, and the routines that they use.
pub(crate) fn compile(module: &Module<'_>, plan: &Plan<'_>, options: &Options) -> Result<Compiled, Refusal> {
    let mut collator = Collator {
        environment: Environment { module, plan, options },
        isa: isa::target(options)?,
        context: Context::new(),
        builder: FunctionBuilderContext::new(),
        text: Text::default(),
        functions: Vec::new(),
        routines: BTreeMap::from([(Routine::Entry, None)]),
        traps: Vec::new(),
    };
    let imports = module.sections.imports.len();
    for number in 0..module.sections.function_count() {
        let offset = collator.function(
            Symbol::Function(number),
            signature_of(module.type_of(number)),
            |mut emit| match module.sections.imports.get(number as usize) {
                Some(import) => {
                    runtime::emit_import(&mut emit, *import);
                    Ok(emit)
                }
                None => function::translate(emit, number, &module.bodies[number as usize - imports]),
            },
        )?;
        collator.functions.push(offset);
    }
    while let Some(routine) = collator.routines.iter().find(|entry| entry.1.is_none()).map(|entry| *entry.0) {
        let offset = collator.routine(routine)?;
        collator.routines.insert(routine, Some(offset));
    }
    Ok(collator.link())
}

impl<'module> Collator<'module> {
    fn routine(&mut self, routine: Routine) -> Result<u32, Refusal> {
        let symbol = Symbol::Runtime(routine);
        if let Some(code) = runtime::raw_code(routine) {
            return self.text.append(symbol, code);
        }
        self.function(symbol, signature_of_routine(routine), |mut emit| {
            runtime::emit_routine(&mut emit, routine);
            Ok(emit)
        })
    }

    /// Compiles a function. Returns its offset.
    fn function(
        &mut self,
        symbol: Symbol,
        signature: Signature,
        emit: impl for<'emit> FnOnce(Emitter<'module, 'emit>) -> Result<Emitter<'module, 'emit>, Refusal>,
    ) -> Result<u32, Refusal> {
        self.context.clear();
        self.context.func.signature = signature;
        let builder = FunctionBuilder::new(&mut self.context.func, &mut self.builder);
        let emit = emit(Emitter::new(self.environment, builder))?;
        emit.builder.finalize(self.isa.frontend_config());
        let compiled = self.context.compile(&*self.isa, &mut ControlPlane::default());
        if let Err(error) = compiled {
            return Err(refusal(symbol, &error.inner));
        }
        let Some(compiled) = self.context.take_compiled_code() else {
            return Err(Refusal::unsupported(format!("{symbol:?} has no code")));
        };
        let offset = self.text.append(symbol, compiled.code_buffer())?;
        for relocation in compiled.buffer.relocs() {
            let FinalizedRelocTarget::ExternalName(name) = &relocation.target else {
                return Err(Refusal::unsupported(format!("{symbol:?} refers to {:?}", relocation.target)));
            };
            let target = Symbol::of(name, &self.context.func).filter(|_| {
                matches!(relocation.kind, Reloc::X86PCRel4 | Reloc::X86CallPCRel4)
                    && i32::try_from(relocation.addend).is_ok()
            });
            let Some(target) = target else {
                return Err(Refusal::unsupported(format!("{symbol:?} refers to {name:?} by {:?}", relocation.kind)));
            };
            if let Symbol::Runtime(routine) = target {
                self.routines.entry(routine).or_insert(None);
            }
            self.text.relocations.push(Relocation {
                at: offset + relocation.offset,
                addend: relocation.addend as i32,
                target,
            });
        }
        let text = &self.text.bytes;
        self.traps.extend(compiled.buffer.traps().iter().filter_map(|trap| site(trap, offset, text)));
        Ok(offset)
    }

    /// Writes all distances.
    fn link(self) -> Compiled {
        let Collator { mut text, functions, routines, traps, .. } = self;
        let routine = |routine| routines.get(&routine).copied().flatten().unwrap_or(0);
        text.link(|symbol| match symbol {
            Symbol::Function(number) => functions[number as usize].into(),
            Symbol::Runtime(name) => routine(name).into(),
            Symbol::Rodata => RODATA_OFFSET,
            Symbol::Data => DATA_OFFSET,
        });
        let entry = routine(Routine::Entry);
        Compiled { text: text.bytes, entry, functions, pieces: text.pieces, traps }
    }
}

fn refusal(symbol: Symbol, error: &CodegenError) -> Refusal {
    let place = match symbol {
        Symbol::Function(number) => format!("function {number}"),
        other => format!("{other:?}"),
    };
    match error {
        CodegenError::ImplLimitExceeded | CodegenError::CodeTooLarge => {
            Refusal::too_large(format!("{place} is larger than what is compiled ({error}); split it"))
        }
        _ => Refusal::unsupported(format!("{place} can't be compiled: {error}")),
    }
}
